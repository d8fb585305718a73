from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from facepipe.training.losses import (
    fourier_l1,
    grid_l1,
    negative_psnr,
    soft_cross_entropy,
    valid_l1,
)


@pytest.fixture
def images() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    one, other = torch.rand(2, 2, 3, 32, 32, generator=generator)
    valid = torch.ones(2, 1, 32, 32)
    valid[0, :, :, :7] = 0
    return one, other, valid


def test_invalid_pixels_do_not_count(
    images: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
) -> None:
    one, other, valid = images
    spoilt = one * valid + 9 * (1 - valid)
    for loss in (valid_l1, fourier_l1, grid_l1, negative_psnr):
        assert torch.equal(loss(one, other, valid), loss(spoilt, other, valid))
        assert not torch.equal(loss(one, other, valid), loss(one, other, torch.ones_like(valid)))


def test_valid_l1_is_the_mean_over_valid_pixels(
    images: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
) -> None:
    one, other, valid = images
    expected = (one - other).abs()[valid.expand_as(one) > 0].mean()
    torch.testing.assert_close(valid_l1(one, other, valid), expected)
    assert float(valid_l1(one, other, torch.zeros_like(valid))) == 0


def test_losses_of_equal_images_are_zero(
    images: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
) -> None:
    one, _, valid = images
    assert float(fourier_l1(one, one, valid)) == 0
    assert float(valid_l1(one, one, valid)) == 0


def test_negative_psnr_is_the_mean_over_faces_of_each_face_s(
    images: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
) -> None:
    one, other, valid = images
    squares = [
        (a - b)[:, v[0] > 0].square().mean() for a, b, v in zip(one, other, valid, strict=True)
    ]
    expected = torch.stack([10 * torch.log10(square) for square in squares]).mean()
    assert float(negative_psnr(one, other, valid)) == pytest.approx(float(expected), abs=0.01)
    assert float(negative_psnr(one, one, valid)) == pytest.approx(-40)


def test_fourier_l1_of_a_constant_difference_sits_at_frequency_zero() -> None:
    truth = torch.zeros(1, 3, 16, 16)
    valid = torch.ones(1, 1, 16, 16)
    # Orthonormal transform: 0.5 everywhere is one coefficient of 0.5 * 16 among 16 * 9 complex.
    expected = 0.5 * 16 / (16 * 9 * 2)
    assert float(fourier_l1(truth + 0.5, truth, valid)) == pytest.approx(expected, rel=1e-5)


def test_fourier_l1_is_computed_in_float32_under_autocast() -> None:
    images = torch.rand(1, 3, 16, 16).bfloat16()
    assert fourier_l1(images, images * 0, torch.ones(1, 1, 16, 16)).dtype == torch.float32


def test_soft_cross_entropy_agrees_with_torch_on_hard_labels() -> None:
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(2, 8, 5, 5, generator=generator)
    labels = torch.randint(0, 8, (2, 5, 5), generator=generator)
    shares = functional.one_hot(labels, 8).permute(0, 3, 1, 2).float()
    torch.testing.assert_close(
        soft_cross_entropy(logits, shares), functional.cross_entropy(logits, labels)
    )
    shares[0, :, :2] = 0  # unknown places
    labels[0, :2] = -100
    torch.testing.assert_close(
        soft_cross_entropy(logits, shares), functional.cross_entropy(logits, labels)
    )


def test_soft_cross_entropy_of_nothing_known_is_zero() -> None:
    assert float(soft_cross_entropy(torch.randn(1, 8, 4, 4), torch.zeros(1, 8, 4, 4))) == 0


def test_a_grid_costs_far_more_than_noise_of_the_same_power() -> None:
    generator = torch.Generator().manual_seed(1)
    truth = torch.rand(2, 3, 128, 128, generator=generator)
    valid = torch.ones(2, 1, 128, 128)
    noise = torch.randn(2, 3, 128, 128, generator=generator)
    stripes = torch.ones(128)
    stripes[::4] = -3  # power 3, mean 0
    grid = stripes.view(1, 1, 128, 1).expand_as(noise) / 3**0.5
    by_noise = float(grid_l1(truth + 0.05 * noise, truth, valid))
    by_grid = float(grid_l1(truth + 0.05 * grid, truth, valid))
    assert by_grid > 3 * by_noise
    assert by_grid == pytest.approx(0.05 * 1.5 / 3**0.5, rel=0.1)
    # A constant error is no grid.
    assert float(grid_l1(truth + 0.1, truth, valid)) == pytest.approx(0, abs=1e-6)
