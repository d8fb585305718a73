"""Muon: steps that turn every direction of a layer's weights by as much.

Adam scales each weight by itself; the few strong directions of a layer's gradient then rule its
step. Muon (Jordan et al. 2024) brings the momentum's singular values together instead, by a few
rounds of Newton and Schulz. Each step is as long as Adam's would be (Liu et al. 2025), so that one
learning rate serves both.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

#: Root mean square of Adam's steps, as a share of the learning rate.
_STEP = 0.2
#: A polynomial whose rounds bring singular values of (0, 1] into (0.7, 1.2), and how many rounds.
_NEWTON_SCHULZ, _ROUNDS = (3.4445, -4.7750, 2.0315), 5
#: Weights are a matrix, outputs by all that one sees, where both sides have so many and more.
_NARROWEST = 8


def is_matrix(parameter: Tensor) -> bool:
    """Whether Muon can learn it: a layer's weights, neither biases nor thin layers."""
    return parameter.ndim >= 2 and min(parameter.shape[0], parameter[0].numel()) >= _NARROWEST


class Muon(torch.optim.Optimizer):
    """Learns parameters for which `is_matrix` holds; those of one shape go through at once."""

    def __init__(
        self, parameters: Iterable[nn.Parameter], lr: float, *, momentum: float = 0.95
    ) -> None:
        """Raises ValueError for a parameter that is no matrix."""
        super().__init__(parameters, {"lr": lr, "momentum": momentum})
        for group in self.param_groups:
            for parameter in group["params"]:
                if not is_matrix(parameter):
                    raise ValueError(f"{tuple(parameter.shape)} is no matrix of 8x8 and more")

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step along the gradients that there are; gives what `closure` gave before it."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            alike: dict[tuple[int, int], list[nn.Parameter]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    alike[parameter.shape[0], parameter[0].numel()].append(parameter)
            for shape, parameters in alike.items():
                gradients = [p.grad for p in parameters if p.grad is not None]
                momenta = [self._momentum(parameter) for parameter in parameters]
                torch._foreach_lerp_(momenta, gradients, 1 - group["momentum"])
                ahead = torch._foreach_lerp(gradients, momenta, group["momentum"])
                directions = evened(torch.stack([one.reshape(shape) for one in ahead]))
                length = group["lr"] * _STEP * max(shape) ** 0.5
                for parameter, direction in zip(parameters, directions, strict=True):
                    parameter.add_(direction.view(parameter.shape), alpha=-length)
        return loss

    def _momentum(self, parameter: nn.Parameter) -> Tensor:
        state = self.state[parameter]
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
        momentum: Tensor = state["momentum"]
        return momentum


def evened(matrices_NHW: Tensor) -> Tensor:
    """(N, H, W) float32: the matrices with all singular values brought near 1; zero stays zero."""
    a, b, c = _NEWTON_SCHULZ
    tall = matrices_NHW.shape[1] > matrices_NHW.shape[2]
    wide = matrices_NHW.mT if tall else matrices_NHW
    wide = wide / wide.norm(dim=(1, 2), keepdim=True).clamp(min=1e-20)
    wide = wide.bfloat16()
    for _ in range(_ROUNDS):
        squared = wide @ wide.mT
        wide = torch.baddbmm(
            wide, torch.baddbmm(squared, squared, squared, beta=b, alpha=c), wide, beta=a
        )
    return (wide.mT if tall else wide).float()
