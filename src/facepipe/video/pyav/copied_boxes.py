"""Boxes that FFmpeg's muxer does not write, put into an mp4 or mov that is written whole."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from facepipe.video.pyav.fragment_index import moved_tail, take_tail
from facepipe.video.pyav.isobmff import (
    TO_ENTRY,
    VIDEO_ENTRY,
    Box,
    boxed,
    boxes_in,
    boxes_to,
    whole_boxes,
    with_part,
)
from facepipe.video.pyav.language_tags import with_language_tag
from facepipe.video.pyav.private_boxes import DESCRIBING, PLACES, PrivateBoxes

_LARGEST_OFFSET = 2**32 - 1
_CHUNK = 2**20
_TABLES, _TO_TABLES = (b"stco", b"co64"), (b"mdia", b"minf", b"stbl")


def copy_private_boxes(
    boxes: PrivateBoxes,
    given: BinaryIO,
    target: Path,
    tracks: Sequence[tuple[int | None, str | None]],
    *,
    largest: int | None = None,
) -> None:
    """Put boxes of the file `given` into `target`, an mp4 or mov that is written whole.

    `tracks` are the target's, in order: the id that each had in the source, None: a new one, and
    its language by BCP 47, if it has one. At most `largest` bytes are copied of each box beside the
    index. Errors: OSError as the disk does.
    """
    with target.open("r+b") as file:
        tail = take_tail(file)
        size = file.seek(0, io.SEEK_END)
        places, more = [], 0
        for begin, end in boxes.blocks:
            places.append((file.seek(0, io.SEEK_END), end - begin))
            _copy(given, begin, end, file)
        moov = next((box for box in whole_boxes(file, size) if box.kind == b"moov"), None)
        if moov is not None:
            more = _grow_index(file, moov, boxes, tracks, places)
        file.seek(0, io.SEEK_END)
        made = b"".join(boxes.made)
        for box in sorted(boxes.top, key=lambda one: not one.header):
            if not box.header:  # bytes that are no box: readers of boxes stop there
                file.write(made)
                made = b""
            end = box.end if largest is None else min(box.end, box.begin + largest)
            _copy_box(given, box, end, file)
        file.write(made)
        file.write(moved_tail(tail, more))


def _grow_index(
    file: BinaryIO,
    moov: Box,
    boxes: PrivateBoxes,
    tracks: Sequence[tuple[int | None, str | None]],
    places: Sequence[tuple[int, int]],
) -> int:
    """Put boxes into the index of a file; by how many bytes what comes after it has moved."""
    file.seek(moov.begin)
    index = file.read(moov.end - moov.begin)

    def made(more: int) -> bytes:
        listed = b"".join(struct.pack(">II", at + more, length) for at, length in places)
        pointing = [one[:16] + listed if one[4:8] == PLACES else one for one in boxes.moov]
        return _grown(index, moov, replace(boxes, moov=tuple(pointing)), tracks)

    more = len(made(0)) - len(index)
    grown = _shifted(made(more), moov.end, more)
    if grown is None:  # positions of more than 32 bits: the index goes to the end
        file.seek(0, io.SEEK_END)
        file.write(made(0))
        file.seek(moov.begin + 4)
        file.write(b"free" + bytes(8))  # nothing in it looks like a box any more
        return 0
    at = file.seek(0, io.SEEK_END)
    while at > moov.end and more:
        begin = max(at - _CHUNK, moov.end)
        file.seek(begin)
        chunk = file.read(at - begin)
        file.seek(begin + more)
        file.write(chunk)
        at = begin
    file.seek(moov.begin)
    file.write(grown)
    return more


def _grown(
    index: bytes, moov: Box, boxes: PrivateBoxes, tracks: Sequence[tuple[int | None, str | None]]
) -> bytes:
    """An index with the boxes in it, except for types that it has of its own at the same place."""
    left, parts = iter(tracks), []
    inner = list(boxes_in(index, moov.header, len(index)))
    here = {box.kind for box in inner}
    for box in inner:
        whole = index[box.begin : box.end]
        if box.kind == b"trak":
            track, language = next(left, (None, None))
            whole = with_language_tag(_with_own(whole, boxes, track), language)
        elif box.kind == b"udta":
            whole = _with_more(whole, boxes.udta)
        parts.append(whole)
    if boxes.udta and b"udta" not in here:
        parts.append(boxed(b"udta", b"".join(boxes.udta)))
    parts += [one for one in boxes.moov if one[4:8] not in here]
    return boxed(b"moov", b"".join(parts))


def _with_own(trak: bytes, boxes: PrivateBoxes, track: int | None) -> bytes:
    """A track with the boxes of the `track` of that id in it; None: it gets none."""
    if track is None:
        return trak
    grown = _with_more(trak, boxes.trak.get(track, ()), boxes.trak_udta.get(track, ()))
    return _with_entry(grown, boxes.entries.get(track, ()))


def _with_more(box: bytes, more: Sequence[bytes], udta: Sequence[bytes] = ()) -> bytes:
    """A box with more boxes in it, and in its user data."""
    inner = [box[b.begin : b.end] for b in boxes_in(box, 8, len(box))]
    here = {one[4:8] for one in inner}
    added = [one for one in more if one[4:8] not in here or one[4:8] == b"uuid"]
    if udta:
        own = [_with_more(one, udta) if one[4:8] == b"udta" else one for one in inner]
        inner = own if b"udta" in here else [*own, boxed(b"udta", b"".join(udta))]
    return boxed(box[4:8], b"".join([*inner, *added]))


def _with_entry(trak: bytes, more: Sequence[bytes]) -> bytes:
    """A track in whose first sample entry other boxes describe the frames."""
    way = boxes_to(trak, 0, len(trak), (b"trak", *TO_ENTRY))
    if not more or not way:
        return trak
    begin, end = way[-1].begin + VIDEO_ENTRY, way[-1].end
    kept = (box for box in boxes_in(trak, begin, end) if box.kind not in DESCRIBING)
    own = b"".join(trak[box.begin : box.end] for box in kept)
    return with_part(trak, way, begin, end, own + b"".join(more))


def _shifted(index: bytes, behind: int, more: int) -> bytes | None:
    """An index in which packets that lie `behind` a place lie `more` bytes later.

    None where a position grows too large for its field.
    """
    made = bytearray(index)
    for box in _tables(index):
        at = box.begin + box.header
        (count,) = struct.unpack_from(">I", index, at + 4)
        letter = "I" if box.kind == b"stco" else "Q"
        positions = struct.unpack_from(f">{count}{letter}", index, at + 8)
        new = [place + more if place >= behind else place for place in positions]
        if letter == "I" and max(new, default=0) > _LARGEST_OFFSET:
            return None
        struct.pack_into(f">{count}{letter}", made, at + 8, *new)
    return bytes(made)


def _tables(index: bytes) -> Iterator[Box]:
    """The tables of positions in an index."""
    for track in boxes_in(index, 8, len(index)):
        if track.kind == b"trak":
            way = boxes_to(index, track.begin + track.header, track.end, _TO_TABLES)
            for table in way[-1:]:
                inner = boxes_in(index, table.begin + table.header, table.end)
                yield from (box for box in inner if box.kind in _TABLES)


def _copy_box(given: BinaryIO, box: Box, end: int, file: BinaryIO) -> None:
    """Copy a box up to `end`, with the size that it has then."""
    begin = box.begin
    if box.header == 8:
        file.write(struct.pack(">I", end - begin))
        begin += 4
    elif box.header:
        given.seek(begin + 4)
        file.write(struct.pack(">I4sQ", 1, given.read(4), end - begin))
        begin += 16
    _copy(given, begin, end, file)


def _copy(given: BinaryIO, begin: int, end: int, file: BinaryIO) -> None:
    given.seek(begin)
    while begin < end and (chunk := given.read(min(_CHUNK, end - begin))):
        file.write(chunk)
        begin += len(chunk)
