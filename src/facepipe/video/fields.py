"""Field marks of single pictures, in a stream of H.264 that libx264 writes as interlaced.

libx264 has one setting for all pictures of a stream, and says of each that it has two fields.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, Literal

import av
import av.filter
from av.codec.context import Flags
from av.packet import Packet

#: The picture timing of libx264 (SEI message 1) where no buffer model is asked for: one byte with
#: pic_struct in its upper half, then bits that close it.
_TIMING = re.compile(rb"\x00\x00\x01\x06\x01\x01([\x32\x42])\x80", re.DOTALL)
_FRAME = b"\x04"  # pic_struct 0, which is a frame, then one clock timestamp flag, 0
_HEAD = 4096  # bytes of a packet in which it lies


def first_field(frame: av.VideoFrame) -> Literal["top", "bottom"]:
    """Which field of an interlaced frame comes first; PyAV does not say, FFmpeg's filter does."""
    return "top" if _filtered(frame, "select", "eq(interlace_type\\,TOPFIRST)") else "bottom"


def without_delay(options: dict[str, str]) -> dict[str, str]:
    """Options with which libx264 encodes each frame as it comes.

    It takes the order of fields from the newest frame for all that it still holds.
    """
    given = options.get("x264-params")
    own = "sync-lookahead=0:sliced-threads=1:force-cfr=1"
    parameters = f"{given}:{own}" if given else own
    return options | {"bf": "0", "rc-lookahead": "0", "x264-params": parameters}


class FieldMarks:
    """Marks progressive frames as such among interlaced ones; other encoders need none of it."""

    def __init__(self, context: av.VideoCodecContext, fields: Sequence[str]) -> None:
        """`context` is the open encoder's; `fields` as of VideoInfo."""
        self._is_needed = context.name == "libx264" and bool(context.flags & Flags.interlaced_dct)
        self._order = "bff" if tuple(fields) == ("bottom",) else "tff"
        self._progressive: set[int] = set()  # pts

    def prepared(self, frame: av.VideoFrame) -> av.VideoFrame:
        """The frame as the encoder is to get it; notes whether it is progressive.

        Another order of fields than before would hold for frames that it still has, too.
        """
        if not self._is_needed or frame.interlaced_frame or frame.pts is None:
            return frame
        self._progressive.add(frame.pts)
        kind = frame.pict_type
        prepared = _filtered(frame, "setfield", self._order) or frame
        prepared.pts, prepared.time_base, prepared.pict_type = frame.pts, frame.time_base, kind
        return prepared

    def marked(self, packet: Packet[av.VideoStream]) -> Packet[av.VideoStream]:
        """The packet, marked where its frame is progressive."""
        if packet.pts not in self._progressive:
            return packet
        self._progressive.discard(packet.pts)
        data = bytes(packet)
        found = _TIMING.search(data, 0, _HEAD)
        if found is None:
            return packet
        made: Packet[Any] = Packet(data[: found.start(1)] + _FRAME + data[found.end(1) :])
        made.pts, made.dts, made.duration = packet.pts, packet.dts, packet.duration
        made.time_base, made.is_keyframe = packet.time_base, packet.is_keyframe
        made.stream = packet.stream
        return made


def _filtered(frame: av.VideoFrame, name: str, options: str) -> av.VideoFrame | None:
    """What one of FFmpeg's filters makes of a frame; None where it gives none."""
    graph = av.filter.Graph()
    begin = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1)
    )
    middle, end = graph.add(name, options), graph.add("buffersink")
    begin.link_to(middle)
    middle.link_to(end)
    graph.configure()
    graph.push(frame)
    try:
        return graph.vpull()
    except (av.BlockingIOError, av.EOFError):
        return None
