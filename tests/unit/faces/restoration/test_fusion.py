"""Fusion: several frames of a face hold more than one, and anything else adds nothing."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from facepipe.datatypes import CANVAS
from facepipe.faces.canvas import resampled
from facepipe.faces.restoration.fusion import fuse
from facepipe.faces.similarity import cell_means, similarity

SCALE = 4  # canvas px of a frame px
Shown = tuple[NDArray[np.float32], NDArray[np.float64]]


@pytest.fixture(scope="module")
def scene() -> NDArray[np.float32]:
    """An image with detail finer than the frame's pixels, and a margin of 16 px."""
    rng = np.random.default_rng(4)
    side = CANVAS + 32
    fine = cv2.GaussianBlur(rng.random((side, side, 3), np.float32), (0, 0), 1.6)
    coarse = cv2.GaussianBlur(rng.random((side, side, 3), np.float32), (0, 0), 8)
    image = 0.5 + 0.6 * (fine - fine.mean()) + 3 * (coarse - coarse.mean())
    return np.clip(image, 0, 1).astype(np.float32)


def shown(
    scene: NDArray[np.float32], shift: tuple[float, float], off: tuple[float, float] = (0, 0)
) -> Shown:
    """A canvas: the frame's grid is shifted by `shift` canvas px, the landmarks by `off`."""
    size = (len(scene) // SCALE,) * 2
    middle = (SCALE - 1) / 2
    to_scene = np.array([[SCALE, 0, middle + shift[0]], [0, SCALE, middle + shift[1]]])
    optical = cv2.GaussianBlur(scene, (0, 0), 0.3 * SCALE)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    frame = cv2.warpAffine(optical, to_scene, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    places = [(16 + off[k] - to_scene[k, 2]) / SCALE for k in range(2)]
    to_frame = np.array([[1 / SCALE, 0, places[0]], [0, 1 / SCALE, places[1]]])
    return resampled(np.asarray(frame, np.float32), to_frame), to_frame


def plainly_fused(here: Shown, neighbours: list[Shown]) -> NDArray[np.float32]:
    """The same by the formulas alone: each frame's share, and how near its samples lie."""
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    canvas, to_frame = here
    places = np.stack(np.meshgrid(np.arange(CANVAS), np.arange(CANVAS)), -1).astype(np.float32)

    def grey(image: NDArray[np.float32]) -> NDArray[np.uint8]:
        return np.asarray(
            cv2.convertScaleAbs(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), alpha=255), np.uint8
        )

    def nearness(at: NDArray[np.float32], to_frame: NDArray[np.float64]) -> NDArray[np.float64]:
        points = at @ to_frame[:, :2].T + to_frame[:, 2]
        squared = ((points - np.rint(points)) ** 2).sum(-1)
        return np.asarray(np.exp(-squared / (2 * 0.15**2)) + 1e-3)

    shares, nears, differences = [np.ones((CANVAS, CANVAS))], [nearness(places, to_frame)], [0.0]
    for other, other_to_frame in neighbours:
        at = places + flow.calc(
            grey(canvas), grey(other), np.zeros((CANVAS, CANVAS, 2), np.float32)
        )
        seen = cv2.remap(
            other, at[..., 0], at[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
        )
        share = similarity(cell_means(canvas), cell_means(np.asarray(seen)), window=5)
        share = share * ((at >= 0) & (at <= CANVAS - 1)).all(-1)
        shares.append(share)
        nears.append(share * nearness(at, other_to_frame))
        differences.append(seen - canvas)
    mean, nearest = (
        sum(w[..., None] * d for w, d in zip(weights, differences, strict=True))
        / sum(weights)[..., None]
        for weights in (shares, nears)
    )
    return np.dstack([mean, nearest, (sum(shares) - 1) / 4]).astype(np.float32)


def test_fusion_is_the_mean_by_shares_and_by_nearness(scene: NDArray[np.float32]) -> None:
    here, *others = [shown(scene, (0.7 * k, 1.3 * k), (0.2 * k, 0)) for k in range(5)]
    found = fuse(*here, others)
    np.testing.assert_allclose(found, plainly_fused(here, others), atol=0.25 / 255)


def error(image: NDArray[np.float32], scene: NDArray[np.float32]) -> float:
    truth = scene[16:-16, 16:-16]
    return float(np.square(image - truth)[8:-8, 8:-8].mean() ** 0.5)


SHIFTS = ((1.0, 1.1), (-1.2, 1.0), (1.1, -1.0), (-1.0, -1.1))


def test_frames_on_other_grids_show_what_one_does_not(scene: NDArray[np.float32]) -> None:
    canvas, to_frame = shown(scene, (0, 0))
    fused = fuse(canvas, to_frame, [shown(scene, shift) for shift in SHIFTS])
    alone, mean, nearest = (
        error(canvas + more, scene) for more in (0 * canvas, fused[..., 0:3], fused[..., 3:6])
    )
    assert mean < 0.97 * alone
    assert nearest < 0.9 * alone
    assert nearest < mean
    assert fused[16:-16, 16:-16, 6].mean() > 0.95


def test_frames_that_were_found_a_little_off_are_registered(scene: NDArray[np.float32]) -> None:
    canvas, to_frame = shown(scene, (0, 0))
    offs = ((1.5, 0.8), (-1.3, 1.2), (0.9, -1.4), (-1.6, -0.7))
    pairs = zip(SHIFTS, offs, strict=True)
    fused = fuse(canvas, to_frame, [shown(scene, shift, off) for shift, off in pairs])
    assert error(canvas + fused[..., 3:6], scene) < 0.93 * error(canvas, scene)


def test_the_same_frame_adds_nothing(scene: NDArray[np.float32]) -> None:
    canvas, to_frame = shown(scene, (0, 0))
    fused = fuse(canvas, to_frame, [(canvas, to_frame)] * 4)
    np.testing.assert_allclose(fused[..., :6], 0, atol=1e-4)
    np.testing.assert_allclose(fused[..., 6], 1)
    assert not fuse(canvas, to_frame, []).any()


def test_what_something_else_covers_adds_nothing(scene: NDArray[np.float32]) -> None:
    canvas, to_frame = shown(scene, (0, 0))
    others = [shown(scene, shift) for shift in SHIFTS]
    for other, _ in others:
        other[:, 64:] = 0.9  # a hand comes in from the right
    fused = fuse(canvas, to_frame, others)
    assert not fused[16:-16, 104:-8].any()
    assert fused[16:-16, 8:32, 6].min() > 0.9


def test_noise_is_averaged(scene: NDArray[np.float32]) -> None:
    rng = np.random.default_rng(1)
    clean, to_frame = shown(scene, (0, 0))

    def noisy() -> NDArray[np.float32]:
        grain = cv2.resize(rng.normal(0, 0.03, (32, 32, 3)), (CANVAS, CANVAS))
        return np.asarray(clean + grain, np.float32)

    canvas = noisy()
    fused = fuse(canvas, to_frame, [(noisy(), to_frame) for _ in range(4)])
    left = np.std(canvas + fused[..., 0:3] - clean) / np.std(canvas - clean)
    assert left < 0.75


def test_threads_do_not_meddle_with_each_other(scene: NDArray[np.float32]) -> None:
    here = shown(scene, (0, 0))
    others = [shown(scene, (1.3, 2.1), (3, -2)), shown(scene, (-2.2, 0.7), (-4, 1))]
    alone = [fuse(*here, [other] * 8) for other in others]
    with ThreadPoolExecutor(4) as pool:
        fused = pool.map(lambda k: fuse(*here, [others[k % 2]] * 8), range(24))
        for number, found in enumerate(fused):
            np.testing.assert_array_equal(found, alone[number % 2])
