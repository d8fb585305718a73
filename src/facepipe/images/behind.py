"""What lies behind the image in its file: a video, a gain map, further pictures.

Telephones append them to a JPEG, after its end of image, or as boxes to a HEIC. They are carried
over as they are. Where they are found is said in three ways: in an index of pictures (CIPA DC-007,
multi-picture format, MPF), in XMP by lengths from the end of the file, and at the very end by
offsets from there. The first alone changes with the image.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

from facepipe.images.exif import DamagedError, Tag, directory, layout_of

MPF_HEAD = b"MPF\0"
_ENTRIES, _ENTRY = 0xB002, 16  # the tag of the index, and bytes of an entry
_MARKER = re.compile(rb"\xff+([^\x00\xd0-\xd7\xff])", re.DOTALL)
_END, _SCAN = 0xD9, 0xDA
_PICTURE = re.compile(rb"\xff\xd8\xff")
_GAIN_MAPS = (b"hdrgm:", b"GainMap", b"aux:hdrgainmap", b"ts:21496:")
#: Boxes at the end of a HEIC or an AVIF that belong to the image itself.
_OWN_BOXES = frozenset([b"ftyp", b"meta", b"mdat", b"moov", b"free", b"skip", b"idat"])


def jpeg_end(source: bytes) -> int:
    """Where the first image of a JPEG is over; the end of the file where its mark is missing."""
    at = 2
    while (found := _MARKER.search(source, at)) is not None:
        marker, at = found[1][0], found.end()
        if marker == _END:
            return at
        if marker not in (0x01, 0xD8):  # these have no content; else its length follows
            at += max(int.from_bytes(source[at : at + 2], "big"), 2)
        # Behind a scan's header come its pixels: the next marker ends them.
    return len(source)


def behind_jpeg(source: bytes) -> bytes:
    """What comes after the first image of a JPEG, unless it is mere zeros."""
    rest = source[jpeg_end(source) :]
    return rest if rest.strip(b"\0") else b""


def behind_heif(source: bytes) -> bytes:
    """The boxes after those of the image in a HEIC or an AVIF, from the first one on."""
    at = 0
    while at + 8 <= len(source):
        size, name = struct.unpack_from(">I4s", source, at)
        if size == 1:
            size = int.from_bytes(source[at + 8 : at + 16], "big")
        if name not in _OWN_BOXES:
            return source[at:]
        if size < 8:  # up to the end of the file
            break
        at += size
    return b""


def contents(behind: bytes, beside: bytes = b"") -> tuple[str, ...]:
    """What lies there, in words; `beside` is what the image's own metadata say of it."""
    images, begin, _ = behind.partition(b"ftyp")
    pictures = len(_PICTURE.findall(images))
    gain_map = pictures > 0 and any(mark in behind or mark in beside for mark in _GAIN_MAPS)
    further = pictures - gain_map
    found = ["a gain map"] if gain_map else []
    if further:
        found.append("a further picture" if further == 1 else f"{further} further pictures")
    if begin:
        found.append("a video")
    return tuple(found) or ((f"{len(behind):,} bytes behind the image",) if behind else ())


def with_pictures_found(joined: bytes, before: tuple[int, int], behind: bytes) -> bytes:
    """A written JPEG with `behind` after it, and its index of pictures mended.

    `before` are where the index began in the source, and where the first image ended there.
    """
    index = mpf_at(joined)
    if not index:
        return joined + behind
    made = bytearray(joined)
    old_index, old_end = before
    for at in _entries(joined, index):
        order = "<" if joined[index : index + 2] == b"II" else ">"
        size, offset = struct.unpack_from(f"{order}II", joined, at + 4)
        if offset == 0:
            size = max(size - old_end, 0) + len(joined)
        elif offset + old_index >= old_end:
            offset += old_index - old_end + len(joined) - index
        struct.pack_into(f"{order}II", made, at + 4, size, offset)
    return bytes(made) + behind


def mpf_at(source: bytes) -> int:
    """Where the index of pictures begins, from which it counts its offsets; 0: there is none."""
    at = 2
    while source[at : at + 1] == b"\xff" and len(source) > at + 8:
        marker, size = source[at + 1], int.from_bytes(source[at + 2 : at + 4], "big")
        if marker == _SCAN:
            return 0
        if marker == 0xE2 and source.startswith(MPF_HEAD, at + 4):
            return at + 4 + len(MPF_HEAD)
        at += 1 if marker == 0xFF else 2 + max(size, 2)
    return 0


def _entries(source: bytes, index: int) -> Iterator[int]:
    """Where each entry of the index of pictures stands."""
    size = int.from_bytes(source[index - len(MPF_HEAD) - 2 : index - len(MPF_HEAD)], "big")
    body = source[index : index - len(MPF_HEAD) - 2 + size]
    try:
        layout = layout_of(body)
        tags, _ = directory(body, layout, layout.first)
    except DamagedError:
        return
    listed = tags.get(_ENTRIES, Tag(_ENTRIES, 7, 0, b""))
    for at in range(0, len(listed.value) - _ENTRY + 1, _ENTRY):
        yield index + listed.value_at + at
