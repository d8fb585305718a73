"""Matroska and WebM byte by byte: what FFmpeg's reader does not tell, and files that have it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from media import synthetic

_SEGMENT, _TRACKS, _ENTRY, _CLUSTER = "18538067", "1654ae6b", "ae", "1f43b675"
_TIME, _SIMPLE, _GROUP, _BLOCK = "e7", "a3", "a0", "a1"
#: What is compared of a track: by name, the way to the element.
TOLD = {
    "language tag": ("22b59d",),
    "display width": ("e0", "54b0"),
    "display height": ("e0", "54ba"),
    "display unit": ("e0", "54b2"),
    "interlaced": ("e0", "9a"),
    "chroma siting": ("e0", "55b0", "55b7"),
    "bit depth": ("e1", "6264"),
}
_ROOM = "-" * 200


def elements(data: bytes, begin: int = 0, end: int | None = None) -> Iterator[tuple[str, int, int]]:
    """Names in hex, and where contents begin and end."""
    end = len(data) if end is None else end
    at = begin
    while at < end:
        width = 9 - data[at].bit_length()
        name, at = data[at : at + width].hex(), at + width
        width = 9 - data[at].bit_length()
        size = int.from_bytes(data[at : at + width], "big") & ((1 << 7 * width) - 1)
        at += width
        stop = end if size == (1 << 7 * width) - 1 else min(at + size, end)
        yield name, at, stop
        at = stop


def _inside(data: bytes, way: tuple[str, ...]) -> Iterator[tuple[int, int]]:
    places = [(0, len(data))]
    for name in way:
        places = [
            (a, b) for begin, end in places for n, a, b in elements(data, begin, end) if n == name
        ]
    yield from places


def tracks_of(path: Path) -> list[dict[str, bytes]]:
    """What is told of each track, by the names of TOLD."""
    data = path.read_bytes()
    found = []
    for begin, end in _inside(data, (_SEGMENT, _TRACKS, _ENTRY)):
        entry = data[begin:end]
        told = {name: [entry[a:b] for a, b in _inside(entry, way)] for name, way in TOLD.items()}
        found.append({name: contents[0] for name, contents in told.items() if contents})
    return found


def blocks_going_back(path: Path) -> int:
    """How many blocks have an earlier time than one before them in their cluster."""
    data, count = path.read_bytes(), 0
    for begin, end in _inside(data, (_SEGMENT, _CLUSTER)):
        latest = -(1 << 63)
        for name, a, b in elements(data, begin, end):
            if name == _GROUP:
                name, a, b = next(one for one in elements(data, a, b) if one[0] == _BLOCK)
            if name not in (_SIMPLE, _BLOCK):
                continue
            a += 9 - data[a].bit_length()
            time = int.from_bytes(data[a : a + 2], "big", signed=True)
            count += time < latest
            latest = max(latest, time)
    return count


def told(path: Path, *tracks: bytes, **how: Any) -> Path:
    """A video each of whose tracks has more elements: whole ones, beside those that it has."""
    return with_told(path, lambda made: synthetic.video(made, **how), *tracks)


def with_told(path: Path, make: Callable[[Path], Path], *tracks: bytes) -> Path:
    """Another video, copied, each of whose tracks has more elements."""
    import av

    source = make(path.with_name(f"first{path.suffix}"))
    with av.open(str(source)) as given, av.open(str(path), "w") as out:
        pairs = {s.index: out.add_stream_from_template(s, opaque=True) for s in given.streams}
        for stream in pairs.values():
            stream.metadata["title"] = _ROOM
        for packet in given.demux():
            if packet.size:
                packet.stream = pairs[packet.stream.index]
                out.mux_one(packet)
    data = path.read_bytes()
    room = bytes.fromhex("536e") + (len(_ROOM) | 1 << 14).to_bytes(2, "big") + _ROOM.encode()
    for more in tracks:
        rest = len(room) - len(more) - 3
        data = data.replace(
            room, more + b"\xec" + (rest | 1 << 14).to_bytes(2, "big") + bytes(rest), 1
        )
    path.write_bytes(data)
    return path


def language_tag(tag: str) -> bytes:
    """The element that tells a track's language by BCP 47."""
    return bytes.fromhex("22b59d") + bytes([len(tag) | 0x80]) + tag.encode()
