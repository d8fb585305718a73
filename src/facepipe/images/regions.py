"""Where in an image its metadata point: regions of faces, the subject.

They count from the corner of the image as it is stored, before its orientation is applied, so they
turn and grow with it: EXIF's subject area and location (Exif 2.3), the regions of the Metadata
Working Group (MWG 2.0), which Lightroom, digiKam and Picasa write, Microsoft's, and the sizes of
Google's photo spheres.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar
from xml.dom import minidom

from facepipe.images.exif import (
    EXIF_DIRECTORY,
    DamagedError,
    directory,
    layout_of,
    with_numbers,
)

_SUBJECT_AREA, _SUBJECT_LOCATION = 0x9214, 0xA214
_LARGEST_SHORT = 65535
_AREA = "http://ns.adobe.com/xmp/sType/Area#"
_SIZE = "http://ns.adobe.com/xap/1.0/sType/Dimensions#"
_MWG = "http://www.metadataworkinggroup.com/schemas/regions/"
_MICROSOFT = "http://ns.microsoft.com/photo/1.2/t/Region#"
_EXIF = "http://ns.adobe.com/exif/1.0/"
_SPHERE = "http://ns.google.com/photos/1.0/panorama/"
Number = TypeVar("Number", int, float)
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"


@dataclass(frozen=True)
class Turn:
    """How the pixels that are written come from those that were stored.

    `width` and `height` are the stored ones, in pixels; `orientation` is EXIF's, 1..8, that was
    applied (1: none was); `scale` says how many times larger the image is.
    """

    width: int
    height: int
    orientation: int = 1
    scale: int = 1

    @property
    def changes(self) -> bool:
        """Whether anything moves at all."""
        return self.orientation != 1 or self.scale != 1

    @property
    def size(self) -> tuple[int, int]:
        """Width and height that are written, in pixels."""
        return self.pair(self.width * self.scale, self.height * self.scale)

    def pair(self, across: Number, down: Number) -> tuple[Number, Number]:
        """A width and a height, which change places where the image lay on its side."""
        return (down, across) if self.orientation > 4 else (across, down)

    def share(self, x: float, y: float) -> tuple[float, float]:
        """A point in shares of the stored width and height, in those that are written."""
        x, y = self.pair(x, y)
        if self.orientation in (2, 3, 6, 7):
            x = 1 - x
        if self.orientation in (3, 4, 7, 8):
            y = 1 - y
        return x, y

    def point(self, x: float, y: float) -> tuple[float, float]:
        """A point in stored pixels, in pixels that are written."""
        width, height = self.size
        x, y = self.share(x / self.width, y / self.height)
        return x * width, y * height


def moved_subject(exif: bytes, turn: Turn) -> bytes:
    """An EXIF structure whose subject area and location are where they were in the picture."""
    if not exif or not turn.changes:
        return exif
    layout = layout_of(exif)
    with suppress(DamagedError, ValueError, KeyError):
        tags, _ = directory(exif, layout, layout.first)
        (offset,) = tags[EXIF_DIRECTORY].numbers(layout.order)
        inner, _ = directory(exif, layout, offset)
        for number in (_SUBJECT_AREA, _SUBJECT_LOCATION):
            tag = inner.get(number)
            if tag is not None and len(tag.numbers(layout.order)) in (2, 3, 4):
                moved = _moved(tag.numbers(layout.order), turn)
                capped = [min(value, _LARGEST_SHORT) if tag.kind == 3 else value for value in moved]
                exif = with_numbers(exif, layout, tag, capped)
    return exif


def move_regions(document: minidom.Document, turn: Turn) -> None:
    """Move and enlarge, within an XMP packet, what points into the image."""
    if not turn.changes:
        return
    for element in _all(document):
        if element.namespaceURI == _MWG and element.localName == "Regions":
            _move_mwg(element, turn)
        elif element.namespaceURI == _EXIF and element.localName in (
            "SubjectArea",
            "SubjectLocation",
        ):
            _move_sequence(element, turn)
        _move_rectangles(element, turn)
        _grow_sphere(element, turn.scale)


def _moved(numbers: tuple[int, ...], turn: Turn) -> list[int]:
    """A point, a circle (its centre and diameter) or a rectangle (its centre, width, height)."""
    lengths: tuple[float, ...] = tuple(length * turn.scale for length in numbers[2:])
    if len(lengths) == 2:
        lengths = turn.pair(*lengths)
    return [max(round(value), 0) for value in (*turn.point(*numbers[:2]), *lengths)]


def _move_mwg(regions: minidom.Element, turn: Turn) -> None:
    """Move the areas of regions, unless they are told of the image as it is shown."""
    final = turn.size
    areas = [area for area in _all(regions) if set(_values(area, _AREA)) >= {"x", "y"}]
    if turn.orientation > 4 and _are_of_shown(regions, turn):
        turn = Turn(*turn.pair(turn.width, turn.height), 1, turn.scale)
    for area in areas:
        values = _values(area, _AREA)
        with suppress(ValueError):
            numbers = {key: float(values[key]) for key in "xywhd" if key in values}
            moved = _moved_area(numbers, turn, in_pixels=values.get("unit") == "pixel")
            _set(area, _AREA, {key: _number(moved[key]) for key in numbers})
    for size in _all(regions):
        _set(size, _SIZE, dict(zip("wh", map(_number, final), strict=True)))


def _are_of_shown(regions: minidom.Element, turn: Turn) -> bool:
    """Whether the size that regions were told for is that of the image as it is shown."""
    applied = next((_values(e, _SIZE) for e in _all(regions) if _values(e, _SIZE)), {})
    with suppress(KeyError, ValueError):
        wide = float(applied["w"]) > float(applied["h"])
        return turn.width != turn.height and wide != (turn.width > turn.height)
    return False


def _moved_area(numbers: Mapping[str, float], turn: Turn, *, in_pixels: bool) -> dict[str, float]:
    """An area's centre, width, height and diameter, in pixels or as shares."""
    grown = turn.scale if in_pixels else 1
    x, y = (turn.point if in_pixels else turn.share)(numbers["x"], numbers["y"])
    w, h = turn.pair(numbers.get("w", 0) * grown, numbers.get("h", 0) * grown)
    return {"x": x, "y": y, "w": w, "h": h, "d": numbers.get("d", 0) * grown}


def _move_rectangles(element: minidom.Element, turn: Turn) -> None:
    """Microsoft's regions: left, top, width and height in one text, as shares."""
    given = _values(element, _MICROSOFT).get("Rectangle")
    with suppress(ValueError, AttributeError):
        x, y, w, h = (float(number) for number in given.split(","))  # type: ignore[union-attr]
        ends = [turn.share(x, y), turn.share(x + w, y + h)]
        left, top = (min(pair) for pair in zip(*ends, strict=True))
        moved = (left, top, *turn.pair(w, h))
        _set(element, _MICROSOFT, {"Rectangle": ", ".join(map(_number, moved))})


def _move_sequence(element: minidom.Element, turn: Turn) -> None:
    items = [e for e in _all(element) if (e.namespaceURI, e.localName) == (_RDF, "li")]
    with suppress(ValueError):
        numbers = tuple(int(_text(item)) for item in items)
        if len(numbers) in (2, 3, 4):
            for item, value in zip(items, _moved(numbers, turn), strict=True):
                _write(item, str(value))


def _grow_sphere(element: minidom.Element, scale: int) -> None:
    """The sizes and places of a photo sphere, in pixels."""
    for name, value in _values(element, _SPHERE).items():
        if name.endswith(("Pixels", "RectLeft", "RectTop", "RectWidth", "RectHeight")):
            with suppress(ValueError):
                _set(element, _SPHERE, {name: _number(float(value) * scale)})


def _all(parent: minidom.Document | minidom.Element) -> Iterator[minidom.Element]:
    """An element and all below it, in the order of the document."""
    waiting = [parent]
    while waiting:
        node = waiting.pop()
        if isinstance(node, minidom.Element):
            yield node
        below = reversed(node.childNodes)
        waiting += [child for child in below if isinstance(child, minidom.Element)]


def _values(element: minidom.Element, namespace: str) -> dict[str, str]:
    """Properties of one namespace, which XMP writes as attributes or as elements."""
    found = {
        str(attribute.localName): str(attribute.value)
        for attribute in element.attributes.values()
        if attribute.namespaceURI == namespace
    }
    for child in element.childNodes:
        if isinstance(child, minidom.Element) and child.namespaceURI == namespace:
            found[str(child.localName)] = _text(child)
    return found


def _set(element: minidom.Element, namespace: str, values: dict[str, str]) -> None:
    """Change properties that an element has, in the form that they have."""
    for attribute in list(element.attributes.values()):
        if attribute.namespaceURI == namespace and attribute.localName in values:
            attribute.value = values[attribute.localName]
    for child in element.childNodes:
        if not isinstance(child, minidom.Element) or child.namespaceURI != namespace:
            continue
        if child.localName in values:
            _write(child, values[child.localName])


def _text(element: minidom.Element) -> str:
    return "".join(n.data for n in element.childNodes if isinstance(n, minidom.Text)).strip()


def _write(element: minidom.Element, text: str) -> None:
    while element.firstChild is not None:
        element.removeChild(element.firstChild)
    assert element.ownerDocument is not None
    element.appendChild(element.ownerDocument.createTextNode(text))


def _number(value: float) -> str:
    return f"{value:.9f}".rstrip("0").rstrip(".")
