"""Boxes of mp4 and mov that FFmpeg does not hand on: a camera's serial number, its places, XMP.

They are copied from one file to another as they are. What FFmpeg knows of the others it reads and
writes itself. This goes when FFmpeg's mov muxer copies boxes that it does not know.
"""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO, NamedTuple

#: What the boxes are called that FFmpeg reads too.
SPHERE = "the projection of a sphere"
#: Boxes of a sample entry that describe the frames: their crop, projection and views.
DESCRIBING = frozenset(b"clap sv3d st3d vexu hfov".split())
VIEWS = (b"st3d", b"vexu", b"hfov")  # those of them that tell of two views
_CROP, _CROP_SIZE = b"clap", 40
_LARGEST_INDEX = 2**28  # bytes of a moov box that are read
_LARGEST_OFFSET = 2**32 - 1
_CHUNK = 2**20
_MOST = 10_000  # boxes that are looked at on one level
#: Boxes that FFmpeg reads and writes, or that belong to the way the packets are stored.
_KNOWN_TOP = frozenset(
    b"ftyp styp moov mdat moof mfra sidx ssix wide pnot pdin prft emsg imda free skip".split()
)
_KNOWN_MOOV = frozenset(
    b"mvhd trak udta meta iods mvex cmov ctab clip rmra prfl pssh free skip wide".split()
)
_KNOWN_TRAK = frozenset(
    b"tkhd edts mdia tref udta load imap matt clip txas tapt free skip wide".split()
)
_READ_UDTA = frozenset(
    b"meta name loci chpl hnti titl auth cprt dscp gnre albm perf yrrc free skip".split()
)
_PADDING, _TABLES = (b"free", b"skip"), (b"stco", b"co64")
_TO_TABLES = (b"trak", b"mdia", b"minf", b"stbl")
_TO_ENTRY = (b"mdia", b"minf", b"stbl", b"stsd", b"")
_STSD, _VIDEO_ENTRY = 16, 86  # bytes before the boxes in them
_SPHERICAL = bytes.fromhex("ffcc8263f8554a938814587a02521fdd")  # XML, which tells sizes in pixels
_UUIDS = {
    _SPHERICAL: SPHERE,
    bytes.fromhex("be7acfcb97a942e89c71999491e3afac"): "the XMP data",
}
_PIXELS = re.compile(rb"(GSpherical:\w*Pixels>\s*)(\d+)")
_GPS = b"gps "  # of dashcams: lists blocks that lie elsewhere in the file


class Box(NamedTuple):
    """A box: its type, where it begins and ends, and how long its header is, in bytes."""

    kind: bytes
    begin: int
    end: int
    header: int


@dataclass(frozen=True)
class PrivateBoxes:
    """What a file holds that FFmpeg does not hand on.

    `top` are ranges of the file, in bytes; `moov`, `udta` and, by a track's id, `trak` and
    `trak_udta` are whole boxes; `entries` are those in its sample entry that describe its
    frames; `blocks` are ranges that the table of places lists.
    """

    top: tuple[Box, ...] = ()
    moov: tuple[bytes, ...] = ()
    udta: tuple[bytes, ...] = ()
    trak: Mapping[int, tuple[bytes, ...]] = field(default_factory=dict)
    trak_udta: Mapping[int, tuple[bytes, ...]] = field(default_factory=dict)
    entries: Mapping[int, tuple[bytes, ...]] = field(default_factory=dict)
    blocks: tuple[tuple[int, int], ...] = ()
    uuids: tuple[bytes, ...] = ()  # of the top ones, empty for those of other types

    def __bool__(self) -> bool:
        parts = (self.top, self.moov, self.udta, self.trak, self.trak_udta, self.entries)
        return any(map(bool, parts))

    @property
    def names(self) -> frozenset[str]:
        """What they are called, as messages do."""
        found = {
            _called(box.kind, uuid) if box.header else "what lies behind its last box"
            for box, uuid in zip(self.top, self.uuids, strict=True)
        }
        found |= {_named(one, "moov") for one in self.moov}
        found |= {_named(one, "udta") for one in self.udta}
        found |= {_named(one, "trak") for boxes in self.trak.values() for one in boxes}
        found |= {_named(one, "trak/udta") for boxes in self.trak_udta.values() for one in boxes}
        return frozenset(found)


def private_boxes(file: BinaryIO) -> PrivateBoxes:
    """What an mp4 or mov holds that FFmpeg does not hand on; nothing in a damaged index."""
    size = file.seek(0, io.SEEK_END)
    boxes = list(_top_level(file, size))
    moov = next((box for box in boxes if box.kind == b"moov"), None)
    top = tuple(box for box in boxes if _is_private(file, box))
    uuids = tuple(_uuid(file, box) for box in top)
    if moov is None or moov.end - moov.begin > _LARGEST_INDEX:
        return PrivateBoxes(top, uuids=uuids)
    file.seek(moov.begin)
    index = file.read(moov.end - moov.begin)
    return replace(_within(index, size), top=top, uuids=uuids)


def copy_private_boxes(
    boxes: PrivateBoxes,
    given: BinaryIO,
    target: Path,
    tracks: Sequence[int | None],
    *,
    largest: int | None = None,
) -> None:
    """Put boxes of the file `given` into `target`, an mp4 or mov that is written whole.

    `tracks` are the ids that the target's tracks had in the source, in order, None: a new one. At
    most `largest` bytes are copied of each box beside the index. Errors: OSError as the disk does.
    """
    with target.open("r+b") as file:
        size = file.seek(0, io.SEEK_END)
        places = []
        for begin, end in boxes.blocks:
            places.append((file.seek(0, io.SEEK_END), end - begin))
            _copy(given, begin, end, file)
        moov = next((box for box in _top_level(file, size) if box.kind == b"moov"), None)
        if moov is not None:
            _grow_index(file, moov, boxes, tracks, places)
        file.seek(0, io.SEEK_END)
        for box in boxes.top:
            end = box.end if largest is None else min(box.end, box.begin + largest)
            _copy_box(given, box, end, file)


def _top_level(file: BinaryIO, size: int) -> Iterator[Box]:
    """The boxes of a file; what is none at its end comes as one without a type."""
    at = 0
    for _ in range(_MOST):
        file.seek(at)
        head = file.read(16)
        if len(head) < 8:
            return
        box = _box(head, at, size)
        if box is None:
            if at:
                yield Box(b"", at, size, 0)
            return
        yield box
        at = box.end


def _box(head: bytes, at: int, size: int) -> Box | None:
    """The box that begins with `head`; None where it is none, or leaves the file."""
    length, kind, header = int.from_bytes(head[:4], "big"), head[4:8], 8
    if length == 1 and len(head) >= 16:
        length, header = int.from_bytes(head[8:16], "big"), 16
    elif length == 0:
        length = size - at
    printable = all(32 <= byte < 127 or byte == 0xA9 for byte in kind)
    if length < header or at + length > size or not printable:
        return None
    return Box(kind, at, at + length, header)


def _children(data: bytes, begin: int, end: int) -> Iterator[Box]:
    """The boxes within a part of the index."""
    at = begin
    while at + 8 <= end:
        box = _box(data[at : at + 16], at, end)
        if box is None:
            return
        yield box
        at = box.end


def _is_private(file: BinaryIO, box: Box) -> bool:
    if not box.header:  # no box, behind all others; zeros fill a last block
        return any(_chunks(file, box.begin, box.end))
    if box.kind not in _PADDING:
        return box.kind not in _KNOWN_TOP
    file.seek(box.begin + box.header)
    content = file.read(min(box.end - box.begin - box.header, _CHUNK))
    inner = list(_children(content, 0, len(content)))
    return bool(inner) and inner[-1].end == len(content) and len(content) > 8


def _chunks(file: BinaryIO, begin: int, end: int) -> Iterator[bytes]:
    """What a range of a file holds, without its zeros, in pieces."""
    file.seek(begin)
    while begin < end and (chunk := file.read(min(_CHUNK, end - begin))):
        begin += len(chunk)
        yield chunk.strip(b"\0")


def _uuid(file: BinaryIO, box: Box) -> bytes:
    file.seek(box.begin + box.header)
    return file.read(16) if box.kind == b"uuid" else b""


def _within(index: bytes, size: int) -> PrivateBoxes:
    """The private boxes of an index."""
    moov, udta, blocks = [], [], []
    trak: dict[int, tuple[bytes, ...]] = {}
    trak_udta: dict[int, tuple[bytes, ...]] = {}
    entries: dict[int, tuple[bytes, ...]] = {}
    for box in _children(index, 8, len(index)):
        if box.kind == b"udta":
            udta += _private_udta(index, box)
        elif box.kind == b"trak":
            inner = list(_children(index, box.begin + box.header, box.end))
            track = _track_id(index, inner)
            own = [index[one.begin : one.end] for one in inner if one.kind not in _KNOWN_TRAK]
            told = [u for one in inner if one.kind == b"udta" for u in _private_udta(index, one)]
            entry = _described(index, box, _TO_ENTRY)
            entries |= {track: entry} if entry else {}
            trak |= {track: tuple(own)} if own else {}
            trak_udta |= {track: tuple(told)} if told else {}
        elif box.kind not in _KNOWN_MOOV:
            whole = index[box.begin : box.end]
            listed = _listed(whole, size) if box.kind == _GPS else []
            if box.kind != _GPS or listed:
                moov.append(whole)
            blocks += listed
    return PrivateBoxes(
        moov=tuple(moov),
        udta=tuple(udta),
        trak=trak,
        trak_udta=trak_udta,
        entries=entries,
        blocks=tuple(blocks),
    )


def _described(index: bytes, box: Box, path: Sequence[bytes]) -> tuple[bytes, ...]:
    """The boxes below a track, in its first sample entry, that describe its frames."""
    if not path:
        inner = _children(index, box.begin + _VIDEO_ENTRY, box.end)
        return tuple(index[one.begin : one.end] for one in inner if one.kind in DESCRIBING)
    head = _STSD if box.kind == b"stsd" else box.header
    for one in _children(index, box.begin + head, box.end):
        if path[0] in (b"", one.kind):
            return _described(index, one, path[1:])
    return ()


def _private_udta(index: bytes, udta: Box) -> list[bytes]:
    return [
        index[box.begin : box.end]
        for box in _children(index, udta.begin + udta.header, udta.end)
        if box.kind not in _READ_UDTA and not box.kind.startswith(b"\xa9")
    ]


def _track_id(index: bytes, inner: Sequence[Box]) -> int:
    for box in inner:
        if box.kind == b"tkhd" and box.end - box.begin >= 32:
            at = box.begin + box.header
            return int.from_bytes(index[at + (20 if index[at] else 12) :][:4], "big")
    return 0


def _listed(table: bytes, size: int) -> list[tuple[int, int]]:
    """The ranges that a table of places lists; none where one of them is no box."""
    found = []
    (count,) = struct.unpack(">I", table[12:16].rjust(4, b"\0"))
    for at in range(16, min(len(table) - 7, 16 + 8 * count), 8):
        begin, length = struct.unpack_from(">II", table, at)
        if not 8 <= length <= size - begin:
            return []
        found.append((begin, begin + length))
    return found


def _grow_index(
    file: BinaryIO,
    moov: Box,
    boxes: PrivateBoxes,
    tracks: Sequence[int | None],
    places: Sequence[tuple[int, int]],
) -> None:
    """Put boxes into the index of a file, and move what comes after it."""
    file.seek(moov.begin)
    index = file.read(moov.end - moov.begin)

    def made(more: int) -> bytes:
        listed = b"".join(struct.pack(">II", at + more, length) for at, length in places)
        pointing = [one[:16] + listed if one[4:8] == _GPS else one for one in boxes.moov]
        return _grown(index, moov, replace(boxes, moov=tuple(pointing)), tracks)

    more = len(made(0)) - len(index)
    grown = _shifted(made(more), moov.end, more)
    if grown is None:  # positions of more than 32 bits: the index goes to the end
        file.seek(0, io.SEEK_END)
        file.write(made(0))
        file.seek(moov.begin + 4)
        file.write(b"free" + bytes(8))  # nothing in it looks like a box any more
        return
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


def _grown(index: bytes, moov: Box, boxes: PrivateBoxes, tracks: Sequence[int | None]) -> bytes:
    """An index with the boxes in it, except for types that it has of its own at the same place."""
    parts, number, has_udta = [], 0, False
    here = {box.kind for box in _children(index, moov.header, len(index))}
    for box in _children(index, moov.header, len(index)):
        whole = index[box.begin : box.end]
        if box.kind == b"trak":
            track = tracks[number] if number < len(tracks) else None
            number += 1
            if track is not None:
                more = boxes.trak.get(track, ())
                whole = _with_more(whole, more, boxes.trak_udta.get(track, ()))
                whole = _with_entry(whole, boxes.entries.get(track, ()), _TO_ENTRY)
        elif box.kind == b"udta":
            has_udta, whole = True, _with_more(whole, boxes.udta)
        parts.append(whole)
    if boxes.udta and not has_udta:
        parts.append(_boxed(b"udta", b"".join(boxes.udta)))
    parts += [one for one in boxes.moov if one[4:8] not in here]
    return _boxed(b"moov", b"".join(parts))


def _with_more(box: bytes, more: Sequence[bytes], udta: Sequence[bytes] = ()) -> bytes:
    """A box with more boxes in it, and in its user data."""
    inner = [box[b.begin : b.end] for b in _children(box, 8, len(box))]
    here = {one[4:8] for one in inner}
    added = [one for one in more if one[4:8] not in here or one[4:8] == b"uuid"]
    if udta:
        own = [_with_more(one, udta) if one[4:8] == b"udta" else one for one in inner]
        inner = own if b"udta" in here else [*own, _boxed(b"udta", b"".join(udta))]
    return _boxed(box[4:8], b"".join([*inner, *added]))


def _with_entry(box: bytes, more: Sequence[bytes], path: Sequence[bytes]) -> bytes:
    """A box in whose first sample entry other boxes describe the frames."""
    head = _STSD if box[4:8] == b"stsd" else 8
    if not path:
        kept = [b for b in _children(box, _VIDEO_ENTRY, len(box)) if b.kind not in DESCRIBING]
        own = b"".join(box[b.begin : b.end] for b in kept)
        return _boxed(box[4:8], box[8:_VIDEO_ENTRY] + own + b"".join(more))
    parts, done = [box[8:head]], not more
    for child in _children(box, head, len(box)):
        whole = box[child.begin : child.end]
        if not done and path[0] in (b"", child.kind):
            done, whole = True, _with_entry(whole, more, path[1:])
        parts.append(whole)
    return _boxed(box[4:8], b"".join(parts))


def _boxed(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", 8 + len(content)) + kind + content


def _shifted(index: bytes, behind: int, more: int) -> bytes | None:
    """An index in which packets that lie `behind` a place lie `more` bytes later.

    None where a position grows too large for its field.
    """
    made = bytearray(index)
    for box in _below(index, 8, len(index), _TO_TABLES):
        at = box.begin + box.header
        (count,) = struct.unpack_from(">I", index, at + 4)
        letter = "I" if box.kind == b"stco" else "Q"
        positions = struct.unpack_from(f">{count}{letter}", index, at + 8)
        new = [place + more if place >= behind else place for place in positions]
        if letter == "I" and max(new, default=0) > _LARGEST_OFFSET:
            return None
        struct.pack_into(f">{count}{letter}", made, at + 8, *new)
    return bytes(made)


def _below(index: bytes, begin: int, end: int, path: Sequence[bytes]) -> Iterator[Box]:
    """The tables of positions at the end of a path of boxes."""
    for box in _children(index, begin, end):
        if path and box.kind == path[0]:
            yield from _below(index, box.begin + box.header, box.end, path[1:])
        elif not path and box.kind in _TABLES:
            yield box


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


def scaled_boxes(boxes: PrivateBoxes, video: int, scale: int) -> PrivateBoxes:
    """The boxes where the frames of the track `video` are `scale` times as large."""

    def grown(box: bytes) -> bytes:
        if box[8:24] != _SPHERICAL:
            return box
        numbers = _PIXELS.sub(lambda m: m[1] + str(int(m[2]) * scale).encode(), box[8:])
        return _boxed(b"uuid", numbers)

    trak = {track: tuple(map(grown, more)) for track, more in boxes.trak.items()}
    entry = tuple(with_larger_crop(one, scale) for one in boxes.entries.get(video, ()))
    entries = {**boxes.entries, video: entry} if entry else boxes.entries
    return replace(boxes, trak=trak, entries=entries)


def without_views(boxes: PrivateBoxes, video: int) -> PrivateBoxes:
    """The boxes where the track `video` has one view only."""
    entry = tuple(one for one in boxes.entries.get(video, ()) if one[4:8] not in VIEWS)
    return replace(boxes, entries={**boxes.entries, video: entry})


def with_larger_crop(box: bytes, scale: int) -> bytes:
    """A box that says a crop, of frames `scale` times as large; others as they are."""
    if box[4:8] != _CROP or len(box) != _CROP_SIZE:
        return box
    numbers = list(struct.unpack(">8i", box[8:]))  # width, height, place of the middle: fractions
    numbers[::2] = [number * scale for number in numbers[::2]]
    return box[:8] + struct.pack(">8i", *numbers)


def _named(box: bytes, place: str) -> str:
    return _called(box[4:8], box[8:24], f"{place}/")


def _called(kind: bytes, uuid: bytes, place: str = "") -> str:
    if kind != b"uuid":
        return f"the box {place}{kind.decode('latin-1').strip()}"
    return _UUIDS.get(uuid, f"the box {place}uuid {uuid[:4].hex()}")
