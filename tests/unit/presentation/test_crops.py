"""Crops of faces: the same place before and after, upright, within the frame."""

from __future__ import annotations

import numpy as np
import pytest

from facepipe.datatypes import Colour, Frame, PixelFormat
from facepipe.faces.restoration.enlarge import enlarge
from facepipe.presentation.crops import Shown, area_around, crop_area, share_invented

RGB = PixelFormat("gbrp", "rgb", 8)


def frame(width: int = 90, height: int = 60) -> Frame:
    across = np.linspace(0, 255, width).astype(np.uint8)
    down = np.linspace(0, 255, height).astype(np.uint8)
    red, green = np.meshgrid(across, down)
    planes = (red, green, np.zeros_like(red))
    return Frame(pts=0, format=RGB, colour=Colour(full_range=True), planes=planes)


def test_a_crop_lies_about_the_box() -> None:
    area = area_around(np.float32([40, 20, 50, 32]), 90, 60)
    assert area[2] - area[0] == area[3] - area[1] == round(12 * 1.8)
    assert (area[0] + area[2]) / 2 == pytest.approx(45, abs=1)
    assert (area[1] + area[3]) / 2 == pytest.approx(26, abs=1)


@pytest.mark.parametrize("box", [(-10, -10, 5, 5), (85, 55, 120, 90), (0, 0, 400, 400)])
def test_a_crop_stays_within_the_frame(box: tuple[float, ...]) -> None:
    x0, y0, x1, y1 = area_around(np.float32(box), 90, 60)
    assert 0 <= x0 < x1 <= 90
    assert 0 <= y0 < y1 <= 60
    assert crop_area(frame(), (x0, y0, x1, y1), 32).shape == (32, 32, 3)


def test_before_and_after_show_the_same_place() -> None:
    small, area = frame(), area_around(np.float32([40, 20, 50, 32]), 90, 60)
    before = crop_area(small, area, 64)
    after = crop_area(enlarge(small, 2), area, 64, scale=2)
    assert np.abs(before.astype(int) - after).mean() < 2
    assert share_invented(before, after) < 0.1


def test_a_video_on_its_side_is_turned() -> None:
    lying = frame(60, 60)
    turned = crop_area(lying, (0, 0, 60, 60), 60, shown=Shown(rotation=90))
    assert np.array_equal(turned, np.rot90(crop_area(lying, (0, 0, 60, 60), 60)))


def test_wide_pixels_are_shown_wide() -> None:
    shown = Shown(aspect=2.0)
    x0, y0, x1, y1 = area_around(np.float32([40, 20, 46, 32]), 90, 60, shown)
    assert (x1 - x0) * 2 == pytest.approx(y1 - y0, abs=2)


def test_the_share_invented_is_0_for_the_same_and_1_for_another_image() -> None:
    one = crop_area(frame(), (0, 0, 60, 60), 32)
    assert share_invented(one, one) == 0
    assert share_invented(255 - one, one) == 1
