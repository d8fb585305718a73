from __future__ import annotations

import cv2
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from facepipe.faces.colour import to_bgr8
from facepipe.faces.detection.denoise import denoised
from facepipe.faces.noise import NOISY, noise_sigma
from media.noisy import frame, land

Rgb = NDArray[np.uint8]


def error(image: Rgb, rgb: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.square(image[..., ::-1] - rgb).mean()))


def test_a_clean_frame_is_not_changed() -> None:
    frames = [frame(land(4, 2.0 * k), 1.5, seed=k) for k in range(3)]
    np.testing.assert_array_equal(denoised(frames[1], [frames[0], frames[2]]), to_bgr8(frames[1]))


def test_a_noisy_frame_is_denoised_and_nothing_smears() -> None:
    """It all moves by four px a frame, so that a plain mean of the frames blurs it."""
    truth = [land(5, 4.0 * k) for k in range(5)]
    frames = [frame(one, 14.0, seed=k) for k, one in enumerate(truth)]
    assert noise_sigma(frames[2], [frames[1], frames[3]]) > NOISY
    made = denoised(frames[2], [*frames[:2], *frames[3:]])
    assert error(made, truth[2]) < 0.6 * error(to_bgr8(frames[2]), truth[2])


def test_another_shot_does_not_show_through() -> None:
    here, other = land(6), land(7)
    alone = frame(here, 14.0, seed=1)
    made = denoised(alone, [frame(other, 14.0, seed=2), frame(other, 14.0, seed=3)])
    assert error(made, here) < 1.1 * error(to_bgr8(alone), here)


def test_large_frames_are_averaged_in_strips_without_a_seam() -> None:
    size = (600, 90)
    truth = [land(8, 2.0 * k, size) for k in range(3)]
    frames = [frame(one, 10.0, seed=k) for k, one in enumerate(truth)]
    off = np.abs(denoised(frames[1], [frames[0], frames[2]])[..., ::-1] - truth[1]).mean((1, 2))
    usual = float(np.median(off))
    assert off[250:262].max() < 1.5 * usual
    assert off[506:518].max() < 1.5 * usual


@settings(max_examples=30, deadline=None)
@given(width=st.integers(1, 70), height=st.integers(1, 70))
def test_every_size_is_taken(width: int, height: int) -> None:
    frames = [frame(np.full((height, width, 3), 128.0), 20.0, seed=k) for k in range(3)]
    made = denoised(frames[1], [frames[0], frames[2]])
    assert made.shape == (height, width, 3)
    assert made.dtype == np.uint8


def test_threads_do_not_change_it() -> None:
    frames = [frame(land(9, 3.0 * k, (300, 400)), 12.0, seed=k) for k in range(3)]
    before = cv2.getNumThreads()
    made = []
    for threads in (1, 2):
        cv2.setNumThreads(threads)
        made.append(denoised(frames[1], [frames[0], frames[2]]))
    cv2.setNumThreads(before)
    np.testing.assert_array_equal(*made)
