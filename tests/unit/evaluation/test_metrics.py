from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from facepipe.errors import ModelError
from facepipe.evaluation.metrics import (
    PSNR_CEILING,
    bt601_luma,
    measurable,
    measure,
    psnr,
    ssim_map,
)
from facepipe.models.networks.stlpips import StLpips, find_stlpips_weights, load_stlpips

EVERYWHERE = np.ones((48, 56), np.bool_)


def two_images() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    rng = np.random.default_rng(0)
    ramp = np.linspace(20, 200, 56)[None, :, None] + np.array([0, 15, 30])
    one = np.clip(ramp + rng.normal(0, 20, (48, 56, 3)), 0, 255).astype(np.uint8)
    other = np.clip(one + rng.normal(0, 12, one.shape), 0, 255).astype(np.uint8)
    return one, other


def window(axes: int) -> NDArray[np.float64]:
    """The 11-wide Gaussian window, written out."""
    tap = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    weights = np.asarray(tap / tap.sum())
    product = weights
    for _ in range(axes - 1):
        product = np.multiply.outer(product, weights)
    return product


def ssim_at(one: NDArray[np.float64], other: NDArray[np.float64], place: tuple[int, ...]) -> float:
    """SSIM at one point by its formula, edges replicated."""
    pads = [(5, 5)] * one.ndim
    cut = tuple(slice(k, k + 11) for k in place)
    a = np.pad(one, pads, mode="edge")[cut]
    b = np.pad(other, pads, mode="edge")[cut]
    w = window(one.ndim)
    mean_a, mean_b = (w * a).sum(), (w * b).sum()
    var_a, var_b = (w * (a - mean_a) ** 2).sum(), (w * (b - mean_b) ** 2).sum()
    both = (w * (a - mean_a) * (b - mean_b)).sum()
    c1, c2 = 2.55**2, 7.65**2
    structure = (2 * both + c2) / (var_a + var_b + c2)
    return float((2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1) * structure)


def test_psnr_of_a_known_difference() -> None:
    flat = np.full((48, 56, 3), 100.0)
    assert psnr(flat, flat + 5, EVERYWHERE) == pytest.approx(20 * np.log10(255 / 5))
    assert psnr(flat, flat, EVERYWHERE) == PSNR_CEILING


def test_luma_spans_studio_range() -> None:
    colours = np.array([[[0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 0, 255]]], np.uint8)
    np.testing.assert_allclose(bt601_luma(colours), [[16, 235, 81.481, 40.966]], atol=1e-9)


@pytest.mark.parametrize("place", [(0, 0, 0), (20, 30, 1), (47, 55, 2), (3, 50, 2)])
def test_ssim_of_the_volume_follows_its_formula(place: tuple[int, int, int]) -> None:
    one, other = (image.astype(float) for image in two_images())
    assert ssim_map(one, other)[place] == pytest.approx(ssim_at(one, other, place), abs=1e-9)


def test_ssim_of_a_plane_follows_its_formula() -> None:
    one, other = (bt601_luma(image) for image in two_images())
    for place in ((0, 0), (24, 28), (47, 3)):
        assert ssim_map(one, other)[place] == pytest.approx(ssim_at(one, other, place), abs=1e-9)


@pytest.mark.parametrize("axes", [2, 3])
def test_ssim_agrees_with_scikit_image_inside_the_border(axes: int) -> None:
    structural_similarity = pytest.importorskip("skimage.metrics").structural_similarity
    rng = np.random.default_rng(3)
    one = rng.uniform(0, 255, (24,) * axes)
    other = np.clip(one + rng.normal(0, 30, one.shape), 0, 255)
    expected = structural_similarity(
        one, other, data_range=255, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    inside = (slice(5, -5),) * axes
    assert ssim_map(one, other)[inside].mean() == pytest.approx(expected, abs=1e-9)


def test_measure_gives_all_four_figures_in_their_conventions() -> None:
    one, other = two_images()
    found = measure(one, other, EVERYWHERE)
    a, b = one.astype(float), other.astype(float)
    assert found.psnr_rgb == pytest.approx(10 * np.log10(255**2 / np.mean((a - b) ** 2)))
    inner = np.s_[8:-8, 8:-8]
    y_error = np.mean((bt601_luma(one) - bt601_luma(other))[inner] ** 2)
    assert found.psnr_y == pytest.approx(10 * np.log10(255**2 / y_error))
    assert found.ssim_rgb3d == pytest.approx(ssim_map(a, b).mean())
    y_map = ssim_map(bt601_luma(one)[inner], bt601_luma(other)[inner])
    assert found.ssim_y == pytest.approx(y_map[5:-5, 5:-5].mean())


def test_equal_images_are_perfect() -> None:
    one, _ = two_images()
    found = measure(one, one.copy(), EVERYWHERE)
    assert (found.psnr_rgb, found.psnr_y) == (PSNR_CEILING, PSNR_CEILING)
    assert (found.ssim_rgb3d, found.ssim_y) == (pytest.approx(1), pytest.approx(1))


def test_pixels_that_are_not_valid_count_in_no_psnr() -> None:
    one, other = two_images()
    valid = EVERYWHERE.copy()
    valid[:, :20] = False
    spoilt = other.copy()
    spoilt[:, :20] = 255
    found, expected = measure(one, spoilt, valid), measure(one, other, valid)
    assert found.psnr_rgb == expected.psnr_rgb
    assert found.psnr_y == expected.psnr_y
    # A window reaches 5 px over the edge of what is valid: SSIM hears of it there, and only there.
    assert abs(found.ssim_rgb3d - expected.ssim_rgb3d) < 0.1
    assert measure(one, spoilt, EVERYWHERE).psnr_rgb < found.psnr_rgb - 5


def test_measure_refuses_what_it_cannot_compare() -> None:
    one, other = two_images()
    with pytest.raises(ValueError, match="shapes disagree"):
        measure(one, other[1:], EVERYWHERE)
    rim = ~EVERYWHERE
    rim[:8] = True
    assert not measurable(rim)
    with pytest.raises(ValueError, match="no valid pixel"):
        measure(one, other, rim)


def published_form(metric: StLpips) -> dict[str, torch.Tensor]:
    """A metric's tensors under the names of the published file."""
    names = ("slice1.0", "slice2.5", "slice3.9", "slice4.11", "slice5.13")
    ours = metric.state_dict()
    theirs = {"net.slice1.1.filt": torch.ones(64, 1, 3, 3)}  # there are names that we do not need
    for layer, name in enumerate(names):
        for kind in ("weight", "bias"):
            theirs[f"net.{name}.{kind}"] = ours[f"convs.{layer}.{kind}"]
        theirs[f"lin{layer}.model.1.weight"] = ours[f"weigh.{layer}.weight"].abs()
    return theirs


@pytest.fixture(scope="module")
def any_metric(tmp_path_factory: pytest.TempPathFactory) -> StLpips:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("stlpips") / "alex.pth"
    torch.save(published_form(StLpips()), path)
    return load_stlpips(path, sha256=None)


def test_perceptual_distance_is_zero_for_equal_images_and_grows(any_metric: StLpips) -> None:
    generator = torch.Generator().manual_seed(0)
    truth = torch.rand(2, 3, 64, 64, generator=generator)
    noise = torch.randn(truth.shape, generator=generator)
    with torch.inference_mode():
        assert torch.equal(any_metric(truth, truth), torch.zeros(2))
        little, much = any_metric(truth, truth + 0.02 * noise), any_metric(truth, truth + noise)
        assert bool(((little > 0) & (much > little)).all())
        torch.testing.assert_close(any_metric(truth + noise, truth), much)


def test_perceptual_network_halves_its_layers(any_metric: StLpips) -> None:
    with torch.inference_mode():
        layers = any_metric._features(torch.rand(1, 3, 128, 128))
    shapes = [tuple(layer.shape[1:]) for layer in layers]
    assert shapes == [(64, 62, 62), (192, 31, 31), (384, 16, 16), (256, 16, 16), (256, 16, 16)]
    lengths = layers[0].square().sum(1)
    assert bool(((lengths < 1.0001) & ((lengths > 0.999) | (lengths == 0))).all())


def test_perceptual_weights_are_checked(tmp_path: Path) -> None:
    path = tmp_path / "alex.pth"
    with pytest.raises(ModelError, match="no such file"):
        load_stlpips(path)
    for content in (b"garbage" * 100, b""):
        path.write_bytes(content)
        with pytest.raises(ModelError, match="damaged"):
            load_stlpips(path, sha256=None)
    torch.save({"net.slice1.0.weight": torch.zeros(1)}, path)
    with pytest.raises(ModelError, match="no weights of ST-LPIPS"):
        load_stlpips(path, sha256=None)
    with pytest.raises(ModelError, match="sha256"):
        load_stlpips(path)


@pytest.mark.skipif(find_stlpips_weights() is None, reason="stlpips-pytorch is not installed")
def test_published_weights_give_the_published_distances() -> None:
    path = find_stlpips_weights()
    assert path is not None
    across = torch.linspace(0, 1, 64).expand(1, 3, 64, 64)
    with torch.inference_mode():
        found = load_stlpips(path)(across, across.flip(3)).item()
    # The package's own code, version 0.0.2, gives this for the same two ramps.
    assert found == pytest.approx(0.44056, abs=1e-4)
