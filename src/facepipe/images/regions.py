"""Where in an image its metadata point: regions of faces, the subject, a crop.

They count from the corner of the image as it is stored, before its orientation is applied, so they
turn and grow with it: EXIF's subject area and location (Exif 2.3), the regions of the Metadata
Working Group (MWG 2.0), which Lightroom, digiKam and Picasa write, and what Apple adds to them,
those of ACDSee, of Microsoft and of the IPTC (Photo Metadata 2019.1), the crop of Camera Raw, the
focal point of Google's depth maps, and the sizes of its photo spheres.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from xml.dom import minidom

from facepipe.images.exif import (
    EXIF_DIRECTORY,
    DamagedError,
    directory,
    layout_of,
    with_numbers,
)
from facepipe.images.turn import Turn
from facepipe.marking.rdf import (
    RDF,
    change_properties,
    elements_below,
    number_text,
    properties,
    text_of,
    write_text,
)

_SUBJECT_AREA, _SUBJECT_LOCATION = 0x9214, 0xA214
_LARGEST_SHORT = 65535
_AREA = "http://ns.adobe.com/xmp/sType/Area#"
_MWG = "http://www.metadataworkinggroup.com/schemas/regions/"
#: Lists of regions: the namespaces of their areas and of the size that they were made for.
_LISTS = {
    _MWG: (_AREA, "http://ns.adobe.com/xap/1.0/sType/Dimensions#"),
    "http://ns.acdsee.com/regions/": (
        "http://ns.acdsee.com/sType/Area#",
        "http://ns.acdsee.com/sType/Dimensions#",
    ),
}
_APPLE = "http://ns.apple.com/faceinfo/1.0/"
_MICROSOFT = "http://ns.microsoft.com/photo/1.2/t/Region#"
_IPTC = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
_CAMERA_RAW = "http://ns.adobe.com/camera-raw-settings/1.0/"
_EXIF = "http://ns.adobe.com/exif/1.0/"
_SPHERE = "http://ns.google.com/photos/1.0/panorama/"
_FOCUS = "http://ns.google.com/photos/1.0/focus/"
_SUBJECTS = ("SubjectArea", "SubjectLocation")
#: Edits of Camera Raw that are drawn into the image, and those that lean it.
_DRAWN = frozenset(
    (
        *("RedEyeInfo", "RetouchInfo", "RetouchAreas", "GradientBasedCorrections"),
        *("CircularGradientBasedCorrections", "PaintBasedCorrections"),
        "MaskGroupBasedCorrections",
    )
)
_LEANING = (
    *("CropAngle", "PerspectiveVertical", "PerspectiveHorizontal"),
    *("PerspectiveRotate", "PerspectiveAspect"),
)


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
    listed: set[int] = set()
    for element in elements_below(document):
        space, name = str(element.namespaceURI), element.localName
        if space in _LISTS and name == "Regions":
            listed |= _move_list(element, turn, *_LISTS[space])
        elif space == _EXIF and name in _SUBJECTS:
            _move_sequence(element, turn)
        elif space == _IPTC and name == "RegionBoundary":
            _move_boundary(element, turn)
        if id(element) not in listed:
            _move_area(element, turn, _AREA)  # as in IPTC's regions of text
        _move_rectangle(element, turn)
        _move_crop(element, turn)
        _move_focus(element, turn)
        _grow_sphere(element, turn.scale)


def must_stay(document: minidom.Document) -> bool:
    """Whether a packet holds edits that would not turn with the image: masks, a leaning crop."""
    for element in elements_below(document):
        values = properties(element, _CAMERA_RAW)
        if not values or values.get("AlreadyApplied", "").lower() == "true":
            continue
        leans = [values.get(name) for name in _LEANING]
        if _DRAWN & set(values) or any(_is_nonzero(value) for value in leans):
            return True
    return False


def _is_nonzero(value: str | None) -> bool:
    with suppress(ValueError):
        return value is not None and float(value) != 0
    return False


def _moved(numbers: tuple[int, ...], turn: Turn) -> list[int]:
    """A point, a circle (its centre and diameter) or a rectangle (its centre, width, height)."""
    lengths: tuple[float, ...] = tuple(length * turn.scale for length in numbers[2:])
    if len(lengths) == 2:
        lengths = turn.pair(*lengths)
    return [max(round(value), 0) for value in (*turn.point(*numbers[:2]), *lengths)]


def _move_list(regions: minidom.Element, turn: Turn, areas: str, sizes: str) -> set[int]:
    """Move the areas of regions, unless they are told of the image as it is shown."""
    final = turn.size
    if turn.orientation > 4 and _are_of_shown(regions, turn, sizes):
        turn = Turn(*turn.pair(turn.width, turn.height), 1, turn.scale)
    below = list(elements_below(regions))
    for element in below:
        _move_area(element, turn, areas)
        _turn_faces(element, turn)
        change_properties(element, sizes, dict(zip("wh", map(number_text, final), strict=True)))
    return {id(element) for element in below}


def _are_of_shown(regions: minidom.Element, turn: Turn, sizes: str) -> bool:
    """Whether the size that regions were told for is that of the image as it is shown."""
    told = (properties(element, sizes) for element in elements_below(regions))
    applied = next(filter(None, told), {})
    with suppress(KeyError, ValueError):
        wide = float(applied["w"]) > float(applied["h"])
        return turn.width != turn.height and wide != (turn.width > turn.height)
    return False


def _move_area(element: minidom.Element, turn: Turn, areas: str) -> None:
    """An area's centre, width, height and diameter, in pixels or as shares."""
    values = properties(element, areas)
    if not set(values) >= {"x", "y"}:
        return
    with suppress(ValueError):
        numbers = {key: float(values[key]) for key in "xywhd" if key in values}
        moved = _moved_area(numbers, turn, in_pixels=values.get("unit") == "pixel")
        change_properties(element, areas, {key: number_text(moved[key]) for key in numbers})


def _moved_area(numbers: Mapping[str, float], turn: Turn, *, in_pixels: bool) -> dict[str, float]:
    grown = turn.scale if in_pixels else 1
    x, y = (turn.point if in_pixels else turn.share)(numbers["x"], numbers["y"])
    w, h = turn.pair(numbers.get("w", 0) * grown, numbers.get("h", 0) * grown)
    return {"x": x, "y": y, "w": w, "h": h, "d": numbers.get("d", 0) * grown}


def _turn_faces(element: minidom.Element, turn: Turn) -> None:
    """How a face is turned within its region: Apple's in degrees, Lightroom's in radians."""
    with suppress(KeyError, ValueError):
        roll = turn.roll(float(properties(element, _APPLE)["AngleInfoRoll"]))
        change_properties(element, _APPLE, {"AngleInfoRoll": number_text(round(roll, 6) % 360)})
    with suppress(KeyError, ValueError):
        given = math.degrees(float(properties(element, _MWG)["Rotation"]))
        # Nobody says which way it counts. People's faces are upright more often than not.
        both = (_signed(turn.roll(given)), -_signed(turn.roll(-given)))
        nearest = math.radians(min(both, key=abs))
        change_properties(element, _MWG, {"Rotation": f"{nearest:.5f}"})


def _signed(degrees: float) -> float:
    return (degrees + 180) % 360 - 180


def _move_boundary(boundary: minidom.Element, turn: Turn) -> None:
    """A rectangle (its corner, width, height), a circle (centre, radius) or a polygon's points."""
    below = [(one, properties(one, _IPTC)) for one in elements_below(boundary)]
    in_pixels = any(values.get("rbUnit") == "pixel" for _, values in below)
    box, grown = (turn.box_in_pixels, turn.scale) if in_pixels else (turn.box, 1)
    for element, values in below:
        with suppress(KeyError, ValueError):
            x, y = float(values["rbX"]), float(values["rbY"])
            w, h = float(values.get("rbW", 0)), float(values.get("rbH", 0))
            left, top, right, bottom = box(x, y, x + w, y + h)
            moved = {"rbX": left, "rbY": top, "rbW": right - left, "rbH": bottom - top}
            # A share of the width, which is another where the image lay on its side.
            across = 1 if in_pixels else turn.width * turn.scale / turn.size[0]
            moved["rbRx"] = float(values.get("rbRx", 0)) * grown * across
            change_properties(element, _IPTC, {k: number_text(v) for k, v in moved.items()})


def _move_rectangle(element: minidom.Element, turn: Turn) -> None:
    """Microsoft's regions: left, top, width and height in one text, as shares."""
    given = properties(element, _MICROSOFT).get("Rectangle", "")
    with suppress(ValueError):
        x, y, w, h = (float(number) for number in given.split(","))
        left, top, right, bottom = turn.box(x, y, x + w, y + h)
        moved = (left, top, right - left, bottom - top)
        change_properties(element, _MICROSOFT, {"Rectangle": ", ".join(map(number_text, moved))})


def _move_crop(element: minidom.Element, turn: Turn) -> None:
    """The crop of Camera Raw, unless it is applied: sides as shares, sizes in pixels or inches."""
    values = properties(element, _CAMERA_RAW)
    if values.get("AlreadyApplied", "").lower() == "true":
        return
    sides = ("CropLeft", "CropTop", "CropRight", "CropBottom")
    with suppress(KeyError, ValueError):
        moved = turn.box(*(float(values[side]) for side in sides))
        told = dict(zip(sides, map(number_text, moved), strict=True))
        change_properties(element, _CAMERA_RAW, told)
    with suppress(KeyError, ValueError):
        grown = turn.scale if "0" in (values.get("CropUnits"), values.get("CropUnit")) else 1
        lengths = [float(values[name]) * grown for name in ("CropWidth", "CropHeight")]
        wide, high = map(number_text, turn.pair(lengths[0], lengths[1]))
        change_properties(element, _CAMERA_RAW, {"CropWidth": wide, "CropHeight": high})


def _move_focus(element: minidom.Element, turn: Turn) -> None:
    """The focal point of a depth map, as shares."""
    values = properties(element, _FOCUS)
    with suppress(KeyError, ValueError):
        x, y = turn.share(float(values["FocalPointX"]), float(values["FocalPointY"]))
        moved = {"FocalPointX": number_text(x), "FocalPointY": number_text(y)}
        change_properties(element, _FOCUS, moved)


def _move_sequence(element: minidom.Element, turn: Turn) -> None:
    items = [e for e in elements_below(element) if (e.namespaceURI, e.localName) == (RDF, "li")]
    with suppress(ValueError):
        numbers = tuple(int(text_of(item)) for item in items)
        if len(numbers) in (2, 3, 4):
            for item, value in zip(items, _moved(numbers, turn), strict=True):
                write_text(item, str(value))


def _grow_sphere(element: minidom.Element, scale: int) -> None:
    """The sizes and places of a photo sphere, in pixels."""
    for name, value in properties(element, _SPHERE).items():
        if name.endswith(("Pixels", "RectLeft", "RectTop", "RectWidth", "RectHeight")):
            with suppress(ValueError):
                change_properties(element, _SPHERE, {name: number_text(float(value) * scale)})
