"""Packets of one frame each: fields are joined to frames, hidden frames to the next one shown.

Two fields of H.264 are access units of their own, which demuxers of transport streams hand out one
by one. VP9 and AV1 code frames that are shown later or never; files keep them in one packet with
the next shown frame (a superframe, a temporal unit), some in packets of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Generic

from av.packet import Packet
from av.stream import Stream

from facepipe.video.bitstream import OBU_FRAMES, OBU_SEQUENCE, nal_length_size, obus, parameter_sets
from facepipe.video.h264_fields import Field, FieldParser
from facepipe.video.headers import StreamT, new_header, with_data
from facepipe.video.streams import codec_name, header_of

#: Codecs with frames that are not shown.
HIDING = ("vp8", "vp9", "av1")
_SUPERFRAME, _MOST_FRAMES = 0b110, 8
_TEMPORAL_DELIMITER = 2


class FramePackets(Generic[StreamT]):
    """Joins the packets of one video stream that hold one frame together."""

    def __init__(self, stream: Stream) -> None:
        self._codec = codec_name(stream)
        self._held: Packet[StreamT] | None = None
        self._fields: FieldParser | None = None
        self._first: Field | None = None  # the held packet's
        if self._codec == "h264":
            self._set_header(header_of(stream))

    def feed(self, packet: Packet[StreamT]) -> list[Packet[StreamT]]:
        """The packets that are complete now, in their order."""
        if packet.is_discard or not packet.size:
            return [*self.rest(), packet]
        if self._fields is not None:
            return self._with_field(packet, self._fields)
        if self._codec in ("vp9", "av1"):
            return self._with_hidden(packet)
        return [packet]

    def rest(self) -> list[Packet[StreamT]]:
        """What is left at the end."""
        held, self._held, self._first = self._held, None, None
        return [] if held is None else [held]

    def _set_header(self, header: bytes) -> None:
        units = parameter_sets("h264", header)
        self._fields = FieldParser(units, nal_length_size("h264", header))

    def _with_field(self, packet: Packet[StreamT], fields: FieldParser) -> list[Packet[StreamT]]:
        header = new_header(packet)
        if header is not None:
            self._set_header(header)
            assert self._fields is not None
            fields = self._fields
        if not fields.expects_fields and not packet.is_keyframe:
            return [*self.rest(), packet]
        field, first = fields.field(bytes(packet)), self._first
        if field is None:
            return [*self.rest(), packet]
        if self._held is not None and first is not None and first.is_completed_by(field):
            whole = _joined(self._held, packet, bytes(self._held) + bytes(packet))
            self._held = self._first = None
            return [whole]
        done = self.rest()
        self._held, self._first = packet, field
        return done

    def _with_hidden(self, packet: Packet[StreamT]) -> list[Packet[StreamT]]:
        data = bytes(packet)
        shows = shows_a_frame(self._codec, data)
        if self._held is not None:
            if self._codec == "vp9":
                frames = [*_vp9_frames(bytes(self._held)), *_vp9_frames(data)]
                if len(frames) > _MOST_FRAMES:
                    return [*self.rest(), packet]
                data = _superframe(frames)
            else:
                data = bytes(self._held) + _without_delimiter(data)
            packet = _shown(self._held, packet, data)
        self._held = None if shows else packet
        return [packet] if shows else []


def frame_packets(packets: Iterable[Packet[StreamT]], stream: Stream) -> Iterator[Packet[StreamT]]:
    """The packets of a video stream with those joined that hold one frame together."""
    joined: FramePackets[StreamT] = FramePackets(stream)
    for packet in packets:
        yield from joined.feed(packet)
    yield from joined.rest()


def shows_a_frame(codec: str, data: bytes) -> bool:
    """Whether a packet of VP8, VP9 or AV1 shows a frame; of other codecs, all do."""
    if codec == "vp8":
        return bool(data[0] & 0x10)
    if codec == "vp9":
        return any(_vp9_shows(frame) for frame in _vp9_frames(data))
    if codec == "av1":
        return _av1_shows(data)
    return True


def _joined(first: Packet[StreamT], second: Packet[StreamT], data: bytes) -> Packet[StreamT]:
    """Two fields in one packet, with the time of the first."""
    whole = with_data(first, data)
    whole.is_corrupt = first.is_corrupt or second.is_corrupt
    if first.pts is None:
        whole.pts, whole.dts = second.pts, second.dts
    if second.pts is not None and first.pts is not None and second.pts > first.pts:
        whole.duration = 2 * (second.pts - first.pts)
    else:
        whole.duration = 0  # the demuxer guesses those of fields: by frames, or by fields
    return whole


def _shown(hidden: Packet[StreamT], packet: Packet[StreamT], data: bytes) -> Packet[StreamT]:
    """A hidden frame in one packet with the next that is shown, at the time of that one."""
    whole = with_data(packet, data)
    whole.is_keyframe = hidden.is_keyframe or packet.is_keyframe
    whole.is_corrupt = hidden.is_corrupt or packet.is_corrupt
    whole.dts = packet.dts if hidden.dts is None else hidden.dts
    return whole


def _vp9_frames(data: bytes) -> list[bytes]:
    """The frames of a superframe (VP9 bitstream, annex B), or the packet's only one."""
    mark = data[-1]
    count, width = (mark & 7) + 1, (mark >> 3 & 3) + 1
    index = 2 + count * width
    if mark >> 5 != _SUPERFRAME or len(data) < index or data[-index] != mark:
        return [data]
    frames, at = [], 0
    for number in range(count):
        begin = len(data) - index + 1 + number * width
        size = int.from_bytes(data[begin : begin + width], "little")
        frames.append(data[at : at + size])
        at += size
    return [frame for frame in frames if frame]


def _superframe(frames: list[bytes]) -> bytes:
    width = max(-(-max(map(len, frames)).bit_length() // 8), 1)
    mark = bytes([_SUPERFRAME << 5 | width - 1 << 3 | len(frames) - 1])
    sizes = b"".join(len(frame).to_bytes(width, "little") for frame in frames)
    return b"".join(frames) + mark + sizes + mark


def _vp9_shows(frame: bytes) -> bool:
    """Whether a frame's uncompressed header says that it, or an earlier one, is shown."""
    is_profile_3 = frame[0] >> 4 & 3 == 3
    bits = frame[0] << 1 if is_profile_3 else frame[0]  # one bit more stands before them there
    return bool(bits & 0x0A)  # show_existing_frame, or show_frame


def _av1_shows(data: bytes) -> bool:
    for _, kind, body in obus(data):
        if kind == OBU_SEQUENCE and body and body[0] & 0x08:
            return True  # of a still picture, whose frame header says nothing of it
        if kind in OBU_FRAMES and body and body[0] & 0x90:
            return True  # show_existing_frame, or show_frame
    return False


def _without_delimiter(data: bytes) -> bytes:
    return data[2:] if data[:2] == bytes([_TEMPORAL_DELIMITER << 3 | 2, 0]) else data
