"""Registration of faces by their pixels."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from facepipe.datatypes import Colour, Faces, Float32, Frame, PixelFormat
from facepipe.faces.canvas import compose
from facepipe.faces.tracking.registration import Follower, luma_levels

MIDDLE = np.array([60.0, 50.0])


def scene(seed: int = 0) -> Float32:
    """(400, 480) of blobs of all sizes."""
    rng = np.random.default_rng(seed)
    image = sum(
        strength * cv2.GaussianBlur(rng.normal(0, 1, (400, 480)), (0, 0), wide)
        for wide, strength in ((6, 220), (12, 400), (24, 700))
    )
    return np.asarray(np.clip(128 + image, 0, 255), np.float32)


def seen(motion: NDArray[np.float64], image: Float32, noise: float = 0, seed: int = 9) -> Float32:
    """(100, 120) of the scene, each pixel the mean of sixteen, moved by (2, 3) `motion`."""
    to_fine = np.array([[4.0, 0, 1.5], [0, 4, 1.5]])
    from_fine = np.array([[0.25, 0, -0.375], [0, 0.25, -0.375]])
    moved = cv2.warpAffine(
        image, compose(compose(to_fine, motion), from_fine), (480, 400), flags=cv2.INTER_CUBIC
    )
    small = cv2.resize(moved, (120, 100), interpolation=cv2.INTER_AREA)
    grain = noise * np.random.default_rng(seed).standard_normal(small.shape)
    return np.asarray(small + grain, np.float32)


def motion(turn: float, growth: float, shift: tuple[float, float]) -> NDArray[np.float64]:
    """About MIDDLE: turned by degrees, grown, then shifted by px."""
    along = np.exp(growth + 1j * np.radians(turn))
    linear = np.array([[along.real, -along.imag], [along.imag, along.real]])
    return np.column_stack((linear, MIDDLE - linear @ MIDDLE + shift))


def faces(size: float, *middles: NDArray[np.float64]) -> Faces:
    boxes = [np.concatenate((middle - size / 2, middle + size / 2)) for middle in middles]
    count = len(boxes)
    return Faces(
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        scores=np.ones(count, np.float32),
        landmarks=np.zeros((count, 5, 2), np.float32),
    )


def off(found: NDArray[np.float64], true: NDArray[np.float64], size: float) -> float:
    """The largest error over a face, px."""
    corners = MIDDLE + size / 3 * np.array([[-1, -1], [1, -1], [-1, 1], [1, 1]])
    error = corners @ (found - true)[:, :2].T + (found - true)[:, 2]
    return float(np.hypot(*error.T).max())


@pytest.mark.parametrize("size", [12.0, 24.0, 48.0])
def test_motion_is_found_to_parts_of_a_pixel(size: float) -> None:
    image = scene()
    follower = Follower(seen(np.eye(2, 3), image, noise=1.5), faces(size, MIDDLE))
    for step in range(1, 6):
        true = motion(1.2 * step, 0.01 * step, (0.43 * step, -0.21 * step))
        (found,) = follower.step(seen(true, image, noise=1.5, seed=step))
        assert off(found, true, size) < 0.12 + 0.004 * size


def test_a_leap_is_found_by_search() -> None:
    image = scene()
    follower = Follower(seen(np.eye(2, 3), image), faces(20, MIDDLE))
    true = motion(0, 0, (7.3, -5.6))
    (found,) = follower.step(seen(true, image))
    assert off(found, true, 20) < 0.1


def test_light_and_contrast_do_not_count() -> None:
    image = scene()
    follower = Follower(seen(np.eye(2, 3), image), faces(20, MIDDLE))
    true = motion(0, 0, (0.6, 0.3))
    (found,) = follower.step(0.5 * seen(true, image) + 40)
    assert off(found, true, 20) < 0.1


def test_a_face_that_is_gone_is_lost_and_stays_so() -> None:
    image = scene()
    aside = np.array([100.0, 80.0])
    follower = Follower(seen(np.eye(2, 3), image), faces(16, MIDDLE, aside))
    covered = seen(np.eye(2, 3), image)
    covered[30:70, 35:85] = seen(np.eye(2, 3), scene(seed=5))[30:70, 35:85]
    lost, kept = follower.step(covered)
    assert np.isnan(lost).all()
    np.testing.assert_allclose(kept, np.eye(2, 3), atol=0.01)
    again, kept = follower.step(seen(np.eye(2, 3), image))
    assert np.isnan(again).all()
    assert np.isfinite(kept).all()


def test_nothing_to_see_is_lost_not_an_error() -> None:
    flat = np.full((100, 120), 90, np.float32)
    follower = Follower(flat, faces(16, MIDDLE, np.array([-40.0, 500.0])))
    assert np.isnan(follower.step(flat)).all()
    assert Follower(flat, Faces.none()).step(flat).shape == (0, 2, 3)


def test_luma_is_in_code_values_of_eight_bits() -> None:
    ten = PixelFormat("yuv420p10le", "yuv", 10, 1, 1)
    planes = tuple(np.full((4, 4), value, np.uint16) for value in (400, 512, 512))
    assert (
        luma_levels(Frame(pts=0, format=ten, colour=Colour(), planes=planes)).tolist()
        == [[100.0] * 4] * 4
    )
    rgb = PixelFormat("gbrp", "rgb", 8)
    planes8 = tuple(np.full((2, 2), value, np.uint8) for value in (10, 20, 30))
    assert luma_levels(Frame(pts=0, format=rgb, colour=Colour(), planes=planes8)).max() == 20


def test_a_follower_that_begins_anew_does_as_one_that_was_just_made() -> None:
    image = scene()
    first = seen(np.eye(2, 3), image)
    used = Follower(first, faces(24, MIDDLE))
    used.step(seen(motion(0, 0, (3, 2)), image))
    later = [seen(motion(2, 0.01, (-2 * k, k)), image) for k in (1, 2)]
    again, new = used.anew(), Follower(first, faces(24, MIDDLE))
    for luma in later:
        np.testing.assert_array_equal(again.step(luma), new.step(luma))
