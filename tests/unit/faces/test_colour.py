from __future__ import annotations

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from facepipe.datatypes import Colour, ColourModel, Frame, Matrix, PixelFormat, Plane
from facepipe.faces.colour import LUMA_WEIGHTS, change_in_planes, to_bgr8, to_rgb

MATRICES: tuple[Matrix, ...] = ("bt601", "bt709", "bt2020")
SPACES: dict[Matrix, Colorspace] = {"bt601": Colorspace.ITU601, "bt709": Colorspace.ITU709}


def smooth_rgb(height: int = 48, width: int = 64) -> NDArray[np.float32]:
    """Slow ramps in all three colours, nowhere near the end of the scale."""
    y, x = np.mgrid[:height, :width] / max(height, width)
    return np.stack((0.2 + 0.5 * x, 0.7 - 0.4 * y, 0.3 + 0.3 * (x + y) / 2), -1).astype(np.float32)


def yuv_frame(
    rgb: NDArray[np.float32],
    matrix: Matrix,
    *,
    full: bool = False,
    bits: int = 8,
    shifts: tuple[int, int] = (1, 1),
    model: ColourModel = "yuv",
) -> Frame:
    """A frame of that image, by the same linear transform that a paste uses, chroma averaged."""
    pixel = PixelFormat("test", model, bits, *shifts)
    colour = Colour(matrix, full)
    step = 1 << (bits - 8)
    offsets = (0 if full or model == "rgb" else 16 * step, 128 * step, 128 * step)
    planes: list[Plane] = []
    for number, plane in enumerate(change_in_planes(rgb, pixel, colour)):
        values = plane
        if number and model == "yuv":
            across, down = 1 << shifts[0], 1 << shifts[1]
            values = values[:, ::across]
            rows = -(-values.shape[0] // down)
            padded = np.pad(values, ((0, rows * down - values.shape[0]), (0, 0)), mode="edge")
            values = padded.reshape(rows, down, -1).mean(1)
        codes = np.rint(values + (offsets[number] if model != "rgb" else 0))
        planes.append(codes.astype(np.uint8 if bits == 8 else np.uint16))
    return Frame(pts=0, format=pixel, colour=colour, planes=tuple(planes))


@pytest.mark.parametrize("matrix", MATRICES)
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize(("bits", "shifts"), [(8, (1, 1)), (10, (1, 0)), (12, (0, 0)), (8, (2, 0))])
def test_yuv_of_any_kind_comes_back_as_the_rgb_it_was(
    matrix: Matrix, full: bool, bits: int, shifts: tuple[int, int]
) -> None:
    rgb = smooth_rgb()
    frame = yuv_frame(rgb, matrix, full=full, bits=bits, shifts=shifts)
    inner = (slice(2, -4), slice(2, -4))  # the last chroma sample has no right neighbour
    np.testing.assert_allclose(to_rgb(frame)[inner], rgb[inner], atol=2 / 255)
    np.testing.assert_allclose(to_bgr8(frame)[inner][..., ::-1], rgb[inner] * 255, atol=4)


@pytest.mark.parametrize("bits", [8, 10, 16])
def test_rgb_planes_are_taken_as_they_are(bits: int) -> None:
    rgb = smooth_rgb()
    frame = yuv_frame(rgb, "bt709", bits=bits, shifts=(0, 0), model="rgb")
    np.testing.assert_allclose(to_rgb(frame), rgb, atol=0.6 / 255)
    np.testing.assert_allclose(to_bgr8(frame)[..., ::-1], rgb * 255, atol=1.1)


@pytest.mark.parametrize("full", [False, True])
def test_gray_has_three_equal_colours(full: bool) -> None:
    luma = smooth_rgb()[..., :1].repeat(3, -1)
    frame = yuv_frame(luma, "bt601", full=full, model="gray")
    assert len(frame.planes) == 1
    np.testing.assert_allclose(to_rgb(frame), luma, atol=1 / 255)
    np.testing.assert_allclose(to_bgr8(frame), luma * 255, atol=1.1)


@pytest.mark.parametrize("matrix", ["bt601", "bt709"])
@pytest.mark.parametrize(
    ("full", "name", "bits", "shifts"),
    [
        (False, "yuv420p", 8, (1, 1)),
        (False, "yuv422p", 8, (1, 0)),
        (False, "yuv444p", 8, (0, 0)),
        (True, "yuv420p", 8, (1, 1)),
        (True, "yuv422p", 8, (1, 0)),
        (True, "yuv444p", 8, (0, 0)),
        # Not in full range: above 8 bits swscale and H.273 differ on what that is.
        (False, "yuv420p10le", 10, (1, 1)),
    ],
)
def test_agrees_with_pyav(
    matrix: Matrix, full: bool, name: str, bits: int, shifts: tuple[int, int]
) -> None:
    ours = yuv_frame(smooth_rgb(288, 384), matrix, full=full, bits=bits, shifts=shifts)
    theirs = av.VideoFrame(ours.width, ours.height, name)
    for plane, values in zip(theirs.planes, ours.planes, strict=True):
        line = np.frombuffer(plane, values.dtype).reshape(plane.height, -1)
        padded = np.zeros_like(line)
        padded[:, : values.shape[1]] = values
        plane.update(padded.tobytes())
    # By way of 4:4:4: swscale's short cut from 4:2:0 rounds down and takes the nearest chroma.
    grown = theirs.reformat(
        format="yuv444p10le" if bits == 10 else "yuv444p",
        interpolation="BILINEAR",
        src_color_range="JPEG" if full else "MPEG",
        dst_color_range="JPEG" if full else "MPEG",
    )
    rgb = grown.reformat(
        format="rgb24",
        src_colorspace=SPACES[matrix],
        src_color_range="JPEG" if full else "MPEG",
        dst_color_range="JPEG",
    ).to_ndarray()
    inner = (slice(2, -4), slice(2, -4))
    np.testing.assert_allclose(to_rgb(ours)[inner] * 255, rgb[inner], atol=2)
    np.testing.assert_allclose(to_bgr8(ours)[inner][..., ::-1], rgb[inner], atol=4)


@settings(max_examples=60, deadline=None)
@given(
    corner=st.tuples(st.integers(0, 30), st.integers(0, 30)),
    size=st.tuples(st.integers(1, 33), st.integers(1, 17)),
    shifts=st.sampled_from([(0, 0), (1, 0), (1, 1), (2, 2), (2, 0)]),
    full=st.booleans(),
)
def test_a_box_is_the_same_box_of_the_whole(
    corner: tuple[int, int], size: tuple[int, int], shifts: tuple[int, int], full: bool
) -> None:
    rng = np.random.default_rng(0)
    height, width = 47, 63
    chroma = (-(-height // (1 << shifts[1])), -(-width // (1 << shifts[0])))
    planes = tuple(
        rng.integers(0, 256, shape).astype(np.uint8) for shape in ((height, width), chroma, chroma)
    )
    frame = Frame(
        pts=0,
        format=PixelFormat("test", "yuv", 8, *shifts),
        colour=Colour("bt709", full),
        planes=planes,
    )
    box = (corner[0], corner[1], corner[0] + size[0], corner[1] + size[1])
    whole = to_rgb(frame)
    np.testing.assert_array_equal(to_rgb(frame, box), whole[box[1] : box[3], box[0] : box[2]])
    assert to_bgr8(frame).shape == (height, width, 3)
    assert whole.min() >= 0
    assert whole.max() <= 1


@pytest.mark.parametrize("matrix", MATRICES)
def test_black_and_white_are_exact(matrix: Matrix) -> None:
    for level, value in ((16, 0.0), (235, 1.0)):
        luma = np.full((6, 8), level, np.uint8)
        chroma = np.full((3, 4), 128, np.uint8)
        frame = Frame(
            pts=0,
            format=PixelFormat("yuv420p", "yuv", 8, 1, 1),
            colour=Colour(matrix),
            planes=(luma, chroma, chroma),
        )
        np.testing.assert_allclose(to_rgb(frame), value, atol=1e-6)
        np.testing.assert_allclose(to_bgr8(frame), value * 255, atol=1)
    assert set(LUMA_WEIGHTS) == set(MATRICES)


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
def test_a_change_agrees_with_ffmpeg(matrix: Matrix, full: bool) -> None:
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
