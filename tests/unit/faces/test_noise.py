from __future__ import annotations

import cv2
import numpy as np
import pytest

from facepipe.datatypes import Float32, Frame
from facepipe.faces.noise import cell_noise_variance, median, noise_sigma
from media.noisy import frame, land


@pytest.mark.parametrize("sigma", [2.0, 6.0, 15.0])
@pytest.mark.parametrize("bits", [8, 10])
def test_noise_is_measured_where_things_move(sigma: float, bits: int) -> None:
    here, *neighbours = [frame(land(1, 1.5 * k), sigma, seed=k, bits=bits) for k in range(3)]
    assert noise_sigma(here, neighbours) == pytest.approx(sigma, rel=0.25)


def test_neither_texture_nor_motion_is_noise() -> None:
    texture = np.random.default_rng(3).uniform(40, 210, (96, 160, 3))
    at_rest = [frame(texture) for _ in range(3)]
    assert noise_sigma(at_rest[0], at_rest[1:]) == 0
    moving = [frame(land(2, 4.0 * k)) for k in range(3)]
    assert noise_sigma(moving[0], moving[1:]) < 1
    assert noise_sigma(moving[0], []) == 0


@pytest.mark.parametrize("spacing", [0.15, 0.5, 0.9])
def test_the_noise_variance_of_cells_is_as_estimated(spacing: float) -> None:
    """Of grain that no codec made coarse, so that there is up to 2.5 times less of it."""
    side, sigma = 8, 12.0
    to_frame = np.array([[spacing, 0, 3], [0, spacing, 3]])
    rng = np.random.default_rng(5)
    means = []
    for _ in range(12):
        image = rng.normal(128, sigma, (140, 140)).astype(np.float32)
        canvas = cv2.warpAffine(
            image, to_frame, (128, 128), flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        )
        means.append(cv2.resize(canvas / 255, (16, 16), interpolation=cv2.INTER_AREA))
    found = float(np.var(np.diff(means, axis=0)))
    assert found < cell_noise_variance(sigma, to_frame, side) < 2.5 * found


@pytest.mark.parametrize("shape", [(1,), (3, 5), (101,), (60, 80)])
def test_is_the_median(shape: tuple[int, ...]) -> None:
    values = np.random.default_rng(len(shape)).normal(size=shape).astype(np.float32)
    upper = np.sort(values.ravel())[values.size // 2]
    assert median(values) == upper
    assert median(values) == pytest.approx(np.median(values), abs=0.1)


@pytest.mark.parametrize("bits", [8, 10])
@pytest.mark.parametrize("sigma", [0.5, 2.0, 6.0])
def test_noise_is_as_measured_by_medians_of_sorted_values(sigma: float, bits: int) -> None:
    here, *neighbours = [frame(land(1, 1.5 * k), sigma, seed=k, bits=bits) for k in range(3)]
    every = max(4, round((here.width * here.height / 8000) ** 0.5))

    def sparse(one: Frame, down: int = 0, across: int = 0) -> Float32:
        rows, columns = here.height // every, here.width // every
        luma = one.luma[down::every, across::every][:rows, :columns].astype(np.float32)
        return luma / np.float32(1 << (bits - 8))

    first = sparse(here)
    cross = first - sparse(here, 0, 1) - sparse(here, 1, 0) + sparse(here, 1, 1)
    new = min(median(np.abs(first - sparse(one))) for one in neighbours) / np.sqrt(2)
    expected = min(median(np.abs(cross)) / 2, new) / 0.6745
    assert noise_sigma(here, neighbours) == pytest.approx(expected, rel=1e-6)
