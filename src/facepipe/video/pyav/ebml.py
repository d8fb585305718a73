"""Elements of Matroska and WebM (EBML): how they are read, in a file and in what was read of it."""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

SEGMENT, TRACKS, CLUSTER = b"\x18\x53\x80\x67", b"\x16\x54\xae\x6b", b"\x1f\x43\xb6\x75"
_SEEK_HEAD, _SEEK = b"\x11\x4d\x9b\x74", b"\x4d\xbb"
_SEEK_ID, _SEEK_POSITION = b"\x53\xab", b"\x53\xac"
_VOID, CRC = b"\xec", b"\xbf"
_LARGEST_HEADER = 12  # bytes of a name and a size
_LARGEST_TRACKS = 2**26  # bytes that are read
_MOST = 10_000  # elements that are looked at on one level


class Element(NamedTuple):
    """An element: its name, where it begins, and where its content begins and ends, in bytes."""

    name: bytes
    begin: int
    content: int
    end: int


def elements(data: bytes, begin: int, end: int) -> Iterator[Element]:
    """The elements that follow each other within a part of `data`; one that is cut ends with it."""
    at = begin
    while at < end:
        one = _element_at(data[at : at + _LARGEST_HEADER], at, end)
        if one is None:
            return
        yield one
        at = one.end


def _element_at(head: bytes, at: int, end: int) -> Element | None:
    """The element that `head` says to begin at a place; of unknown size: up to the `end`."""
    name = head[: _length(head[:1])]
    sized = head[len(name) :]
    width = _length(sized[:1])
    if not name or not width or len(sized) < width:
        return None
    size, unknown = _number(sized[:width]), (1 << 7 * width) - 1
    content = at + len(name) + width
    return Element(name, at, content, end if size == unknown else min(content + size, end))


def _length(first: bytes) -> int:
    """How many bytes a number has, by its first one; 0 where it is none."""
    return 9 - first[0].bit_length() if first and first[0] else 0


def _number(data: bytes) -> int:
    return int.from_bytes(data, "big") & ((1 << 7 * len(data)) - 1)


def element(name: bytes, content: bytes) -> bytes:
    """An element, its size in as many bytes as it needs."""
    width = next(n for n in range(1, 9) if len(content) < (1 << 7 * n) - 1)
    return name + (len(content) | 1 << 7 * width).to_bytes(width, "big") + content


def wide_element(name: bytes, content: bytes) -> bytes:
    """An element, its size in eight bytes."""
    return name + (len(content) | 1 << 56).to_bytes(8, "big") + content


def unsigned(value: int) -> bytes:
    """A whole number as the content of an element."""
    return value.to_bytes(max((value.bit_length() + 7) // 8, 1), "big")


def filled(content: bytes, size: int) -> bytes:
    """The content of an element grown to a size that it already had, by an element without meaning.

    A checksum (CRC-32) at its beginning is made anew. Raises ValueError where it is too long.
    """
    lacking = size - len(content)
    if lacking < 0 or lacking == 1:
        raise ValueError(f"{len(content)} bytes do not fit into {size}")
    if lacking:
        # A size of eight bytes where there is room, as one of less may lie between two lengths.
        width = 8 if lacking > 8 else 1
        rest = lacking - 1 - width
        content += _VOID + (rest | 1 << 7 * width).to_bytes(width, "big") + bytes(rest)
    first = next(elements(content, 0, len(content)), None)
    if first is None or first.name != CRC:
        return content
    checksum = zlib.crc32(content[first.end :]).to_bytes(4, "little")
    return content[: first.content] + checksum + content[first.end :]


def find_tracks(file: BinaryIO) -> Element | None:
    """The description of the tracks in a file; None where there is none, or it is no Matroska."""
    size = file.seek(0, io.SEEK_END)
    segment = next((one for one in _in_file(file, 0, size) if one.name == SEGMENT), None)
    found = _tracks_of(file, segment) if segment is not None else None
    if found is None or found.name != TRACKS or found.end - found.content > _LARGEST_TRACKS:
        return None
    return found


def _tracks_of(file: BinaryIO, segment: Element) -> Element | None:
    """The description ahead of the frames, or the element to which the index sends for it."""
    place = None
    for one in _in_file(file, segment.content, segment.end):
        if one.name == TRACKS:
            return one
        if one.name == _SEEK_HEAD:
            place = place or _sought(_read(file, one))
        if one.name == CLUSTER:
            break
    if place is None:
        return None
    return next(_in_file(file, segment.content + place, segment.end), None)


def _in_file(file: BinaryIO, begin: int, end: int) -> Iterator[Element]:
    at = begin
    for _ in range(_MOST):
        file.seek(at)
        one = _element_at(file.read(_LARGEST_HEADER), at, end) if at < end else None
        if one is None:
            return
        yield one
        at = one.end


def _read(file: BinaryIO, one: Element) -> bytes:
    file.seek(one.content)
    return file.read(min(one.end - one.content, _LARGEST_TRACKS))


def _sought(head: bytes) -> int | None:
    """Where an index of elements says that the tracks are described."""
    for entry in elements(head, 0, len(head)):
        if entry.name == _SEEK:
            inner = elements(head, entry.content, entry.end)
            told = {one.name: head[one.content : one.end] for one in inner}
            if told.get(_SEEK_ID) == TRACKS and _SEEK_POSITION in told:
                return int.from_bytes(told[_SEEK_POSITION], "big")
    return None
