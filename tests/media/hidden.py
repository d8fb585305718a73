"""VP9 and AV1 whose hidden frames are in packets of their own, not with the next shown one."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import av
from av.packet import Packet
from av.stream import Stream

from facepipe.video.bitstream import obus

_FRAME = (3, 6)  # kinds of open bitstream units that begin a frame of AV1
#: A bit in the first byte of a frame of VP9, and the frame that shows the first of those kept.
_SHOW_FRAME, _SHOW_THE_FIRST = 0x02, b"\x88"


def hidden_apart(path: Path, *, video: Callable[[Path], Path]) -> Path:
    """A video of VP9 or AV1 in Matroska or WebM, each frame of it in a packet.

    FFmpeg lets libvpx hide no frame in a single pass: keyframes are hidden here, and shown next.
    """
    with tempfile.TemporaryDirectory() as folder:
        made = video(Path(folder) / "video.mkv")
        # Left alone, the muxer joins them again.
        options = {"fflags": "-autobsf"}
        with av.open(str(made)) as given, av.open(str(path), "w", container_options=options) as out:
            source = given.streams.video[0]
            stream = out.add_stream_from_template(source, opaque=True)
            is_vp9 = source.codec_context.codec.canonical_name == "vp9"
            for packet in given.demux(source):
                if not packet.size:
                    continue
                data = bytes(packet)
                if not is_vp9:
                    pieces = list(_frames(data))
                elif packet.is_keyframe:
                    pieces = [bytes([data[0] & ~_SHOW_FRAME]) + data[1:], _SHOW_THE_FIRST]
                else:
                    pieces = [data]
                for number, piece in enumerate(pieces):
                    one: Packet[Stream] = Packet(piece)
                    one.pts = one.dts = packet.pts
                    one.time_base = packet.time_base
                    one.is_keyframe = packet.is_keyframe and number == 0
                    one.stream = stream
                    out.mux_one(one)
    return path


def _frames(unit: bytes) -> Iterator[bytes]:
    """A temporal unit of AV1 cut behind each frame."""
    piece = b""
    for _, kind, payload in obus(unit):
        piece += bytes([kind << 3 | 2]) + _leb128(len(payload)) + payload
        if kind in _FRAME:
            yield piece
            piece = b""
    if piece:
        yield piece


def _leb128(value: int) -> bytes:
    made = bytearray()
    while True:
        made.append(value & 127 | (128 if value > 127 else 0))
        value >>= 7
        if not value:
            return bytes(made)
