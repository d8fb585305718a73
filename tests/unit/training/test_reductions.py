from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from facepipe.training.reductions import Reduction, bicubic_downscaled, draw_crisp, reduced

DrawnFace = Callable[[int], tuple[NDArray[np.uint8], NDArray[np.uint8]]]
INNER = np.s_[16:144, 16:144]


def error(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    return float(np.abs(one.astype(float) - other.astype(float)).mean())


def test_bicubic_downscaling_keeps_flat_areas_and_loses_detail(drawn_face: DrawnFace) -> None:
    flat = np.full((128, 128, 3), 77, np.uint8)
    np.testing.assert_array_equal(bicubic_downscaled(flat, 16), flat)
    canvas = drawn_face(0)[0][INNER]
    assert bicubic_downscaled(canvas, 16).shape == canvas.shape
    losses = [error(bicubic_downscaled(canvas, size), canvas) for size in (64, 32, 16)]
    assert losses == sorted(losses)


@pytest.mark.parametrize(
    "change",
    [{"kernel": Image.Resampling.BOX}, {"noise": 2.0}, {"quality": 60}, {"size": 20}],
    ids=str,
)
def test_each_field_of_a_reduction_changes_the_pixels(
    change: dict[str, object], drawn_face: DrawnFace
) -> None:
    canvas = drawn_face(0)[0][INNER]
    plain = Reduction(24)
    assert error(reduced(canvas, replace(plain, **change)), reduced(canvas, plain)) > 0.1


def test_noise_depends_on_its_seed_alone(drawn_face: DrawnFace) -> None:
    canvas = drawn_face(0)[0][INNER]
    noisy = Reduction(48, noise=2.0, seed=1)
    np.testing.assert_array_equal(reduced(canvas, noisy), reduced(canvas, noisy))
    assert error(reduced(canvas, noisy), reduced(canvas, replace(noisy, seed=2))) > 0.5


@pytest.mark.parametrize("large", [0.0, 0.5, 1.0])
def test_crisp_faces_are_drawn_as_documented(large: float) -> None:
    rng = np.random.default_rng(0)
    drawn = [draw_crisp(rng, large) for _ in range(1000)]
    sizes = np.array([one.size for one in drawn])
    assert sizes.min() >= (48 if large == 1 else 12)
    assert sizes.max() <= (96 if large == 0 else 112)
    # Log-uniform from 12 to 96 px, a third of the faces has 48 px and more.
    assert np.mean(sizes >= 48) == pytest.approx(large + (1 - large) / 3, abs=0.05)
    kernels = Counter(one.kernel for one in drawn)
    assert kernels[Image.Resampling.BICUBIC] / 1000 == pytest.approx(0.5, abs=0.05)
    assert len(kernels) == 5
    noisy = [one for one in drawn if one.noise]
    assert len(noisy) / 1000 == pytest.approx(0.3, abs=0.05)
    assert all(0.3 <= one.noise <= 2.5 for one in noisy)
    coded = [one.quality for one in noisy if one.quality is not None]
    assert len(coded) / len(noisy) == pytest.approx(0.5, abs=0.1)
    assert min(coded) >= 85
    assert max(coded) <= 98
    assert all(one.quality is None for one in drawn if not one.noise)
