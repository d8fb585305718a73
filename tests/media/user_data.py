"""Videos whose pictures carry user data: words in brackets, written and read byte by byte."""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av

_WORDS = re.compile(rb"\[user data [^\]]*\]")
_OWNER = bytes(range(100, 116))
_PROVIDER = b"\xb5\x00\x99abcd\x01"
#: Number, and which of two kinds of owner: none for pictures that have no data.
Say = Callable[[int], str | None]
_SLICES = {"h264": range(1, 6), "hevc": range(32)}


def with_user_data(path: Path, make: Callable[[Path], Path], say: Say, *, registered: bool) -> Path:
    """The video with a message in each packet for which `say` has words; it keeps its suffix."""
    plain = make(path.with_name(f"plain{path.suffix}"))
    with av.open(str(plain)) as given, av.open(str(path), "w") as out:
        pairs = {s.index: out.add_stream_from_template(s, opaque=True) for s in given.streams}
        numbers = iter(range(10**6))
        for packet in given.demux():
            if not packet.size:
                continue
            made = packet
            if packet.stream.type == "video":
                said = say(next(numbers))
                context = packet.stream.codec_context
                codec, sized = context.codec.canonical_name, (context.extradata or b"")[:1] == b"\1"
                if said is not None:
                    words = f"[user data {said}]".encode()
                    made = av.Packet(_put(codec, bytes(packet), words, registered, sized))
                    made.pts, made.dts, made.time_base = packet.pts, packet.dts, packet.time_base
                    made.duration, made.is_keyframe = packet.duration, packet.is_keyframe
            made.stream = pairs[packet.stream.index]
            out.mux_one(made)
    plain.unlink()
    return path


def user_data_of(path: Path) -> dict[Fraction, list[bytes]]:
    """The words of each packet, by its picture's time in seconds after the first picture's."""
    found: dict[Fraction, list[bytes]] = {}
    first: Fraction | None = None
    with av.open(str(path)) as container:
        for packet in container.demux(container.streams.video[0]):
            if not packet.size or packet.pts is None:
                continue
            time = packet.pts * packet.time_base
            first = time if first is None else min(first, time)
            words = _WORDS.findall(bytes(packet))
            if words:
                found[time] = sorted(words)
    return {time - (first or 0): words for time, words in sorted(found.items())}


def _put(codec: str, data: bytes, words: bytes, registered: bool, sized: bool) -> bytes:
    body = (_PROVIDER if registered else _OWNER) + words
    if codec == "av1":
        unit = b"\x04" + body + b"\x80"
        size = bytes([len(unit) & 127 | 128, len(unit) >> 7])
        return b"\x2a" + size + unit + data  # the muxer leaves out what goes ahead
    if codec == "mpeg2video":
        at = data.find(b"\0\0\1\x01")  # the first slice
        return data[:at] + b"\0\0\1\xb2" + words + data[at:]
    head = b"\x06" if codec == "h264" else b"\x4e\x01"
    size = b"\xff" * (len(body) // 255) + bytes([len(body) % 255])
    unit = head + (b"\x04" if registered else b"\x05") + size + body + b"\x80"
    unit = re.sub(rb"\x00\x00(?=[\x00-\x03])", lambda _: b"\0\0\3", unit)
    if not sized:
        for match in re.finditer(b"\0\0\1", data):
            first = data[match.end()]
            kind = first & 31 if codec == "h264" else first >> 1 & 63
            if kind in _SLICES[codec]:
                return data[: match.start()] + b"\0\0\1" + unit + data[match.start() :]
        return data
    return len(unit).to_bytes(4, "big") + unit + data
