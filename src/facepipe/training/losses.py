"""Loss functions of training."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional


def valid_l1(restored_B3HW: Tensor, truth_B3HW: Tensor, valid_B1HW: Tensor) -> Tensor:
    """L1 loss: mean absolute difference over the valid pixels, those inside the photograph."""
    weight = valid_B1HW.expand_as(truth_B3HW)
    return ((restored_B3HW - truth_B3HW).abs() * weight).sum() / weight.sum().clamp(min=1)


def negative_psnr(restored_B3HW: Tensor, truth_B3HW: Tensor, valid_B1HW: Tensor) -> Tensor:
    """Negative PSNR in dB, the mean over faces, each over its valid pixels.

    A dB counts the same in an easy face as in a hard one; a mean of squared differences is
    dominated by the hard ones. Above 40 dB a face counts less and less.
    """
    squared = (restored_B3HW - truth_B3HW).float().square() * valid_B1HW
    seen = (3 * valid_B1HW.float().sum((1, 2, 3))).clamp(min=1)
    return 10 * torch.log10(squared.sum((1, 2, 3)) / seen + 1e-4).mean()


def fourier_l1(restored_B3HW: Tensor, truth_B3HW: Tensor, valid_B1HW: Tensor) -> Tensor:
    """Fourier loss: L1 of the complex spectrum (amplitude and phase), invalid pixels left out.

    Computed in float32 whatever the precision around it.
    """
    difference = (restored_B3HW - truth_B3HW).float() * valid_B1HW.float()
    spectrum = torch.fft.rfft2(difference, norm="ortho")
    return torch.view_as_real(spectrum).abs().mean()


def grid_l1(restored_B3HW: Tensor, truth_B3HW: Tensor, valid_B1HW: Tensor) -> Tensor:
    """Grid loss: how strongly the error repeats every 4 px, the checkerboard of an upsampling.

    A loss on shift-tolerant features hardly sees such a grid, and the eye sees it at once. The
    error is averaged over windows of 4x4 cells of 4x4 px; what repeats stays, the rest cancels out.
    The loss is the mean magnitude of the averaged cell less its own mean. H and W are multiples of
    16.
    """
    error = (restored_B3HW - truth_B3HW).float() * valid_B1HW.float()
    batch, planes, height, width = error.shape
    cells = error.view(batch, planes, height // 16, 4, 4, width // 16, 4, 4).mean((3, 6))
    return (cells - cells.mean((3, 5), keepdim=True)).abs().mean()


def soft_cross_entropy(logits_BPHW: Tensor, shares_BPHW: Tensor) -> Tensor:
    """Cross-entropy with soft labels; pixels whose shares sum to 0 do not count."""
    known = shares_BPHW.sum(1)
    terms = -(shares_BPHW * torch.log_softmax(logits_BPHW.float(), 1)).sum(1)
    return terms.sum() / known.sum().clamp(min=1)


def soft_jaccard(logits_BPHW: Tensor, shares_BPHW: Tensor) -> Tensor:
    """Soft Jaccard loss: one minus intersection over union of soft labels, the mean over classes.

    Small parts count as much as large ones; in cross-entropy they hardly count. Sums run over the
    whole batch. Pixels whose shares sum to 0 do not count, nor do classes that the batch lacks.
    """
    known = shares_BPHW.sum(1, keepdim=True)
    predicted = torch.softmax(logits_BPHW.float(), 1) * known
    intersection = torch.minimum(predicted, shares_BPHW).sum((0, 2, 3))
    union = torch.maximum(predicted, shares_BPHW).sum((0, 2, 3))
    present = shares_BPHW.sum((0, 2, 3)) > 0
    return 1 - (intersection / union.clamp(min=1e-6))[present].mean()


def discriminator_loss(
    discriminator: Callable[[Tensor], Tensor],
    restored_B3HW: Tensor,
    truth_B3HW: Tensor,
    valid_B1HW: Tensor,
) -> Tensor:
    """Logistic loss of a discriminator that separates true faces from restored ones."""
    compared = torch.where(valid_B1HW > 0, restored_B3HW, truth_B3HW)
    real, fake = discriminator(truth_B3HW), discriminator(compared)
    return functional.softplus(-real).mean() + functional.softplus(fake).mean()
