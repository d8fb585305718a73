"""Videos whose packets state when they are decoded, as if their frames were shown then."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
from av.packet import Packet

Make = Callable[[Path], Path]
_FRAME = b"\x00\x00\x01\xb6"  # begins a frame (VOP) of MPEG-4
_PACKED = b"\x00\x00\x01\xb2DivX503b1393p"  # what FFmpeg knows such streams by
_NOT_CODED = _FRAME + b"\x51\xc0\x20"  # a frame of prediction whose vop_coded is 0


def timed_as_decoded(path: Path, *, make: Make) -> Path:
    """The video of `make`, each packet with the time at which its turn is, as copied from AVI."""
    made = make(path.with_name("right.mp4"))
    with av.open(str(made)) as given, av.open(str(path), "w") as out:
        source = given.streams.video[0]
        copy = out.add_stream_from_template(source, opaque=True)
        packets = [packet for packet in given.demux(source) if packet.size]
        times = sorted(packet.pts or 0 for packet in packets)
        for packet, time in zip(packets, times, strict=True):
            packet.pts = packet.dts = time
            packet.stream = copy
            out.mux_one(packet)
    return path


def packed(path: Path, *, make: Make) -> Path:
    """MPEG-4 of `make` in AVI as DivX packs it: a frame that is shown earlier lies in the packet
    of the one that it refers to, and a packet that codes nothing holds its place.
    """
    made = make(path.with_name("right.mp4"))
    with av.open(str(made)) as given, av.open(str(path), "w") as out:
        source = given.streams.video[0]
        copy = out.add_stream_from_template(source, opaque=True)
        copy.time_base = Fraction(1, 25)
        header = source.codec_context.extradata or b""
        for number, (data, is_keyframe) in enumerate(_packed(list(given.demux(source)))):
            packet = Packet((header + _PACKED if is_keyframe else b"") + data)
            packet.pts = packet.dts = number
            packet.time_base = Fraction(1, 25)
            packet.is_keyframe, packet.stream = is_keyframe, copy
            out.mux_one(packet)
    return path


def _packed(packets: list[Packet[av.VideoStream]]) -> list[tuple[bytes, bool]]:
    """Content of packets, and whether each is a keyframe; none is shown before more than one."""
    found: list[tuple[bytes, bool]] = []
    rest = [packet for packet in packets if packet.size]
    while rest:
        first = rest.pop(0)
        if rest and (rest[0].pts or 0) < (first.pts or 0):
            found.append((bytes(first) + bytes(rest.pop(0)), first.is_keyframe))
            found.append((_NOT_CODED, False))
        else:
            found.append((bytes(first), first.is_keyframe))
    return found
