"""Boxes of mp4 and mov: how they are read, in a file and in what was read of it.

What a broken file lacks, and whether an index has fragments, is told by its outermost boxes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

_FRAGMENT, _SEGMENT_INDEX = b"moof", b"sidx"
_FIRST = (b"ftyp", b"wide", b"free", b"skip", b"pnot", b"mdat")
_INDEX = b"moov"
_MOST = 10_000  # boxes that are looked at on one level
_LARGEST_HEADER = 16  # bytes
_LARGEST_INDEX = 2**28  # bytes of an index that are read
_TO_TICKS, _LEAST_MEDIA_HEADER = (b"mdia", b"mdhd"), 32
#: From a track to the first entry of its table of sample descriptions, of any type.
TO_ENTRY = (b"mdia", b"minf", b"stbl", b"stsd", b"")
#: Bytes of a video's sample entry before the boxes in it.
VIDEO_ENTRY = 86
_STSD = 16  # bytes of that table before the boxes in it


class Box(NamedTuple):
    """A box: its type, where it begins and ends, and how long its header is, in bytes."""

    kind: bytes
    begin: int
    end: int
    header: int

    def is_whole(self, end: int) -> bool:
        """Whether it is one at all, and ends before a place."""
        printable = all(32 <= byte < 127 or byte == 0xA9 for byte in self.kind)
        return self.begin + self.header <= self.end <= end and printable


def lacks_index(path: Path) -> bool:
    """Whether a file is mp4 or mov by its first box, and ends without an index.

    Cameras write the index last: what was cut short or never finished has none, and nothing in it
    can be found. Errors: OSError as the disk does.
    """
    with path.open("rb") as file:
        kinds = [box.kind for box in outermost(file, path.stat().st_size)]
    return bool(kinds) and kinds[0] in _FIRST and _INDEX not in kinds and len(kinds) < _MOST


def is_fragmented(file: BinaryIO, size: int) -> bool:
    """Whether an mp4 or mov of `size` bytes has its index in fragments. OSError as the disk."""
    return any(box.kind == _FRAGMENT for box in outermost(file, size))


def ticks_of_indexes(file: BinaryIO, size: int) -> list[tuple[int, ...]]:
    """Ticks in a second of the tracks that each index of a file lists. OSError as the disk.

    FFmpeg reads the first index alone, where files were put one behind the other.
    """
    found = []
    for box in outermost(file, size):
        if box.kind == _INDEX and box.is_whole(size):
            file.seek(box.begin)
            found.append(_ticks(file.read(min(box.end - box.begin, _LARGEST_INDEX)), box.header))
    return found


def _ticks(index: bytes, header: int) -> tuple[int, ...]:
    """Ticks in a second of each track of an index."""
    ticks = []
    for track in boxes_in(index, header, len(index)):
        way = boxes_to(index, track.begin + track.header, track.end, _TO_TICKS)
        if track.kind == b"trak" and way and way[-1].end - way[-1].begin >= _LEAST_MEDIA_HEADER:
            at = way[-1].begin + way[-1].header
            at += 20 if index[at] else 12  # times of 64 bits stand before them, or of 32
            ticks.append(int.from_bytes(index[at : at + 4], "big"))
    return tuple(ticks)


def has_segment_index(file: BinaryIO, size: int) -> bool:
    """Whether the fragments of a file of `size` bytes are listed in it. OSError as the disk."""
    kinds = [box.kind for box in outermost(file, size)]
    return _SEGMENT_INDEX in kinds and _FRAGMENT in kinds


def outermost(file: BinaryIO, size: int) -> Iterator[Box]:
    """What stands as boxes in a file of `size` bytes, be they whole or not. OSError as the disk."""
    at = 0
    for _ in range(_MOST):
        file.seek(at)
        head = file.read(_LARGEST_HEADER)
        if at >= size or len(head) < 8:
            return
        box = _box(head, at, size)
        yield box
        at = max(box.end, at + 8)


def whole_boxes(file: BinaryIO, size: int) -> Iterator[Box]:
    """The outermost boxes of a file; what is none at its end comes as one without a type."""
    for box in outermost(file, size):
        if not box.is_whole(size):
            if box.begin:
                yield Box(b"", box.begin, size, 0)
            return
        yield box


def boxes_in(data: bytes, begin: int, end: int) -> Iterator[Box]:
    """The whole boxes that follow each other within a part of `data`."""
    at = begin
    while at + 8 <= end:
        box = _box(data[at : at + _LARGEST_HEADER], at, end)
        if not box.is_whole(end):
            return
        yield box
        at = box.end


def boxes_to(data: bytes, begin: int, end: int, path: Sequence[bytes]) -> list[Box]:
    """The first box of each type on a path into each other, where an empty type stands for any.

    None at all where one of them is not there.
    """
    way: list[Box] = []
    for kind in path:
        here = boxes_in(data, begin, end)
        box = next((one for one in here if kind in (b"", one.kind)), None)
        if box is None:
            return []
        way.append(box)
        begin, end = box.begin + (_STSD if box.kind == b"stsd" else box.header), box.end
    return way


def with_part(data: bytes, way: Sequence[Box], begin: int, end: int, part: bytes) -> bytes:
    """The `data` with another part from `begin` to `end`, and boxes around it of a size to fit."""
    more = len(part) - (end - begin)
    made = bytearray(data[:begin] + part + data[end:])
    for box in way:
        form, at = (">I", box.begin) if box.header == 8 else (">Q", box.begin + 8)
        struct.pack_into(form, made, at, box.end - box.begin + more)
    return bytes(made)


def boxed(kind: bytes, content: bytes) -> bytes:
    """A box of that type."""
    return struct.pack(">I", 8 + len(content)) + kind + content


def _box(head: bytes, at: int, end: int) -> Box:
    """The box that `head` says to begin at a place; a length of 0: up to the `end`."""
    length, header = int.from_bytes(head[:4], "big"), 8
    if length == 1 and len(head) >= _LARGEST_HEADER:
        length, header = int.from_bytes(head[8:16], "big"), _LARGEST_HEADER
    elif length == 0:
        length = end - at
    return Box(head[4:8], at, at + length, header)
