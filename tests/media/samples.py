"""Tables of mp4 and mov, as players read them who know nothing of FFmpeg."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

_FULL = 4  # bytes of version and flags


def _boxes(data: bytes, begin: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    at = begin
    while at + 8 <= end:
        size, kind = struct.unpack_from(">I4s", data, at)
        head = 8
        if size == 1:
            size, head = int.from_bytes(data[at + 8 : at + 16], "big"), 16
        size = size or end - at
        if size < head:
            return
        yield kind, at + head, min(at + size, end)
        at += size


def found(data: bytes, *way: str) -> list[bytes]:
    """The contents of all boxes on a way into each other."""
    places = [(0, len(data))]
    for name in way:
        kind = name.encode("latin-1")
        places = [
            (a, b) for begin, end in places for k, a, b in _boxes(data, begin, end) if k == kind
        ]
    return [data[a:b] for a, b in places]


def is_fragmented(path: Path) -> bool:
    """Whether it is written in fragments."""
    return bool(found(path.read_bytes(), "moof"))


def fields_of(path: Path) -> set[bytes]:
    """The fields in which players look for titles and the like."""
    named: set[bytes] = set()
    for meta in found(path.read_bytes(), "moov", "udta", "meta"):
        if b"mdir" in meta[:40]:
            for kind, begin, end in _boxes(meta, _FULL, len(meta)):
                named |= {k for k, _, _ in _boxes(meta, begin, end)} if kind == b"ilst" else set()
    return named


def language_tags(path: Path) -> list[str | None]:
    """The language of each track by BCP 47, where it has one."""
    tags = []
    for track in found(path.read_bytes(), "moov", "trak"):
        told = found(track, "mdia", "elng")
        tags.append(told[0][_FULL:].rstrip(b"\0").decode() if told else None)
    return tags


def seeks_late(path: Path) -> bool:
    """Whether a keyframe is decoded further ahead of its time than the edit of its track says.

    Players that seek by decoding times, less that, then land on a keyframe of later pictures.
    """
    for track in found(path.read_bytes(), "moov", "trak"):
        table = ("mdia", "minf", "stbl")
        offsets, keys = found(track, *table, "ctts"), found(track, *table, "stss")
        edits = found(track, "edts", "elst")
        if not offsets or not keys or not edits:
            continue
        ahead = list(_runs(offsets[0]))
        numbers = struct.unpack_from(f">{(len(keys[0]) - 8) // 4}I", keys[0], 8)
        if max(ahead[number - 1] for number in numbers) > _begin(edits[0]):
            return True
    return False


def shown_until(path: Path, number: int) -> Fraction | None:
    """When the edits of the track of that number end, in seconds; None where it has none."""
    data = path.read_bytes()
    for head in found(data, "moov", "mvhd")[:1]:
        scale = int.from_bytes(head[20:24] if head[0] == 1 else head[12:16], "big")
        for track in found(data, "moov", "trak"):
            (told,) = found(track, "tkhd")
            own = int.from_bytes(told[20:24] if told[0] == 1 else told[12:16], "big")
            edits = found(track, "edts", "elst")
            if own == number and edits and scale:
                form, size = (">q", 20) if edits[0][0] == 1 else (">i", 12)
                places = range(8, len(edits[0]), size)
                lasting = sum(struct.unpack_from(form, edits[0], at)[0] for at in places)
                return Fraction(lasting, scale) if lasting else None
    return None


def _runs(table: bytes) -> Iterator[int]:
    for at in range(8, len(table), 8):
        count, value = struct.unpack_from(">Ii", table, at)
        yield from [value] * count


def _begin(edits: bytes) -> int:
    """The time in its media at which a track begins to be shown."""
    form, size = (">qq", 20) if edits[0] == 1 else (">ii", 12)
    times = [struct.unpack_from(form, edits, at)[1] for at in range(8, len(edits), size)]
    return next((time for time in times if time >= 0), 0)
