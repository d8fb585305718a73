"""What training minimises."""

from __future__ import annotations

import torch
from torch import Tensor


def valid_l1(restored_B3HW: Tensor, truth_B3HW: Tensor, valid_B1HW: Tensor) -> Tensor:
    """Mean absolute difference over the pixels that the photograph has."""
    weight = valid_B1HW.expand_as(truth_B3HW)
    return ((restored_B3HW - truth_B3HW).abs() * weight).sum() / weight.sum().clamp(min=1)


def fourier_l1(restored_B3HW: Tensor, truth_B3HW: Tensor, valid_B1HW: Tensor) -> Tensor:
    """L1 of the complex spectrum (amplitude and phase at once), invalid pixels left out.

    Computed in float32 whatever the precision around it.
    """
    difference = (restored_B3HW - truth_B3HW).float() * valid_B1HW.float()
    spectrum = torch.fft.rfft2(difference, norm="ortho")
    return torch.view_as_real(spectrum).abs().mean()


def soft_cross_entropy(logits_BPHW: Tensor, shares_BPHW: Tensor) -> Tensor:
    """Cross-entropy against shares of classes; places whose shares sum to 0 do not count."""
    known = shares_BPHW.sum(1)
    terms = -(shares_BPHW * torch.log_softmax(logits_BPHW.float(), 1)).sum(1)
    return terms.sum() / known.sum().clamp(min=1)
