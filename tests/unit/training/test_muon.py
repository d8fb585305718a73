"""Muon's steps: how long they are, which way they go, and what it may learn."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from facepipe.training.muon import Muon, is_matrix, orthogonalized


@settings(max_examples=25, deadline=None)
@given(st.integers(8, 40), st.integers(8, 90), st.integers(1, 3), st.integers(0, 2**31))
def test_singular_values_come_near_one_and_directions_stay(
    height: int, width: int, count: int, seed: int
) -> None:
    torch.manual_seed(seed)
    left = torch.linalg.qr(torch.randn(count, height, height))[0]
    right = torch.linalg.qr(torch.randn(count, width, width))[0]
    small = min(height, width)
    strengths = torch.logspace(0, -1.5, small).expand(count, small)
    matrices = left[..., :small] * strengths[:, None] @ right[..., :small].mT * 1e-3
    values = torch.linalg.svdvals(orthogonalized(matrices))
    assert values.min() > 0.5
    assert values.max() < 1.3
    turned = left[..., :small].mT @ orthogonalized(matrices) @ right[..., :small]
    off = turned - torch.diag_embed(turned.diagonal(dim1=1, dim2=2))
    assert off.abs().max() < 0.1  # bfloat16


def test_no_gradient_gives_no_step() -> None:
    assert not orthogonalized(torch.zeros(2, 8, 16)).any()
    weights = nn.Parameter(torch.randn(8, 16))
    before = weights.detach().clone()
    optimizer = Muon([weights], lr=0.1)
    optimizer.step()
    weights.grad = torch.zeros_like(weights)
    optimizer.step()
    torch.testing.assert_close(weights.detach(), before)


@pytest.mark.parametrize("shape", [(32, 32), (16, 64), (24, 8, 3, 3)])
def test_a_step_is_as_long_as_adams(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    weights = nn.Parameter(torch.zeros(shape))
    weights.grad = torch.randn(shape) * 1e-4
    Muon([weights], lr=0.01).step()
    assert 0.0013 < weights.detach().square().mean().sqrt() < 0.0026
    assert (weights * weights.grad).sum() < 0


def test_weights_of_one_shape_do_not_mix() -> None:
    torch.manual_seed(0)
    gradients = torch.randn(3, 2, 16, 12, 1, 1)
    layouts = (torch.contiguous_format, torch.channels_last)
    pair = [nn.Parameter(torch.ones(16, 12, 1, 1).to(memory_format=how)) for how in layouts]
    lone = [nn.Parameter(torch.ones(16, 12, 1, 1)) for _ in range(2)]
    together, difference = Muon(pair, lr=0.1), [Muon([one], lr=0.1) for one in lone]
    for both in gradients:
        for one, other, gradient in zip(pair, lone, both, strict=True):
            one.grad, other.grad = gradient.clone(), gradient.clone()
        together.step()
        for optimizer in difference:
            optimizer.step()
    for one, other in zip(pair, lone, strict=True):
        torch.testing.assert_close(one, other, atol=2e-3, rtol=0)
    assert (pair[0] - pair[1]).abs().max() > 0.05


def test_biases_and_thin_layers_are_for_another() -> None:
    assert is_matrix(torch.zeros(8, 2, 2, 2))
    for shape in ((64,), (6, 64), (64, 7), (64, 1, 2, 2)):
        assert not is_matrix(torch.zeros(shape))
        with pytest.raises(ValueError, match="no matrix"):
            Muon([nn.Parameter(torch.zeros(shape))], lr=0.1)


def test_a_matrix_is_learned() -> None:
    torch.manual_seed(0)
    inputs, truth = torch.randn(256, 32), torch.randn(32, 32)
    weights = nn.Parameter(torch.zeros(32, 32))
    optimizer = Muon([weights], lr=0.1)

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        error = (inputs @ (weights - truth)).square().mean()
        error.backward()  # type: ignore[no-untyped-call]
        return error

    first = float(loss().detach())
    for step in range(200):
        optimizer.param_groups[0]["lr"] = 0.1 * (1 - step / 200)
        last = optimizer.step(loss)
    assert last is not None
    assert float(last.detach()) < 1e-3 * first
