"""Growth: a network begins with what a narrower one of the same layers has learned."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

#: Layers whose input is two maps side by side, of which the first is half.
_SIDE_BY_SIDE = ("merge32", "merge64")


def grow(network: nn.Module, learned: Mapping[str, Tensor]) -> list[str]:
    """Copy into `network` the tensors of `learned` whose layers it has too; give their names.

    A layer may be wider than the learned one: its first channels are copied. Where it sees more
    channels than were learned, it gives the others no weight, so they have no effect at first;
    where it makes more, these stay random. A layer of other kernels or fewer channels is left as
    it is.
    """
    copied: list[str] = []
    with torch.no_grad():
        for layer, part in network.named_modules():
            own = {f"{layer}.{name}": p for name, p in part.named_parameters(recurse=False)}
            if not all(name in learned and _fits(p, learned[name]) for name, p in own.items()):
                continue
            for name, parameter in own.items():
                if parameter.ndim == 1:
                    parameter[: len(learned[name])] = learned[name]
                else:
                    halves = 2 if layer in _SIDE_BY_SIDE else 1
                    _copy_weight(parameter, learned[name], halves=halves)
            copied += own
    return copied


def _fits(own: Tensor, other: Tensor) -> bool:
    return (
        own.ndim == other.ndim
        and own.shape[2:] == other.shape[2:]
        and all(mine >= theirs for mine, theirs in zip(own.shape, other.shape, strict=True))
    )


def _copy_weight(own: Tensor, other: Tensor, *, halves: int) -> None:
    """Copy `other` (outputs, inputs, ...), whose inputs are so many maps side by side."""
    rows = len(other)
    own[:rows] = 0
    wide, narrow = own.shape[1] // halves, other.shape[1] // halves
    for half in range(halves):
        own[:rows, half * wide : half * wide + narrow] = other[
            :, half * narrow : (half + 1) * narrow
        ]
