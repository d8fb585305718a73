"""Boxes of mp4 and mov that FFmpeg does not hand on: a camera's serial number, its places, XMP.

They are copied from one file to another as they are (`copied_boxes`). What FFmpeg knows of the
others it reads and writes itself. This goes when FFmpeg's mov muxer copies boxes that it does not
know.
"""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import BinaryIO, NamedTuple

from facepipe.video.pyav.isobmff import (
    TO_ENTRY,
    VIDEO_ENTRY,
    Box,
    boxed,
    boxes_in,
    boxes_to,
    whole_boxes,
)

#: What the boxes are called that FFmpeg reads too.
SPHERE = "the projection of a sphere"
#: Boxes of a sample entry that describe the frames: their crop, projection and views.
DESCRIBING = frozenset(b"clap sv3d st3d vexu hfov".split())
VIEWS = (b"st3d", b"vexu", b"hfov")  # those of them that tell of two views
#: Of dashcams: lists blocks that lie elsewhere in the file.
PLACES = b"gps "
_CROP, _CROP_SIZE = b"clap", 40
LARGEST_INDEX = 2**28  # bytes of a moov box that are read
_CHUNK = 2**20
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
_PADDING = (b"free", b"skip")
#: Where phones put the place. FFmpeg reads it, and writes another box with fewer digits to mp4.
_LOCATION = b"\xa9xyz"
_SPHERICAL = bytes.fromhex("ffcc8263f8554a938814587a02521fdd")  # XML, which tells sizes in pixels
#: The type of the box that holds XMP in mp4; in mov, a box of the user data does.
XMP_UUID, XMP_BOX = bytes.fromhex("be7acfcb97a942e89c71999491e3afac"), b"XMP_"
_UUIDS = {_SPHERICAL: SPHERE, XMP_UUID: "the XMP data"}
#: What names of them begin with that only the maker's own programs read, and what tells a place.
_BOX, _BEHIND, _PLACE = "the box ", "what lies behind its last box", "gps"
_PIXELS = re.compile(rb"(GSpherical:\w*Pixels>\s*)(\d+)")


@dataclass(frozen=True)
class PrivateBoxes:
    """What a file holds that FFmpeg does not hand on.

    `top` are ranges of the file, in bytes; `moov`, `udta` and, by a track's id, `trak` and
    `trak_udta` are whole boxes; `entries` are those in its sample entry that describe its
    frames; `blocks` are ranges that the table of places lists. `made` are whole boxes that are not
    from the file, and follow all others.
    """

    top: tuple[Box, ...] = ()
    moov: tuple[bytes, ...] = ()
    udta: tuple[bytes, ...] = ()
    trak: Mapping[int, tuple[bytes, ...]] = field(default_factory=dict)
    trak_udta: Mapping[int, tuple[bytes, ...]] = field(default_factory=dict)
    entries: Mapping[int, tuple[bytes, ...]] = field(default_factory=dict)
    blocks: tuple[tuple[int, int], ...] = ()
    uuids: tuple[bytes, ...] = ()  # of the top ones, empty for those of other types
    made: tuple[bytes, ...] = ()

    def __bool__(self) -> bool:
        whole = (self.top, self.moov, self.udta, self.made)
        return any(map(bool, (*whole, self.trak, self.trak_udta, self.entries)))

    @property
    def names(self) -> frozenset[str]:
        """What they are called, as messages do."""
        found = {
            _called(box.kind, uuid) if box.header else _BEHIND
            for box, uuid in zip(self.top, self.uuids, strict=True)
        }
        found |= {_named(one, "moov") for one in self.moov}
        found |= {_named(one, "udta") for one in self.udta if one[4:8] != _LOCATION}
        found |= {_named(one, "trak") for boxes in self.trak.values() for one in boxes}
        found |= {_named(one, "trak/udta") for boxes in self.trak_udta.values() for one in boxes}
        return frozenset(found)


def private_boxes(file: BinaryIO) -> PrivateBoxes:
    """What an mp4 or mov holds that FFmpeg does not hand on; nothing in a damaged index."""
    size = file.seek(0, io.SEEK_END)
    boxes = list(whole_boxes(file, size))
    moov = next((box for box in boxes if box.kind == b"moov"), None)
    top = tuple(box for box in boxes if _is_private(file, box))
    uuids = tuple(_uuid(file, box) for box in top)
    if moov is None or moov.end - moov.begin > LARGEST_INDEX:
        return PrivateBoxes(top, uuids=uuids)
    file.seek(moov.begin)
    index = file.read(moov.end - moov.begin)
    return replace(_within(index, moov.header, size), top=top, uuids=uuids)


def _is_private(file: BinaryIO, box: Box) -> bool:
    if not box.header:  # no box, behind all others; zeros fill a last block
        return any(_chunks(file, box.begin, box.end))
    if box.kind not in _PADDING:
        return box.kind not in _KNOWN_TOP
    file.seek(box.begin + box.header)
    content = file.read(min(box.end - box.begin - box.header, _CHUNK))
    inner = list(boxes_in(content, 0, len(content)))
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


class _Track(NamedTuple):
    """What a track holds that FFmpeg does not hand on, by the fields of PrivateBoxes."""

    number: int
    trak: tuple[bytes, ...]
    trak_udta: tuple[bytes, ...]
    entry: tuple[bytes, ...]


def _within(index: bytes, header: int, size: int) -> PrivateBoxes:
    """The private boxes of an index, whose own header has so many bytes."""
    inner = list(boxes_in(index, header, len(index)))
    tracks = _tracks(index, inner)
    own = _unknown(index, inner, _KNOWN_MOOV)
    listed = {one: _listed(one, size) for one in own if one[4:8] == PLACES}
    return PrivateBoxes(
        moov=tuple(one for one in own if listed.get(one, True)),
        udta=_private_udta(index, inner),
        trak=_filled((track.number, track.trak) for track in tracks),
        trak_udta=_filled((track.number, track.trak_udta) for track in tracks),
        entries=_filled((track.number, track.entry) for track in tracks),
        blocks=tuple(block for one in own for block in listed.get(one, ())),
    )


def _tracks(index: bytes, outer: Sequence[Box]) -> list[_Track]:
    tracks = []
    for box in outer:
        if box.kind == b"trak":
            inner = list(boxes_in(index, box.begin + box.header, box.end))
            own, told = _unknown(index, inner, _KNOWN_TRAK), _private_udta(index, inner)
            tracks.append(_Track(track_id(index, inner), own, told, _described(index, box)))
    return tracks


def _filled(pairs: Iterable[tuple[int, tuple[bytes, ...]]]) -> dict[int, tuple[bytes, ...]]:
    return {number: boxes for number, boxes in pairs if boxes}


def _unknown(index: bytes, inner: Sequence[Box], known: frozenset[bytes]) -> tuple[bytes, ...]:
    return tuple(index[box.begin : box.end] for box in inner if box.kind not in known)


def _described(index: bytes, track: Box) -> tuple[bytes, ...]:
    """The boxes in a track's first sample entry that describe its frames."""
    way = boxes_to(index, track.begin + track.header, track.end, TO_ENTRY)
    if not way:
        return ()
    inner = boxes_in(index, way[-1].begin + VIDEO_ENTRY, way[-1].end)
    return tuple(index[box.begin : box.end] for box in inner if box.kind in DESCRIBING)


def _private_udta(index: bytes, outer: Sequence[Box]) -> tuple[bytes, ...]:
    """The private boxes in the user data among boxes."""
    return tuple(
        index[box.begin : box.end]
        for udta in outer
        if udta.kind == b"udta"
        for box in boxes_in(index, udta.begin + udta.header, udta.end)
        if box.kind == _LOCATION
        or (box.kind not in _READ_UDTA and not box.kind.startswith(b"\xa9"))
    )


def track_id(index: bytes, inner: Sequence[Box]) -> int:
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


def scaled_boxes(boxes: PrivateBoxes, video: int, scale: int) -> PrivateBoxes:
    """The boxes where the frames of the track `video` are `scale` times as large."""

    def grown(box: bytes) -> bytes:
        if box[8:24] != _SPHERICAL:
            return box
        numbers = _PIXELS.sub(lambda m: m[1] + str(int(m[2]) * scale).encode(), box[8:])
        return boxed(b"uuid", numbers)

    trak = {track: tuple(map(grown, more)) for track, more in boxes.trak.items()}
    entry = tuple(with_larger_crop(one, scale) for one in boxes.entries.get(video, ()))
    entries = {**boxes.entries, video: entry} if entry else boxes.entries
    return replace(boxes, trak=trak, entries=entries)


def without_views(boxes: PrivateBoxes, video: int) -> PrivateBoxes:
    """The boxes where the track `video` has one view only."""
    entry = tuple(one for one in boxes.entries.get(video, ()) if one[4:8] not in VIEWS)
    return replace(boxes, entries={**boxes.entries, video: entry})


def crops_nothing(box: bytes, size: tuple[int, int]) -> bool:
    """Whether a box says a crop that leaves all of frames of that size (width, height)."""
    if box[4:8] != _CROP or len(box) != _CROP_SIZE:
        return False
    numbers = struct.unpack(">8i", box[8:])
    pairs = list(zip(numbers[::2], numbers[1::2], strict=True))
    return all(below for _, below in pairs) and [Fraction(*pair) for pair in pairs] == [*size, 0, 0]


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
        return f"{_BOX}{place}{kind.decode('latin-1').strip()}"
    return _UUIDS.get(uuid, f"{_BOX}{place}uuid {uuid[:4].hex()}")


def is_makers_own(name: str) -> bool:
    """Whether something that `PrivateBoxes.names` calls so is read by the maker's programs alone.

    Tables of places are not: they say where a video was made.
    """
    return name == _BEHIND or (name.startswith(_BOX) and _PLACE not in name.lower())
