"""Layout of a comparison, and composition in the planes of a frame."""

from __future__ import annotations

import numpy as np
import pytest

from facepipe.datatypes import Colour, Frame, PixelFormat
from facepipe.faces.colour import to_rgb
from facepipe.presentation.comparison import Layout
from facepipe.presentation.planes import GRID, Kind, planes_as

KINDS = [
    Kind(PixelFormat("yuv420p", "yuv", 8, 1, 1), Colour("bt601")),
    Kind(PixelFormat("yuv422p10le", "yuv", 10, 1, 0), Colour("bt709")),
    Kind(PixelFormat("yuv444p", "yuv", 8), Colour("bt709", full_range=True)),
    Kind(PixelFormat("gbrp", "rgb", 8), Colour(full_range=True)),
    Kind(PixelFormat("yuva420p", "yuv", 8, 1, 1, alpha=True), Colour("bt709")),
]


@pytest.mark.parametrize("style", ["side", "wipe", "flicker"])
@pytest.mark.parametrize("size", [(640, 360), (97, 65), (3840, 2160), (240, 426)])
def test_all_lies_within_the_whole_and_on_the_grid(style: str, size: tuple[int, int]) -> None:
    layout = Layout.of(*size, style, 3)  # type: ignore[arg-type]
    width, height = layout.whole
    assert width % 2 == height % 2 == 0
    assert max(layout.size) <= 3840
    places = [(*layout.second, *layout.size)]
    places += [(x, y, 2 * layout.side, layout.side) for x, y in layout.insets]
    for x, y, across, down in places:
        assert x % GRID == y % GRID == 0
        assert x + across <= width
        assert y + down <= height
    if style == "side":
        assert layout.second[0] >= layout.size[0]
    assert layout.insets


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.format.name)
def test_rgb_becomes_planes_and_comes_back(kind: Kind) -> None:
    image = np.zeros((24, 32, 3), np.uint8)
    image[:12] = (200, 60, 30)
    image[12:] = (20, 120, 220)
    planes = kind.of_rgb(image)
    frame = Frame(pts=0, format=kind.format, colour=kind.colour, planes=planes)
    back = to_rgb(frame)[4:8, 4:28] * 255
    assert np.abs(back - image[4:8, 4:28]).max() < 3


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.format.name)
def test_what_is_put_is_found_at_its_place(kind: Kind) -> None:
    canvas = kind.canvas(64, 48)
    part = kind.of_rgb(np.full((16, 16, 3), 255, np.uint8))
    kind.put(canvas, part, 32, 24)
    found = kind.cut(canvas, (32, 24, 48, 40))
    assert all(np.array_equal(a, b) for a, b in zip(found, part, strict=True))
    kind.put(canvas, part, 60, 44)  # what does not fit is cut
    assert canvas[0][23, 31] < canvas[0][24, 32]


def test_a_frame_of_another_format_and_size_is_taken_as_asked() -> None:
    image = np.full((24, 32, 3), (200, 60, 30), np.uint8)
    own, other = KINDS[0], KINDS[1]
    frame = Frame(pts=0, format=other.format, colour=other.colour, planes=other.of_rgb(image))
    planes = planes_as(frame, own, 64, 48)
    assert [plane.shape for plane in planes] == [(48, 64), (24, 32), (24, 32)]
    made = Frame(pts=0, format=own.format, colour=own.colour, planes=planes)
    assert np.abs(to_rgb(made) * 255 - (200, 60, 30)).max() < 4


def test_a_frame_of_the_same_form_is_left_as_it_is() -> None:
    kind = KINDS[0]
    frame = Frame(pts=0, format=kind.format, colour=kind.colour, planes=kind.canvas(16, 16))
    assert planes_as(frame, kind, 16, 16) is frame.planes
