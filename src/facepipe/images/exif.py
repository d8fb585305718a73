"""Tag directories of EXIF and TIFF: read, change and join them.

A *tag structure* is what follows the "Exif" of an image, or a TIFF file: a header of eight bytes
(sixteen for BigTIFF) and directories that refer to each other by offsets from the header's start.
An EXIF structure is changed in place, so that what a camera's maker hid between the tags (notes
with offsets of their own) stays valid.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

ORIENTATION, IMAGE_WIDTH, IMAGE_HEIGHT = 0x112, 0x100, 0x101
EXIF_DIRECTORY, GPS_DIRECTORY = 0x8769, 0x8825
PIXEL_WIDTH, PIXEL_HEIGHT = 0xA002, 0xA003
PHOTOSHOP = 0x8649
_THUMBNAIL_OFFSET, _THUMBNAIL_SIZE = 0x201, 0x202
_COMPRESSION, _RESOLUTIONS, _RESOLUTION_UNIT = 0x103, (0x11A, 0x11B), 0x128
_SHORT, _LONG = 3, 4
#: Bytes of one value, and of its words, by the kind of a tag: BYTE, ASCII, SHORT, LONG, ...
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_BIG_SIZES = _SIZES | {16: 8, 17: 8, 18: 8}
_WORDS = _BIG_SIZES | {5: 4, 10: 4}
_LETTERS = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
#: Tags of a TIFF that describe the image, and not how its pixels are stored.
_DESCRIPTIVE = frozenset(
    (
        *(269, 270, 271, 272, 282, 283, 285, 286, 287, 296, 297, 305, 306, 315, 316, 318, 319),
        *(0x4746, 0x4749, 0x8298, 0x83BB, PHOTOSHOP, 0x8773, 0xC4A5),  # ratings, IPTC, ICC
        *(0x9003, 0x9004, 0x9C9B, 0x9C9C, 0x9C9D, 0x9C9E, 0x9C9F),
    )
)


@dataclass(frozen=True)
class _Form:
    """How a directory is stored, in letters of `struct`; an entry ends in a value or its offset."""

    count: str  # of its entries
    entry: str  # number, kind and count of values
    entry_size: int  # bytes
    offset: str
    sizes: Mapping[int, int]  # of one value, by kind


_CLASSIC = _Form("H", "HHI", 12, "I", _SIZES)
_BIG = _Form("Q", "HHQ", 20, "Q", _BIG_SIZES)


class DamagedError(ValueError):
    """Bytes that contradict their format."""


@dataclass(frozen=True)
class Layout:
    """Header of a tag structure: byte order "<" or ">", BigTIFF or not, first directory."""

    order: str
    big: bool
    first: int


@dataclass(frozen=True)
class Tag:
    """One entry of a directory.

    `value` holds `count` values of `kind` (TIFF's numbers), in the byte order of the structure;
    `at` is where the entry itself stands, `value_at` where its value does.
    """

    number: int
    kind: int
    count: int
    value: bytes
    at: int = 0
    value_at: int = 0

    def numbers(self, order: str) -> tuple[int, ...]:
        """The values of an integer tag; none for other kinds."""
        letter = _LETTERS.get(self.kind)
        return struct.unpack(f"{order}{self.count}{letter}", self.value) if letter else ()


def layout_of(data: bytes) -> Layout:
    """Read the header of a tag structure; DamagedError where there is none."""
    order = {b"II": "<", b"MM": ">"}.get(bytes(data[:2]))
    if order is None or len(data) < 8:
        raise DamagedError("no tag structure")
    magic, first = struct.unpack_from(f"{order}HI", data, 2)
    if magic == 43 and len(data) >= 16:
        return Layout(order, True, struct.unpack_from(f"{order}Q", data, 8)[0])
    if magic != 42:
        raise DamagedError("no tag structure")
    return Layout(order, False, first)


def directory(data: bytes, layout: Layout, offset: int) -> tuple[dict[int, Tag], int]:
    """The tags at `offset` by number, and the offset of the next directory (0: none).

    DamagedError where the directory leaves the data or its values overlap; tags whose value
    leaves it are left out.
    """
    order, form = layout.order, _BIG if layout.big else _CLASSIC
    try:
        (count,) = struct.unpack_from(order + form.count, data, offset)
        start = offset + struct.calcsize(order + form.count)
        end = start + count * form.entry_size
        (following,) = struct.unpack_from(order + form.offset, data, end)
    except (struct.error, OverflowError, IndexError) as error:
        raise DamagedError("a directory of tags leaves the file") from error
    room = struct.calcsize(order + form.offset)
    tags: dict[int, Tag] = {}
    total = 0
    for at in range(start, end, form.entry_size):
        number, kind, values = struct.unpack_from(order + form.entry, data, at)
        size = form.sizes.get(kind, 0) * values
        value_at = at + form.entry_size - room
        if size > room:
            (value_at,) = struct.unpack_from(order + form.offset, data, value_at)
        total += size
        if total > 2 * len(data):  # else a few bytes could make many
            raise DamagedError("the tags hold more than the file")
        value = bytes(data[value_at : value_at + size])
        if kind in form.sizes and len(value) == size:
            tags.setdefault(number, Tag(number, kind, values, value, at, value_at))
    return tags, following


def directories(data: bytes, layout: Layout) -> Iterator[dict[int, Tag]]:
    """The chain of directories, each once; DamagedError where one leaves the data."""
    offset, seen = layout.first, set[int]()
    while offset and offset not in seen:
        seen.add(offset)
        tags, offset = directory(data, layout, offset)
        yield tags


def orientation_of(exif: bytes) -> int:
    """EXIF's orientation, 1 to 8; 1 where it is missing or invalid."""
    layout = layout_of(exif)
    tags, _ = directory(exif, layout, layout.first)
    numbers = tags[ORIENTATION].numbers(layout.order) if ORIENTATION in tags else ()
    return numbers[0] if numbers and 1 <= numbers[0] <= 8 else 1


def upright(exif: bytes) -> bytes:
    """Set the orientation to 1, where there is one, and remove the thumbnail."""
    layout = layout_of(exif)
    changed = bytearray(exif)
    tags, following = directory(exif, layout, layout.first)
    if ORIENTATION in tags:
        _put(changed, layout, tags[ORIENTATION], _SHORT, 1)
    if not following or layout.big:
        return bytes(changed)
    struct.pack_into(f"{layout.order}I", changed, layout.first + 2 + 12 * _count(exif, layout), 0)
    try:
        thumbnail, _ = directory(exif, layout, following)
        (start,) = thumbnail[_THUMBNAIL_OFFSET].numbers(layout.order)
        (size,) = thumbnail[_THUMBNAIL_SIZE].numbers(layout.order)
    except (DamagedError, KeyError, ValueError):
        return bytes(changed)
    if start + size == len(exif):
        return bytes(changed[:start])
    changed[start : start + size] = bytes(len(changed[start : start + size]))
    return bytes(changed)


def thumbnail_of(exif: bytes) -> tuple[bytes, int] | None:
    """The thumbnail of an EXIF structure (empty: it is no JPEG), and its longest side as told.

    The side is 0 where none is told. None: there is no thumbnail. DamagedError: as `directory`.
    """
    layout = layout_of(exif)
    _, following = directory(exif, layout, layout.first)
    if not following or layout.big:
        return None
    tags, _ = directory(exif, layout, following)

    def number(wanted: int) -> int:
        return next(iter(tags[wanted].numbers(layout.order)), 0) if wanted in tags else 0

    start, size = number(_THUMBNAIL_OFFSET), number(_THUMBNAIL_SIZE)
    return exif[start : start + size], max(number(IMAGE_WIDTH), number(IMAGE_HEIGHT))


def with_thumbnail(exif: bytes, jpeg: bytes) -> bytes:
    """Add a thumbnail to a structure that has none; see `upright`."""
    layout = layout_of(exif)
    padded = exif + bytes(len(exif) % 2)
    at, order = len(padded), layout.order
    values = at + 2 + 12 * 6 + 4  # two fractions, then the thumbnail
    entries = [
        struct.pack(f"{order}HHIHH", _COMPRESSION, _SHORT, 1, 6, 0),
        struct.pack(f"{order}HHII", _RESOLUTIONS[0], 5, 1, values),
        struct.pack(f"{order}HHII", _RESOLUTIONS[1], 5, 1, values + 8),
        struct.pack(f"{order}HHIHH", _RESOLUTION_UNIT, _SHORT, 1, 2, 0),
        struct.pack(f"{order}HHII", _THUMBNAIL_OFFSET, _LONG, 1, values + 16),
        struct.pack(f"{order}HHII", _THUMBNAIL_SIZE, _LONG, 1, len(jpeg)),
    ]
    made = bytearray(padded)
    struct.pack_into(f"{order}I", made, layout.first + 2 + 12 * _count(exif, layout), at)
    head = struct.pack(f"{order}H", len(entries)) + b"".join(entries) + bytes(4)
    return bytes(made) + head + 2 * struct.pack(f"{order}II", 72, 1) + jpeg


def with_orientation(exif: bytes, orientation: int) -> bytes:
    """Set the orientation, where there is one."""
    layout = layout_of(exif)
    tags, _ = directory(exif, layout, layout.first)
    changed = bytearray(exif)
    if ORIENTATION in tags:
        _put(changed, layout, tags[ORIENTATION], _SHORT, orientation)
    return bytes(changed)


def resized(exif: bytes, width: int, height: int) -> bytes:
    """Set the image's size in pixels, where the structure has one."""
    layout = layout_of(exif)
    changed = bytearray(exif)
    tags, _ = directory(exif, layout, layout.first)
    found = [tags.get(IMAGE_WIDTH), tags.get(IMAGE_HEIGHT)]
    if EXIF_DIRECTORY in tags:
        try:
            (offset,) = tags[EXIF_DIRECTORY].numbers(layout.order)
            inner, _ = directory(exif, layout, offset)
        except (DamagedError, ValueError):
            inner = {}
        found += [inner.get(PIXEL_WIDTH), inner.get(PIXEL_HEIGHT)]
    for tag, value in zip(found, (width, height, width, height), strict=False):
        if tag is not None:
            _put(changed, layout, tag, _LONG, value)
    return bytes(changed)


def without_orientation(exif: bytes) -> bytes:
    """Remove the orientation tag, which means an upright image.

    Pillow rewrites an EXIF with that tag when it makes an AVIF; one without it stays as it is.
    """
    layout = layout_of(exif)
    tags, _ = directory(exif, layout, layout.first)
    if ORIENTATION not in tags or layout.big:
        return exif
    changed, at, count = bytearray(exif), tags[ORIENTATION].at, _count(exif, layout)
    end = layout.first + 2 + 12 * count + 4
    changed[at : end - 12] = exif[at + 12 : end]
    changed[end - 12 : end] = bytes(12)
    struct.pack_into(f"{layout.order}H", changed, layout.first, count - 1)
    return bytes(changed)


def descriptive(tiff: bytes) -> bytes:
    """The descriptive tags of a TIFF file, as a little-endian structure of their own.

    They are those of its first directory, and all of its EXIF and GPS directories.
    """
    layout = layout_of(tiff)
    tags, _ = directory(tiff, layout, layout.first)
    kept: dict[int, Tag | dict[int, Tag]] = {
        number: _little(tag, layout) for number, tag in tags.items() if number in _DESCRIPTIVE
    }
    for number in (EXIF_DIRECTORY, GPS_DIRECTORY):
        if number not in tags:
            continue
        try:
            (offset,) = tags[number].numbers(layout.order)
            inner, _ = directory(tiff, layout, offset)
        except (DamagedError, ValueError):
            continue
        kept[number] = {key: _little(tag, layout) for key, tag in inner.items() if tag.kind <= 13}
    return b"II*\0\x08\0\0\0" + _serialized(kept, 8)


def with_tags(tiff: bytes, exif: bytes, more: Sequence[Tag]) -> bytes:
    """Add to a little-endian classic TIFF of one directory what `descriptive` took out of another.

    `more` are little-endian tags that take precedence. The pixels stay where they are; a new
    directory at the end takes the place of the old one.
    """
    layout = layout_of(tiff)
    tags, _ = directory(tiff, layout, layout.first)
    if layout.big or layout.order != "<":
        raise DamagedError("not a little-endian classic TIFF")
    own: dict[int, Tag | dict[int, Tag]] = {
        number: tag for number, tag in tags.items() if number not in _DESCRIPTIVE
    }
    source = layout_of(exif)
    for number, tag in directory(exif, source, source.first)[0].items():
        if number in (EXIF_DIRECTORY, GPS_DIRECTORY):
            own[number] = directory(exif, source, tag.numbers("<")[0])[0]
        else:
            own[number] = tag
    own |= {tag.number: tag for tag in more}
    padded = tiff + bytes(len(tiff) % 2)
    if len(padded) >= 2**32:
        raise DamagedError("more than a TIFF file holds")
    joined = bytearray(padded + _serialized(own, len(padded)))
    struct.pack_into("<I", joined, 4, len(padded))
    return bytes(joined)


def with_numbers(data: bytes, layout: Layout, tag: Tag, numbers: Sequence[int]) -> bytes:
    """Replace the values of an integer tag by as many others."""
    changed = bytearray(data)
    form = f"{layout.order}{tag.count}{_LETTERS[tag.kind]}"
    struct.pack_into(form, changed, tag.value_at, *numbers)
    return bytes(changed)


def _count(data: bytes, layout: Layout) -> int:
    return int(struct.unpack_from(f"{layout.order}H", data, layout.first)[0])


def _put(data: bytearray, layout: Layout, tag: Tag, kind: int, value: int) -> None:
    """Write one number into an entry, in place."""
    head, room = ("HQ", 8) if layout.big else ("HI", 4)
    number = struct.pack(layout.order + ("H" if kind == _SHORT else "I"), value)
    entry = struct.pack(layout.order + head, kind, 1) + number.ljust(room, b"\0")
    data[tag.at + 2 : tag.at + 2 + len(entry)] = entry


def _little(tag: Tag, layout: Layout) -> Tag:
    word = _WORDS[tag.kind]
    if layout.order == "<" or word == 1:
        return tag
    return replace(tag, value=np.frombuffer(tag.value, f">u{word}").astype(f"<u{word}").tobytes())


def _serialized(tags: dict[int, Tag | dict[int, Tag]], base: int) -> bytes:
    """A little-endian directory that stands at `base`, followed by its values."""
    entries, values = b"", b""
    after = base + 2 + 12 * len(tags) + 4
    for number in sorted(tags):
        tag = tags[number]
        if isinstance(tag, dict):
            inner = _serialized(dict(tag), after + len(values))
            tag = Tag(number, _LONG, 1, struct.pack("<I", after + len(values)))
            values += inner + bytes(len(inner) % 2)
        head = struct.pack("<HHI", number, tag.kind, tag.count)
        if len(tag.value) <= 4:
            entries += head + tag.value.ljust(4, b"\0")
        else:
            entries += head + struct.pack("<I", after + len(values))
            values += tag.value + bytes(len(tag.value) % 2)
    return struct.pack("<H", len(tags)) + entries + bytes(4) + values
