"""A change of RGB in code values agrees with FFmpeg's own conversion of before and after."""

from __future__ import annotations

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace

from facepipe.datatypes import Colour, Matrix, PixelFormat
from facepipe.faces.colour import change_in_planes

SPACES: dict[Matrix, Colorspace] = {"bt601": Colorspace.ITU601, "bt709": Colorspace.ITU709}


def converted(rgb: np.ndarray, space: Colorspace, full: bool) -> np.ndarray:
    frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
    frame.color_range = ColorRange.JPEG
    turned = frame.reformat(
        format="yuv444p",
        dst_colorspace=space,
        dst_color_range=ColorRange.JPEG if full else ColorRange.MPEG,
    )
    return turned.to_ndarray().astype(np.float32)


@pytest.mark.parametrize("matrix", ["bt601", "bt709"])
@pytest.mark.parametrize("full", [False, True])
def test_agrees_with_ffmpeg(matrix: Matrix, full: bool) -> None:
    rng = np.random.default_rng(0)
    before = rng.integers(60, 180, (32, 32, 3), dtype=np.uint8)
    after = (before + rng.integers(-40, 40, before.shape)).astype(np.uint8)
    expected = converted(after, SPACES[matrix], full) - converted(before, SPACES[matrix], full)
    change = (after.astype(np.float32) - before) / 255
    found = change_in_planes(change, PixelFormat("yuv444p", "yuv", 8), Colour(matrix, full))
    np.testing.assert_allclose(np.stack(found), expected, atol=2.1)
    assert np.abs(np.stack(found) - expected).mean() < 0.6


def test_depth_scales_the_change() -> None:
    change = np.random.default_rng(1).uniform(-0.2, 0.2, (4, 4, 3)).astype(np.float32)
    eight = change_in_planes(change, PixelFormat("yuv420p", "yuv", 8, 1, 1), Colour())
    ten = change_in_planes(change, PixelFormat("yuv420p10le", "yuv", 10, 1, 1), Colour())
    for a, b in zip(eight, ten, strict=True):
        np.testing.assert_allclose(4 * a, b, rtol=1e-5)


def test_gray_has_luma_alone_and_rgb_its_channels() -> None:
    change = np.full((2, 2, 3), (0.1, 0.2, -0.1), np.float32)
    (luma,) = change_in_planes(change, PixelFormat("gray", "gray", 8), Colour("bt601", True))
    assert luma[0, 0] == pytest.approx(255 * (0.299 * 0.1 + 0.587 * 0.2 - 0.114 * 0.1))
    red, green, blue = change_in_planes(change, PixelFormat("gbrp", "rgb", 8), Colour())
    assert (red[0, 0], green[0, 0], blue[0, 0]) == pytest.approx((25.5, 51, -25.5))


def test_a_change_of_grey_has_no_chroma() -> None:
    change = np.full((2, 2, 3), 0.3, np.float32)
    _, u, v = change_in_planes(change, PixelFormat("yuv444p", "yuv", 8), Colour("bt2020"))
    np.testing.assert_allclose([u, v], 0, atol=1e-4)
