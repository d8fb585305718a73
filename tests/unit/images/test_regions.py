"""What points into an image points to the same place when it is turned and enlarged."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from facepipe.images.regions import Turn
from facepipe.images.still import read_image
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
    'xmlns:GPano="http://ns.google.com/photos/1.0/panorama/">'
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
