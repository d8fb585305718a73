"""The mark of a network's work in a target: XMP in mp4 and mov, a key of the metadata elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Literal

from facepipe.marking.xmp import LARGEST_PACKET, SOURCE_TYPE, marked, source_type_of
from facepipe.video.containers import MOV, Container
from facepipe.video.pyav.isobmff import boxed
from facepipe.video.pyav.private_boxes import XMP_BOX, XMP_UUID, PrivateBoxes, private_boxes
from facepipe.video.sources import open_bytes, open_source

#: The key that says where media come from, in the words of IPTC, where there is no XMP.
SOURCE_KEY = "DIGITAL_SOURCE_TYPE"
_UUID_HEAD, _UDTA_HEAD = 16, 8  # bytes before a packet: in a uuid box's content, in a whole box

Place = Literal["uuid", "udta"]


@dataclass(frozen=True)
class _Packet:
    """XMP of a source: where it lies, as the number of a box there, and its bytes."""

    place: Place
    number: int
    content: bytes


def mark_keys(container: Container, note: str) -> Mapping[str, str]:
    """The keys of metadata that mark a target, where it holds no XMP; none without a `note`."""
    return {} if not note or container.xmp is not None else {SOURCE_KEY: SOURCE_TYPE}


def with_mark(
    boxes: PrivateBoxes, given: BinaryIO, place: Place, note: str, size: tuple[int, int]
) -> PrivateBoxes:
    """The boxes of the file `given` with XMP that marks the target as a network's work.

    Packets that the source has are marked, and keep all else; the first one lies at `place`, which
    is that of the target, those after it where they were. One that cannot be read stays as it is,
    and a new one is made. `note` is the description, where a packet has none; `size` the new width
    and height in pixels. Errors: OSError as the disk does.
    """
    packets = sorted(_packets(boxes, given), key=lambda one: one.place != place)
    told = [(one, marked(one.content, note, *size)) for one in packets]
    readable = [(one, content) for one, content in told if content is not None]
    first = b"" if readable else marked(b"", note, *size) or b""
    made: list[tuple[Place, bytes]] = [(place, first)] if first else []
    for one, content in readable:
        made.append((one.place if made else place, content))
    boxes = _without(boxes, [one for one, _ in readable])
    return replace(
        boxes,
        made=(*boxes.made, *(boxed(b"uuid", XMP_UUID + one) for at, one in made if at == "uuid")),
        udta=(*boxes.udta, *(boxed(XMP_BOX, one) for at, one in made if at == "udta")),
    )


def _packets(boxes: PrivateBoxes, given: BinaryIO) -> Iterator[_Packet]:
    """The packets among boxes of a file, but for those too large to be read."""
    for number, (box, uuid) in enumerate(zip(boxes.top, boxes.uuids, strict=True)):
        begin = box.begin + box.header + _UUID_HEAD
        if uuid == XMP_UUID and 0 <= box.end - begin <= LARGEST_PACKET:
            given.seek(begin)
            yield _Packet("uuid", number, given.read(box.end - begin))
    for number, whole in enumerate(boxes.udta):
        if whole[4:8] == XMP_BOX and len(whole) <= LARGEST_PACKET:
            yield _Packet("udta", number, whole[_UDTA_HEAD:])


def _without(boxes: PrivateBoxes, packets: list[_Packet]) -> PrivateBoxes:
    """The boxes without those that hold the packets."""
    top = {one.number for one in packets if one.place == "uuid"}
    udta = {one.number for one in packets if one.place == "udta"}
    return replace(
        boxes,
        top=tuple(box for number, box in enumerate(boxes.top) if number not in top),
        uuids=tuple(uuid for number, uuid in enumerate(boxes.uuids) if number not in top),
        udta=tuple(box for number, box in enumerate(boxes.udta) if number not in udta),
    )


def told_source_type(path: Path) -> str | None:
    """Where a video says that it comes from, in IPTC's words; None: it does not say.

    Errors: InputError as `open_source`, OSError as the disk does.
    """
    with open_source(path) as opened:
        told = {key.upper(): value for key, value in opened.metadata.items()}
        if not MOV.matches(opened.format.name):
            return told.get(SOURCE_KEY)
    with open_bytes(path) as file:
        packets = list(_packets(private_boxes(file), file))
    return next(filter(None, (source_type_of(one.content) for one in packets)), None)
