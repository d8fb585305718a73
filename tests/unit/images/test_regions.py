"""What points into an image points to the same place when it is turned and enlarged."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import pyvips
from PIL import Image, PngImagePlugin

from facepipe.images.still import read_image
from facepipe.images.turn import Turn
from media.image_samples import again, double, opened, pillow, pixels, stacked

WIDE, HIGH = 40, 24  # as stored
_HEAD = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
    'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
    'xmlns:mwg-rs="http://www.metadataworkinggroup.com/schemas/regions/" '
    'xmlns:stDim="http://ns.adobe.com/xap/1.0/sType/Dimensions#" '
    'xmlns:stArea="http://ns.adobe.com/xmp/sType/Area#" '
    'xmlns:MPReg="http://ns.microsoft.com/photo/1.2/t/Region#" '
    'xmlns:exif="http://ns.adobe.com/exif/1.0/" '
    'xmlns:GPano="http://ns.google.com/photos/1.0/panorama/" '
    'xmlns:GFocus="http://ns.google.com/photos/1.0/focus/" '
    'xmlns:acdsee-rs="http://ns.acdsee.com/regions/" '
    'xmlns:acdsee-stDim="http://ns.acdsee.com/sType/Dimensions#" '
    'xmlns:acdsee-stArea="http://ns.acdsee.com/sType/Area#" '
    'xmlns:apple-fi="http://ns.apple.com/faceinfo/1.0/" '
    'xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" '
    'xmlns:crs="http://ns.adobe.com/camera-raw-settings/1.0/">'
)
_TAIL = "</rdf:Description></rdf:RDF></x:xmpmeta>"
#: A mark of 4x4 px at (30, 8), whose centre and size the regions tell.
_LEFT, _TOP, _SIDE = 30, 8, 4
_X, _Y = (_LEFT + _SIDE / 2) / WIDE, (_TOP + _SIDE / 2) / HIGH
_W, _H = _SIDE / WIDE, _SIDE / HIGH


def marked() -> np.ndarray:
    image = np.full((HIGH, WIDE, 3), 20, np.uint8)
    image[_TOP : _TOP + _SIDE, _LEFT : _LEFT + _SIDE] = 250
    return image


def as_attributes(width: int, height: int) -> str:
    return (
        f'<mwg-rs:Regions rdf:parseType="Resource"><mwg-rs:AppliedToDimensions stDim:w="{width}" '
        f'stDim:h="{height}" stDim:unit="pixel"/><mwg-rs:RegionList><rdf:Bag><rdf:li>'
        f'<rdf:Description mwg-rs:Name="Ana"><mwg-rs:Area stArea:x="{_X}" stArea:y="{_Y}" '
        f'stArea:w="{_W}" stArea:h="{_H}" stArea:unit="normalized"/></rdf:Description></rdf:li>'
        "</rdf:Bag></mwg-rs:RegionList></mwg-rs:Regions>"
    )


def as_elements(width: int, height: int) -> str:
    area = "".join(
        f"<stArea:{key}>{value}</stArea:{key}>"
        for key, value in {"x": _X, "y": _Y, "w": _W, "h": _H, "unit": "normalized"}.items()
    )
    return (
        '<mwg-rs:Regions rdf:parseType="Resource"><mwg-rs:AppliedToDimensions '
        f'rdf:parseType="Resource"><stDim:w>{width}</stDim:w><stDim:h>{height}</stDim:h>'
        "</mwg-rs:AppliedToDimensions><mwg-rs:RegionList><rdf:Bag>"
        f'<rdf:li rdf:parseType="Resource"><mwg-rs:Area rdf:parseType="Resource">{area}'
        "</mwg-rs:Area></rdf:li></rdf:Bag></mwg-rs:RegionList></mwg-rs:Regions>"
    )


def numbers(packet: bytes, prefix: str) -> dict[str, float]:
    """Properties of a prefix, in either form."""
    found = re.findall(rf'{prefix}:(\w+)(?:="|>)([-\d.]+)', packet.decode())
    return {key: float(value) for key, value in found}


def centre(content: bytes) -> tuple[float, float]:
    """Of the mark, as shares of the width and height of the picture as it is stored."""
    stored = np.asarray(opened(content).convert("L"))
    y, x = np.nonzero(stored > 128)
    return (x.mean() + 0.5) / stored.shape[1], (y.mean() + 0.5) / stored.shape[0]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", [as_attributes, as_elements])
@pytest.mark.parametrize("large", [False, True], ids=["as large", "twice as large"])
def test_a_face_stays_where_it_is(
    orientation: int, form: Callable[[int, int], str], large: bool
) -> None:
    exif = Image.Exif()
    exif[0x112] = orientation
    exif.get_ifd(0x8769)[0x9214] = (_LEFT + 2, _TOP + 2, _SIDE, _SIDE)
    xmp = (_HEAD + form(WIDE, HIGH) + _TAIL).encode()
    source = pillow(marked(), "jpeg", quality=95, subsampling=0, exif=exif.tobytes(), xmp=xmp)
    written = again(source, double) if large else again(source)
    packet, (x, y) = read_image(written, "again").details.xmp, centre(written)
    area, size = numbers(packet, "stArea"), numbers(packet, "stDim")
    assert (area["x"], area["y"]) == pytest.approx((x, y), abs=0.01)
    shown = opened(written)
    assert (size["w"], size["h"]) == shown.size
    on_its_side = orientation > 4
    assert area["w"] == pytest.approx(_SIDE / (HIGH if on_its_side else WIDE), abs=1e-6)
    told = shown.getexif().get_ifd(0x8769)[0x9214]
    assert told[:2] == pytest.approx((x * shown.width, y * shown.height), abs=1)
    assert told[2:] == ((8, 8) if large else (4, 4))


def test_regions_told_of_the_picture_as_it_is_shown_stay() -> None:
    exif = Image.Exif()
    exif[0x112] = 6
    xmp = (_HEAD + as_attributes(HIGH, WIDE) + _TAIL).encode()
    packet = read_image(again(pillow(marked(), "jpeg", exif=exif.tobytes(), xmp=xmp)), "a").details
    assert numbers(packet.xmp, "stArea")["x"] == _X
    assert numbers(packet.xmp, "stDim") == {"w": HIGH, "h": WIDE}


def test_microsofts_regions_subjects_in_xmp_and_spheres() -> None:
    exif = Image.Exif()
    exif[0x112] = 3
    inner = (
        f'<MPReg:Region MPReg:Rectangle="{_LEFT / WIDE}, {_TOP / HIGH}, {_W}, {_H}"/>'
        "<exif:SubjectArea><rdf:Seq><rdf:li>32</rdf:li><rdf:li>10</rdf:li></rdf:Seq>"
        "</exif:SubjectArea><GPano:FullPanoWidthPixels>400</GPano:FullPanoWidthPixels>"
    )
    source = pillow(marked(), "jpeg", exif=exif.tobytes(), xmp=(_HEAD + inner + _TAIL).encode())
    packet = read_image(again(source, double), "again").details.xmp.decode()
    found = re.search(r'Rectangle="([^"]*)"', packet)
    assert found is not None
    left, top, width, height = map(float, found[1].split(","))
    assert (left, top) == pytest.approx((1 - 34 / WIDE, 1 - 12 / HIGH))
    assert (width, height) == pytest.approx((_W, _H))
    assert re.findall(r"<rdf:li>(\d+)</rdf:li>", packet)[:2] == ["16", "28"]
    assert "Pixels>800<" in packet


def packed(orientation: int, inner: str, *, attributes: str = "", kind: str = "jpeg") -> bytes:
    """The marked image with an XMP packet, and an orientation in its EXIF."""
    exif = Image.Exif()
    exif[0x112] = orientation
    head = _HEAD[:-1] + attributes + ">"
    how: dict[str, Any] = {"quality": 95, "subsampling": 0} if kind == "jpeg" else {}
    if kind == "tiff":
        exif[700] = (head + inner + _TAIL).encode()
    elif kind == "png":
        how["pnginfo"] = PngImagePlugin.PngInfo()
        how["pnginfo"].add_itxt("XML:com.adobe.xmp", head + inner + _TAIL)
    else:
        how["xmp"] = (head + inner + _TAIL).encode()
    return pillow(marked(), kind, exif=exif.tobytes(), **how)


def as_stored(content: bytes) -> np.ndarray:
    """The first channel of an image, (height, width), not turned as its orientation says."""
    return pyvips.Image.new_from_buffer(content, "").numpy()[..., 0]


def box_of(content: bytes) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of the mark, as shares of the image as it is stored."""
    stored = as_stored(content)
    y, x = np.nonzero(stored > 128)
    height, width = stored.shape
    return x.min() / width, y.min() / height, (x.max() + 1) / width, (y.max() + 1) / height


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("large", [False, True], ids=["as large", "twice as large"])
def test_regions_of_other_makers_stay_where_they_are(orientation: int, large: bool) -> None:
    left, top, width, height = _LEFT / WIDE, _TOP / HIGH, _W, _H
    corners = [(_LEFT, _TOP), (_LEFT + _SIDE, _TOP), (_LEFT + _SIDE, _TOP + _SIDE)]
    points = "".join(f'<rdf:li Iptc4xmpExt:rbX="{x}" Iptc4xmpExt:rbY="{y}"/>' for x, y in corners)

    def region(**values: object) -> str:
        told = " ".join(f'Iptc4xmpExt:{key}="{value}"' for key, value in values.items())
        return f"<rdf:li><rdf:Description><Iptc4xmpExt:RegionBoundary {told}"

    end = "</rdf:Description></rdf:li>"
    inner = (
        "<Iptc4xmpExt:ImageRegion><rdf:Bag>"
        + region(rbShape="rectangle", rbUnit="relative", rbX=left, rbY=top, rbW=width, rbH=height)
        + f"/>{end}"
        + region(rbShape="circle", rbUnit="relative", rbX=_X, rbY=_Y, rbRx=width / 2)
        + f"/>{end}"
        + region(rbShape="polygon", rbUnit="pixel")
        + f"><Iptc4xmpExt:rbVertices><rdf:Seq>{points}</rdf:Seq></Iptc4xmpExt:rbVertices>"
        + f"</Iptc4xmpExt:RegionBoundary>{end}</rdf:Bag></Iptc4xmpExt:ImageRegion>"
        + f"<Iptc4xmpExt:TextRegion><rdf:Bag><rdf:li><rdf:Description><Iptc4xmpExt:Region "
        f'stArea:x="{_X}" stArea:y="{_Y}" stArea:w="{width}" stArea:h="{height}"/>'
        "</rdf:Description></rdf:li></rdf:Bag></Iptc4xmpExt:TextRegion>"
        f'<acdsee-rs:Regions><acdsee-rs:AppliedToDimensions acdsee-stDim:w="{WIDE}" '
        f'acdsee-stDim:h="{HIGH}"/><acdsee-rs:DLYArea acdsee-stArea:x="{_X}" '
        f'acdsee-stArea:y="{_Y}" acdsee-stArea:w="{width}" acdsee-stArea:h="{height}"/>'
        "</acdsee-rs:Regions>"
    )
    crop = (
        f' crs:CropLeft="{left}" crs:CropTop="{top}" crs:CropRight="{left + width}" '
        f'crs:CropBottom="{top + height}" crs:CropAngle="0" crs:CropWidth="{_SIDE}" '
        f'crs:CropHeight="{_SIDE // 2}" crs:CropUnits="0" crs:HasCrop="True" '
        f'GFocus:FocalPointX="{_X}" GFocus:FocalPointY="{_Y}"'
    )
    source = packed(orientation, inner, attributes=crop)
    written = again(source, double) if large else again(source)
    packet = read_image(written, "again").details.xmp.decode()
    box, shown = box_of(written), opened(written)
    left, top, right, bottom = box
    middle = ((left + right) / 2, (top + bottom) / 2)

    def told(*names: str, at: int = 0) -> tuple[float, ...]:
        found = [re.findall(rf'{name}="([-\d.]+)"', packet)[at] for name in names]
        return tuple(map(float, found))

    near = {"abs": 0.5 / HIGH}  # half a pixel: JPEG is lossy
    own = [f"Iptc4xmpExt:rb{key}" for key in "XYWH"]
    assert told(*own) == pytest.approx((left, top, right - left, bottom - top), **near)
    assert told(*own[:2], at=1) == pytest.approx(middle, **near)
    radius = _SIDE / 2 * (2 if large else 1) / shown.width
    assert told("Iptc4xmpExt:rbRx") == pytest.approx((radius,), abs=1e-6)
    ends = {(told(own[0], at=n)[0], told(own[1], at=n)[0]) for n in (2, 3, 4)}
    pixels_of = {(x * shown.width, y * shown.height) for x in (left, right) for y in (top, bottom)}
    assert all(any(np.allclose(end, one, atol=1) for one in pixels_of) for end in ends)
    assert len(ends) == 3
    for prefix in ("stArea", "acdsee-stArea"):
        names = [rf"(?<![\w-]){prefix}:{key}" for key in "xywh"]
        wanted = (*middle, right - left, bottom - top)
        assert told(*names) == pytest.approx(wanted, **near)
    assert told("acdsee-stDim:w", "acdsee-stDim:h") == shown.size
    sides = [f"crs:Crop{side}" for side in ("Left", "Top", "Right", "Bottom")]
    assert told(*sides) == pytest.approx(box, **near)
    size = (_SIDE * (2 if large else 1), _SIDE // 2 * (2 if large else 1))
    assert told("crs:CropWidth", "crs:CropHeight") == (size[::-1] if orientation > 4 else size)
    assert told("GFocus:FocalPointX", "GFocus:FocalPointY") == pytest.approx(middle, **near)


@pytest.mark.parametrize(
    ("orientation", "roll", "then"),
    [(6, 270, 0), (3, 180, 0), (8, 90, 0), (6, 0, 90), (2, 30, 330), (5, 0, 270), (7, 0, 90)],
)
def test_a_face_that_leans_leans_as_it_did(orientation: int, roll: float, then: float) -> None:
    radians = (roll + 180) % 360 * np.pi / 180 - np.pi
    area = f'<mwg-rs:Area stArea:x="{_X}" stArea:y="{_Y}" stArea:w="{_W}" stArea:h="{_H}"/>'
    more = f'<mwg-rs:Extensions apple-fi:AngleInfoRoll="{roll}"/>'
    inner = (
        f"<mwg-rs:Regions><mwg-rs:RegionList><rdf:Bag><rdf:li><rdf:Description "
        f'mwg-rs:Rotation="{radians:.5f}">{area}{more}</rdf:Description></rdf:li></rdf:Bag>'
        "</mwg-rs:RegionList></mwg-rs:Regions>"
    )
    packet = read_image(again(packed(orientation, inner)), "again").details.xmp.decode()
    found = re.search(r'AngleInfoRoll="([\d.]+)"', packet)
    assert found is not None
    assert float(found[1]) == pytest.approx(then)
    if then == 0:  # an upright face is upright, whichever way its degrees are counted
        found = re.search(r'Rotation="([-\d.]+)"', packet)
        assert found is not None
        assert float(found[1]) == 0


def test_a_crop_that_is_applied_is_no_crop_of_these_pixels() -> None:
    crop = ' crs:CropLeft=".1" crs:CropTop=".2" crs:CropRight=".9" crs:CropBottom="1"'
    source = packed(6, "", attributes=f'{crop} crs:AlreadyApplied="True" crs:CropAngle="3"')
    packet = read_image(again(source), "again").details.xmp.decode()
    assert 'crs:CropLeft=".1"' in packet
    assert opened(again(source)).getexif()[0x112] == 1


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "tiff"])
@pytest.mark.parametrize("drawn", [
    ' crs:CropAngle="1.5"',
    "<crs:RetouchAreas><rdf:Seq><rdf:li/></rdf:Seq></crs:RetouchAreas>",
])  # fmt: skip
def test_what_edits_of_camera_raw_are_drawn_into_stays_as_it_lies(kind: str, drawn: str) -> None:
    is_element = drawn.startswith("<")
    source = packed(6, drawn if is_element else "", attributes="" if is_element else drawn,
                    kind=kind)  # fmt: skip
    written = again(source)
    assert (as_stored(written).shape, opened(written).getexif()[0x112]) == ((HIGH, WIDE), 6)
    assert box_of(written) == pytest.approx(box_of(source), abs=0.5 / HIGH)
    np.testing.assert_allclose(
        stacked(read_image(written, "again").frame).astype(int),
        stacked(read_image(source, "source").frame),
        atol=0 if kind in ("png", "tiff") else 40,
    )


def test_a_turn_is_that_of_the_pixels() -> None:
    grid = np.zeros((HIGH, WIDE), int)
    for orientation in range(1, 9):
        turn = Turn(WIDE, HIGH, orientation)
        exif = Image.Exif()
        exif[0x112] = orientation
        grid[:] = 0
        grid[5, 31] = 255
        source = pillow(grid.astype(np.uint8)[..., None], "png", exif=exif.tobytes())
        shown = stacked(read_image(source, "image").frame)[..., 0]
        ((y, x),) = np.argwhere(shown == 255)
        assert turn.point(31.5, 5.5) == pytest.approx((x + 0.5, y + 0.5))
        assert turn.size == shown.shape[::-1]
    assert not Turn(WIDE, HIGH).changes
    assert pixels().shape == (HIGH, WIDE, 3)


@pytest.mark.parametrize("body", ["<mwg-rs:Regions/>", '<mwg-rs:Area stArea:x="a" stArea:y="b"/>',
    "<exif:SubjectArea><rdf:Seq><rdf:li>x</rdf:li></rdf:Seq></exif:SubjectArea>",
    '<MPReg:Region MPReg:Rectangle="1,2"/>'])  # fmt: skip
def test_what_makes_no_sense_stays(body: str) -> None:
    exif = Image.Exif()
    exif[0x112] = 8
    source = pillow(marked(), "jpeg", exif=exif.tobytes(), xmp=(_HEAD + body + _TAIL).encode())
    assert opened(again(source)).size == (HIGH, WIDE)
