"""Enlargement of frames: the same as sampling each place of each plane by itself, and faster."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from facepipe.datatypes import Frame, PixelFormat, Plane
from facepipe.faces.restoration.enlarge import enlarge
from media.planes import FORMATS, noise_frame

SUBSAMPLED = [
    PixelFormat("yuv420p", "yuv", 8, 1, 1),
    PixelFormat("yuv422p10le", "yuv", 10, 1, 0),
    PixelFormat("yuv440p", "yuv", 8, 0, 1),
    PixelFormat("yuv410p", "yuv", 8, 2, 2),
    PixelFormat("yuv444p12le", "yuv", 12),
]


def sampled(frame: Frame, number: int, scale: int) -> Plane:
    """A plane of the enlarged frame, by its samples' places between luma's."""
    pixel = frame.format
    shift_x, shift_y = (pixel.shift_x, pixel.shift_y) if number in (1, 2) else (0, 0)
    across, down = 1 << shift_x, 1 << shift_y
    to_luma = np.array([[across, 0, 0], [0, down, (down - 1) / 2], [0, 0, 1]])
    enlarging = np.array([[scale, 0, (scale - 1) / 2], [0, scale, (scale - 1) / 2], [0, 0, 1]])
    size = (-(-frame.width * scale >> shift_x), -(-frame.height * scale >> shift_y))
    large = cv2.warpAffine(
        frame.planes[number],
        (np.linalg.inv(to_luma) @ enlarging @ to_luma)[:2],
        size,
        flags=cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.minimum(np.asarray(large), (1 << pixel.bits) - 1).astype(frame.planes[0].dtype)


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize("pixel", SUBSAMPLED, ids=lambda p: p.name)
def test_every_sample_is_within_one_code_value_of_one_sampled_by_itself(
    pixel: PixelFormat, scale: int
) -> None:
    frame = noise_frame(pixel)
    large = enlarge(frame, scale)
    for number, plane in enumerate(large.planes):
        expected = sampled(frame, number, scale)
        assert plane.shape == expected.shape
        assert np.abs(plane.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize("pixel", FORMATS, ids=lambda p: p.name)
def test_enlarging_keeps_format_and_place(pixel: PixelFormat, scale: int) -> None:
    frame = noise_frame(pixel)
    large = enlarge(frame, scale)
    assert (large.width, large.height) == (101 * scale, 83 * scale)
    again = enlarge(frame.with_planes(tuple(np.full_like(p, 99) for p in frame.planes)), scale)
    for small, plane, flat in zip(frame.planes, large.planes, again.planes, strict=True):
        assert plane.dtype == small.dtype
        assert plane.max() < 1 << pixel.bits
        assert (flat == 99).all()
    if pixel.model == "yuv":
        assert large.planes[1].shape == (
            -(-83 * scale >> pixel.shift_y), -(-101 * scale >> pixel.shift_x)
        )  # fmt: skip
