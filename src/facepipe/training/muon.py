"""Muon optimizer: momentum steps with orthogonalized updates.

Adam scales each weight by itself, so the few strong directions of a layer's gradient dominate its
step. Muon (Jordan et al. 2024) brings all singular values of the momentum near 1 instead, by a few
Newton-Schulz iterations. The step is scaled to the length of Adam's (Liu et al. 2025), so that one
learning rate serves both.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

#: Root mean square of Adam's steps, as a share of the learning rate.
_ADAM_RMS = 0.2
#: Newton-Schulz polynomial that brings singular values of (0, 1] into (0.7, 1.2), and iterations.
_NEWTON_SCHULZ, _ROUNDS = (3.4445, -4.7750, 2.0315), 5
#: Least height and width of a matrix: outputs by inputs of one output.
_MIN_SIDE = 8


def is_matrix(parameter: Tensor) -> bool:
    """Whether Muon can train it: a layer's weights, neither biases nor thin layers."""
    return parameter.ndim >= 2 and min(parameter.shape[0], parameter[0].numel()) >= _MIN_SIDE


class Muon(torch.optim.Optimizer):
    """Trains parameters for which `is_matrix` holds; those of one shape as one batch."""

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
        """One step for all parameters that have a gradient; gives the value of `closure`."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            by_shape: dict[tuple[int, int], list[nn.Parameter]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    by_shape[parameter.shape[0], parameter[0].numel()].append(parameter)
            for shape, parameters in by_shape.items():
                self._update(parameters, shape, lr=group["lr"], momentum=group["momentum"])
        return loss

    def _update(
        self,
        parameters: Sequence[nn.Parameter],
        shape: tuple[int, int],
        *,
        lr: float,
        momentum: float,
    ) -> None:
        """One step of parameters that are matrices of one shape."""
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        momenta = [self._momentum(parameter) for parameter in parameters]
        torch._foreach_lerp_(momenta, gradients, 1 - momentum)
        nesterov = torch._foreach_lerp(gradients, momenta, momentum)
        directions = orthogonalized(torch.stack([one.reshape(shape) for one in nesterov]))
        step_size = lr * _ADAM_RMS * max(shape) ** 0.5
        for parameter, direction in zip(parameters, directions, strict=True):
            parameter.add_(direction.view(parameter.shape), alpha=-step_size)

    def _momentum(self, parameter: nn.Parameter) -> Tensor:
        state = self.state[parameter]
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
        momentum: Tensor = state["momentum"]
        return momentum


def orthogonalized(matrices_NHW: Tensor) -> Tensor:
    """Orthogonalize matrices (N, H, W): all singular values near 1, float32; zero stays zero."""
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
