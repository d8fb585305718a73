"""Complexity of a network: its parameters, and the multiply-accumulates of one face."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode


def parameters(network: nn.Module) -> int:
    """The number of trainable and fixed parameters."""
    return sum(p.numel() for p in network.parameters())


def gigamacs(network: nn.Module, *inputs: Tensor) -> float:
    """Multiply-accumulates, in 10^9, of one face: `inputs` (B = 1), as the network takes it."""
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        network(*inputs)
    return float(counter.get_total_flops() / 2e9)
