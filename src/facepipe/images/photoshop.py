"""Photoshop's image resources in a JPEG or a TIFF: a thumbnail, paths and guides move along.

Layout: Adobe Photoshop File Formats Specification, "Image Resources Section". IPTC's texts are
among the resources and stay as they are.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence

from facepipe.images.containers import Block, jpeg_head
from facepipe.images.exif import DamagedError
from facepipe.images.turn import Turn

HEAD = b"Photoshop 3.0\0"
_APP13 = b"\xed"
_MOST = 65533 - len(HEAD)  # bytes of resources in a segment
_SIGNATURES = frozenset([b"8BIM", b"MeSa", b"PHUT", b"AgHg", b"DCSR"])
_GUIDES, _THUMBNAIL, _SLICES = 0x408, 0x40C, 0x41A
_THUMBNAILS = frozenset([0x409, _THUMBNAIL])  # of Photoshop 4, and of later ones
_PATHS = range(0x7D0, 0xBB7)
_RECORD, _POINTS = 26, frozenset([1, 2, 4, 5])  # bytes of a record of a path; those with points
_SHARE, _GUIDE = 2**24, 32  # units: of an image's side, of a pixel
#: A resource: its signature, number and name (with its length and padding), and what it holds.
Resource = tuple[bytes, int, bytes, bytes]


def moved_segments(
    blocks: Sequence[Block], turn: Turn, thumbnail: Callable[[int], bytes]
) -> tuple[Block, ...]:
    """A JPEG's segments, those with resources as `moved_resources` makes them."""
    given = b"".join(block[1][len(HEAD) :] for block in blocks if _is_own(block))
    made = moved_resources(given, turn, thumbnail)
    if made == given:
        return tuple(blocks)
    pieces = [made[at : at + _MOST] for at in range(0, len(made), _MOST)]
    first = next(place for place, block in enumerate(blocks) if _is_own(block))
    rest = [block for block in blocks[first:] if not _is_own(block)]
    return (*blocks[:first], *((_APP13, HEAD + piece) for piece in pieces), *rest)


def moved_resources(data: bytes, turn: Turn, thumbnail: Callable[[int], bytes]) -> bytes:
    """Resources that are true of the image that is written.

    `thumbnail` makes a JPEG by its longest side. Resources that make no sense stay as they are.
    """
    try:
        given = list(_resources(data))
    except DamagedError:
        return data
    made = (_moved(one, turn) for one in given if one[1] not in _THUMBNAILS)
    kept = list(filter(None, made))
    side = max((_side(body) for _, number, _, body in given if number in _THUMBNAILS), default=0)
    small = thumbnail(side) if side else b""
    if small:
        kept.append((b"8BIM", _THUMBNAIL, b"\0\0", _thumbnail_body(small)))
    return data if kept == given else b"".join(map(_written, kept))


def _side(body: bytes) -> int:
    """The longest side of a thumbnail, in pixels."""
    return max(struct.unpack_from(">II", body, 4)) if len(body) >= 12 else 0


def _is_own(block: Block) -> bool:
    return block[0] == _APP13 and block[1].startswith(HEAD)


def _resources(data: bytes) -> Iterator[Resource]:
    at = 0
    while at + 12 <= len(data):
        signature, number, length = struct.unpack_from(">4sHB", data, at)
        name_end = at + 6 + length + 1 + (length + 1) % 2
        if signature not in _SIGNATURES or name_end + 4 > len(data):
            raise DamagedError("no resource of Photoshop")
        size = int.from_bytes(data[name_end : name_end + 4], "big")
        body = data[name_end + 4 : name_end + 4 + size]
        if len(body) < size:
            raise DamagedError("a resource of Photoshop leaves its segment")
        yield signature, number, data[at + 6 : name_end], body
        at = name_end + 4 + size + size % 2


def _written(resource: Resource) -> bytes:
    signature, number, name, body = resource
    head = signature + struct.pack(">H", number) + name + struct.pack(">I", len(body))
    return head + body + bytes(len(body) % 2)


def _moved(resource: Resource, turn: Turn) -> Resource | None:
    """A resource that points into the image, moved; None: it is left out."""
    signature, number, name, body = resource
    if not turn.changes:
        return resource
    if number == _SLICES:
        return None  # of a page that was cut up for the web
    if number == _GUIDES:
        body = _moved_guides(body, turn)
    elif number in _PATHS:
        body = _moved_path(body, turn)
    return signature, number, name, body


def _moved_guides(body: bytes, turn: Turn) -> bytes:
    """Guides: places in 1/32 px, and whether they lie across (1) or upright (0)."""
    made = bytearray(body)
    for at in range(16, len(body) - 4, 5):
        place, across = struct.unpack_from(">iB", body, at)
        point = (0, place / _GUIDE) if across else (place / _GUIDE, 0)
        x, y = turn.point(*point)
        lies_across = bool(across) != (turn.orientation > 4)
        struct.pack_into(">iB", made, at, round((y if lies_across else x) * _GUIDE), lies_across)
    return bytes(made)


def _moved_path(body: bytes, turn: Turn) -> bytes:
    """A path's points: y and x as shares of the height and width, three to a knot."""
    made = bytearray(body)
    for at in range(0, len(body) - _RECORD + 1, _RECORD):
        if int.from_bytes(body[at : at + 2], "big") not in _POINTS:
            continue
        for place in range(at + 2, at + _RECORD, 8):
            y, x = struct.unpack_from(">ii", body, place)
            x, y = turn.share(x / _SHARE, y / _SHARE)
            limited = [max(min(round(v * _SHARE), 2**31 - 1), -(2**31)) for v in (y, x)]
            struct.pack_into(">ii", made, place, *limited)
    return bytes(made)


def _thumbnail_body(jpeg: bytes) -> bytes:
    head = jpeg_head(jpeg)
    row = (head.width * 24 + 31) // 32 * 4
    sizes = (1, head.width, head.height, row, row * head.height, len(jpeg), 24, 1)
    return struct.pack(">IIIIIIHH", *sizes) + jpeg
