"""What training minimises."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional


def valid_l1(restored_B3HW: Tensor, truth_B3HW: Tensor, valid_B1HW: Tensor) -> Tensor:
    """Mean absolute difference over the pixels that the photograph has."""
    weight = valid_B1HW.expand_as(truth_B3HW)
    return ((restored_B3HW - truth_B3HW).abs() * weight).sum() / weight.sum().clamp(min=1)


def negative_psnr(restored_B3HW: Tensor, truth_B3HW: Tensor, valid_B1HW: Tensor) -> Tensor:
    """Minus the mean PSNR in dB over the faces, each over the pixels that its photograph has.

    A dB counts the same in a face that has lost little as in one that has lost nearly all, where a
    mean of differences hears the latter alone. Above 40 dB a face counts less and less.
    """
    squared = (restored_B3HW - truth_B3HW).float().square() * valid_B1HW
    seen = (3 * valid_B1HW.float().sum((1, 2, 3))).clamp(min=1)
    return 10 * torch.log10(squared.sum((1, 2, 3)) / seen + 1e-4).mean()


def fourier_l1(restored_B3HW: Tensor, truth_B3HW: Tensor, valid_B1HW: Tensor) -> Tensor:
    """L1 of the complex spectrum (amplitude and phase at once), invalid pixels left out.

    Computed in float32 whatever the precision around it.
    """
    difference = (restored_B3HW - truth_B3HW).float() * valid_B1HW.float()
    spectrum = torch.fft.rfft2(difference, norm="ortho")
    return torch.view_as_real(spectrum).abs().mean()


def grid_l1(restored_B3HW: Tensor, truth_B3HW: Tensor, valid_B1HW: Tensor) -> Tensor:
    """How strongly the error repeats every 4 px: the pattern that an upsampling leaves behind.

    A loss on features that forgive a shift hardly sees such a grid, and the eye does at once. The
    error of photographs does not repeat, so its mean over a few cells is small: over windows of 4x4
    cells, the mean magnitude of what their 16 places have in common, less the window's mean.
    H and W are multiples of 16.
    """
    error = (restored_B3HW - truth_B3HW).float() * valid_B1HW.float()
    batch, planes, height, width = error.shape
    cells = error.view(batch, planes, height // 16, 4, 4, width // 16, 4, 4).mean((3, 6))
    return (cells - cells.mean((3, 5), keepdim=True)).abs().mean()


def soft_cross_entropy(logits_BPHW: Tensor, shares_BPHW: Tensor) -> Tensor:
    """Cross-entropy against shares of classes; places whose shares sum to 0 do not count."""
    known = shares_BPHW.sum(1)
    terms = -(shares_BPHW * torch.log_softmax(logits_BPHW.float(), 1)).sum(1)
    return terms.sum() / known.sum().clamp(min=1)


def soft_jaccard(logits_BPHW: Tensor, shares_BPHW: Tensor) -> Tensor:
    """One minus intersection over union, with shares for pixels: the mean over the classes.

    Small parts count as much as large ones, which cross-entropy nearly forgets. Over the whole
    batch; places whose shares sum to 0 do not count, nor do classes that the batch lacks.
    """
    known = shares_BPHW.sum(1, keepdim=True)
    said = torch.softmax(logits_BPHW.float(), 1) * known
    both = torch.minimum(said, shares_BPHW).sum((0, 2, 3))
    either = torch.maximum(said, shares_BPHW).sum((0, 2, 3))
    there = shares_BPHW.sum((0, 2, 3)) > 0
    return 1 - (both / either.clamp(min=1e-6))[there].mean()


def judge_loss(
    judge: Callable[[Tensor], Tensor],
    restored_B3HW: Tensor,
    truth_B3HW: Tensor,
    valid_B1HW: Tensor,
) -> Tensor:
    """How badly a discriminator tells photographed faces from restored ones (logistic loss)."""
    shown = torch.where(valid_B1HW > 0, restored_B3HW, truth_B3HW)
    real, made = judge(truth_B3HW), judge(shown)
    return functional.softplus(-real).mean() + functional.softplus(made).mean()
