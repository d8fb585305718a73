"""XMP of images: mark an image as partly made by a network, and keep the rest of its packet."""

from __future__ import annotations

from facepipe.images.regions import move_regions, must_stay
from facepipe.images.turn import Turn
from facepipe.marking.xmp import (
    Name,
    change,
    change_size,
    descriptions_of,
    drop,
    is_blank,
    mark,
    new_packet,
    parsed,
    serialized,
)

_TIFF = "http://ns.adobe.com/tiff/1.0/"
_XMP = "http://ns.adobe.com/xap/1.0/"
#: Properties of images and videos that lie in the same file, behind a JPEG.
_POINTERS = frozenset(
    [
        "http://ns.adobe.com/hdr-gain-map/1.0/",
        "http://ns.google.com/photos/1.0/container/",
        "http://ns.google.com/photos/1.0/container/item/",
    ]
)
_CAMERA = "http://ns.google.com/photos/1.0/camera/"
_VIDEOS = ("MotionPhoto", "MicroVideo")
_THUMBNAILS = (_XMP, "Thumbnails")


def readable(packet: bytes) -> bool:
    """Whether a packet is empty, or RDF that can be kept."""
    return is_blank(packet) or parsed(packet) is not None


def keeps_orientation(packet: bytes) -> bool:
    """Whether a packet holds edits that are true only of the image as it lies in its file."""
    document = parsed(packet)
    return document is not None and must_stay(document)


def stamped(
    packet: bytes,
    note: str,
    width: int,
    height: int,
    *,
    turn: Turn | None = None,
    orientation: int = 1,
    is_alone: bool = True,
) -> bytes:
    """Mark a packet as a network's work, with `note` as its description and the new size.

    All else in `packet` stays, but for its orientation (now `orientation`), thumbnails, and, where
    the image `is_alone` in its file, pointers to videos and further images. What points into the
    image moves by `turn`, None: not at all. A description that it has stays, and `note` is left
    out. An empty or malformed packet is replaced by a new one. An empty `note`: nothing is marked,
    and without a packet the result is empty.
    """
    document = parsed(packet)
    if document is None:
        if not note:
            return b""
        document = new_packet()
    if turn is not None:
        move_regions(document, turn)

    def is_dropped(name: Name) -> bool:
        points = name[0] in _POINTERS or (name[0] == _CAMERA and name[1].startswith(_VIDEOS))
        return name == _THUMBNAILS or (points and is_alone)

    for description in descriptions_of(document):
        drop(description, is_dropped)
        change(document, description, (_TIFF, "Orientation"), str(orientation))
        change_size(document, description, width, height)
    if note:
        mark(document, note)
    return serialized(document)
