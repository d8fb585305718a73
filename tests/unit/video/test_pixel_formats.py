"""Formats: every source layout has a planar form that holds all of it, value for value."""

from __future__ import annotations

import av
import numpy as np
import pytest

from facepipe.errors import InputError
from facepipe.video.pixel_formats import (
    colour_of,
    pixel_format,
    views,
    working_format,
    writable_views,
)


@pytest.mark.parametrize(
    ("name", "planar"),
    [
        ("nv12", "yuv420p"),
        ("nv16", "yuv422p"),
        ("rgb24", "gbrp"),
        ("bgra", "gbrap"),
        ("bgr0", "gbrp"),
        ("pal8", "gbrp"),
        ("p010le", "yuv420p10le"),
        ("yuv420p10be", "yuv420p10le"),
        ("yuyv422", "yuv422p"),
        ("y210le", "yuv422p10le"),
        ("rgb48le", "gbrp16le"),
        ("gray10be", "gray10le"),
        ("ya8", "yuva444p"),
        ("monow", "gray"),
    ],
)
def test_a_packed_format_has_a_planar_one(name: str, planar: str) -> None:
    assert working_format(name).name == planar


@pytest.mark.parametrize(
    "name", ["yuv420p", "yuvj444p", "gray", "gbrp12le", "yuva420p", "gray16le"]
)
def test_a_planar_format_stays(name: str) -> None:
    assert working_format(name).name == name


def test_what_a_format_says_of_itself() -> None:
    ten = pixel_format("yuv422p10le")
    assert (ten.model, ten.bits, ten.shift_x, ten.shift_y, ten.alpha) == ("yuv", 10, 1, 0, False)
    assert pixel_format("gbrap").model == "rgb"
    assert pixel_format("gbrap").alpha
    assert pixel_format("gray").model == "gray"


@pytest.mark.parametrize("name", ["grayf32le", "bayer_bggr8", "xyz12le", "no-such-format"])
def test_an_unreadable_format_is_refused_by_name(name: str) -> None:
    with pytest.raises(InputError, match=name):
        pixel_format(name)


def test_planes_of_an_odd_size_are_rounded_up_and_read_only() -> None:
    planes = views(av.VideoFrame(97, 65, "yuv420p"))
    assert [plane.shape for plane in planes] == [(65, 97), (33, 49), (33, 49)]
    with pytest.raises(ValueError, match="read-only"):
        planes[0][0, 0] = 1


def test_rgb_planes_come_in_the_order_of_their_names() -> None:
    frame = av.VideoFrame.from_ndarray(np.full((8, 8, 3), (10, 20, 30), np.uint8), "rgb24")
    assert [int(p[3, 3]) for p in views(frame.reformat(format="gbrp"))] == [10, 20, 30]


def test_high_depths_are_words() -> None:
    frame = av.VideoFrame(16, 8, "yuv420p10le")
    writable_views(frame)[0][...] = 1023
    assert views(frame)[0].dtype == np.uint16
    assert int(views(frame)[0].min()) == 1023


@pytest.mark.parametrize(
    ("height", "tag", "matrix"),
    [(64, 2, "bt601"), (720, 2, "bt709"), (64, 1, "bt709"), (64, 9, "bt2020"), (720, 6, "bt601")],
)
def test_the_matrix_is_the_tag_or_goes_by_height(height: int, tag: int, matrix: str) -> None:
    frame = av.VideoFrame(64, height, "yuv420p")
    frame.colorspace = tag
    assert colour_of(frame).matrix == matrix
    assert not colour_of(frame).full_range


def test_full_range_by_tag_or_by_name() -> None:
    tagged = av.VideoFrame(64, 64, "yuv420p")
    tagged.color_range = 2
    assert colour_of(tagged).full_range
    assert colour_of(av.VideoFrame(64, 64, "yuvj420p")).full_range
