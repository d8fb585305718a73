from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from facepipe.frames import Colour, Frame, PixelFormat
from facepipe.pipeline.colour import to_bgr8
from facepipe.pipeline.quiet import NOISY, noise, quiet

Rgb = NDArray[np.uint8]


def land(seed: int, shift: float = 0.0, size: tuple[int, int] = (96, 160)) -> NDArray[np.float64]:
    """(H, W, 3): blobs of every size, moved to the right by `shift`."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: size[0], : size[1]].astype(np.float64)
    rgb = np.full((*size, 3), 110.0)
    for _ in range(40):
        left, top = rng.uniform((-20, 0), (size[1] + 20, size[0]))
        wide, colour = rng.uniform(3, 18), rng.uniform(-50, 50, 3)
        blob = np.exp(-((x - left - shift) ** 2 + (y - top) ** 2) / wide**2)
        rgb += blob[..., None] * colour
    return np.clip(rgb, 30, 225)


def frame(rgb: NDArray[np.float64], sigma: float = 0.0, seed: int = 0, bits: int = 8) -> Frame:
    noisy = rgb + np.random.default_rng(seed).normal(0, sigma, rgb.shape)
    top = (1 << bits) - 1
    codes = np.clip(np.rint(noisy * top / 255), 0, top)
    kind = PixelFormat("gbrp" if bits == 8 else "gbrp10le", "rgb", bits)
    dtype = np.uint8 if bits == 8 else np.uint16
    return Frame(0, kind, Colour(), tuple(codes[..., k].astype(dtype) for k in range(3)))


def error(picture: Rgb, rgb: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.square(picture[..., ::-1] - rgb).mean()))


@pytest.mark.parametrize("sigma", [2.0, 6.0, 15.0])
@pytest.mark.parametrize("bits", [8, 10])
def test_noise_is_measured_where_things_move(sigma: float, bits: int) -> None:
    here, *beside = [frame(land(1, 1.5 * k), sigma, seed=k, bits=bits) for k in range(3)]
    assert noise(here, beside) == pytest.approx(sigma, rel=0.25)


def test_neither_texture_nor_motion_is_noise() -> None:
    texture = np.random.default_rng(3).uniform(40, 210, (96, 160, 3))
    at_rest = [frame(texture) for _ in range(3)]
    assert noise(at_rest[0], at_rest[1:]) == 0
    moving = [frame(land(2, 4.0 * k)) for k in range(3)]
    assert noise(moving[0], moving[1:]) < 1
    assert noise(moving[0], []) == 0


def test_a_clean_picture_stays_as_it_is() -> None:
    frames = [frame(land(4, 2.0 * k), 1.5, seed=k) for k in range(3)]
    np.testing.assert_array_equal(quiet(frames[1], [frames[0], frames[2]]), to_bgr8(frames[1]))


def test_a_noisy_picture_becomes_quiet_and_nothing_smears() -> None:
    """All of it moves by four px a frame, so that a plain mean of the frames blurs it."""
    truth = [land(5, 4.0 * k) for k in range(5)]
    frames = [frame(one, 14.0, seed=k) for k, one in enumerate(truth)]
    assert noise(frames[2], [frames[1], frames[3]]) > NOISY
    made = quiet(frames[2], [*frames[:2], *frames[3:]])
    assert error(made, truth[2]) < 0.6 * error(to_bgr8(frames[2]), truth[2])


def test_another_shot_does_not_show_through() -> None:
    here, other = land(6), land(7)
    alone = frame(here, 14.0, seed=1)
    made = quiet(alone, [frame(other, 14.0, seed=2), frame(other, 14.0, seed=3)])
    assert error(made, here) < 1.1 * error(to_bgr8(alone), here)


def test_large_pictures_are_averaged_in_strips_without_a_seam() -> None:
    size = (600, 90)
    truth = [land(8, 2.0 * k, size) for k in range(3)]
    frames = [frame(one, 10.0, seed=k) for k, one in enumerate(truth)]
    off = np.abs(quiet(frames[1], [frames[0], frames[2]])[..., ::-1] - truth[1]).mean((1, 2))
    usual = float(np.median(off))
    assert off[250:262].max() < 1.5 * usual
    assert off[506:518].max() < 1.5 * usual


@settings(max_examples=30, deadline=None)
@given(width=st.integers(1, 70), height=st.integers(1, 70))
def test_every_size_is_taken(width: int, height: int) -> None:
    frames = [frame(np.full((height, width, 3), 128.0), 20.0, seed=k) for k in range(3)]
    made = quiet(frames[1], [frames[0], frames[2]])
    assert made.shape == (height, width, 3)
    assert made.dtype == np.uint8


def test_threads_do_not_change_it() -> None:
    frames = [frame(land(9, 3.0 * k, (300, 400)), 12.0, seed=k) for k in range(3)]
    before = cv2.getNumThreads()
    made = []
    for threads in (1, 2):
        cv2.setNumThreads(threads)
        made.append(quiet(frames[1], [frames[0], frames[2]]))
    cv2.setNumThreads(before)
    np.testing.assert_array_equal(*made)
