"""Training batches whose faces are used several times, to spare the time that degrading takes.

What step k sees is still a function of the seed and of k alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from facepipe.training.data import Batch, FaceBatches, batches

#: Prepared batches that lie between two uses of a face.
_DISTANCE = 24
#: Sigma of the logarithm of the gain of each channel, by which two uses of a face differ.
_GAIN_SIGMA = 0.06
#: Neighbour channels that are differences of colours, and so grow with them.
_COLOURS = slice(0, 6)


@dataclass(frozen=True)
class ReuseOrder:
    """Which prepared batches a step takes its faces from, when each face is used `times` times.

    The faces of a step come from `times` prepared batches, `_DISTANCE` apart; place p of the step
    is always place p of a prepared batch. Each place of a prepared batch is used once in each of
    `times` steps, but for those that the run begins with.
    """

    times: int

    def sources(self, step: int, places: int) -> list[int]:
        """The number of the prepared batch of each place of the step."""
        newest, turn = divmod(step, self.times)
        return [newest + (turn + place) % self.times * _DISTANCE for place in range(places)]

    def needed(self, step: int) -> list[int]:
        """The numbers of all prepared batches that the step takes faces from."""
        return sorted(set(self.sources(step, self.times)))

    def prepared(self, steps: Iterable[int]) -> list[int]:
        """The numbers of the prepared batches of all steps, in the order of their first use."""
        numbers = dict.fromkeys(n for step in steps for n in self.needed(step))
        return list(numbers)


def reused_batches(
    dataset: FaceBatches, *, first: int, workers: int, times: int, seed: int
) -> Iterator[Batch]:
    """The batches from step `first` on, in order; each face is used `times` times.

    Each use is mirrored or not, and of another gain in each channel. With `times` 1 they are those
    of `batches`.
    """
    steps = range(first, len(dataset))
    if times == 1:
        yield from batches(dataset, order=steps, workers=workers)
        return
    order = ReuseOrder(times)
    arriving = zip(
        numbers := order.prepared(steps),
        batches(dataset, order=numbers, workers=workers),
        strict=True,
    )
    held: dict[int, Batch] = {}
    for step in steps:
        needed = order.needed(step)
        while any(number not in held for number in needed):
            number, batch = next(arriving)
            held[number] = _owned(batch)
        for number in [old for old in held if old < needed[0]]:
            del held[number]
        places = len(held[needed[0]].inputs)
        picked = _picked(held, order.sources(step, places))
        yield varied(picked, np.random.default_rng([seed, 2, step]))


def varied(batch: Batch, rng: np.random.Generator) -> Batch:
    """The batch with half of its faces mirrored, at random, and its channels of another gain."""
    count = len(batch.inputs)
    mirrored = torch.from_numpy(rng.random(count) < 0.5)
    gains = torch.from_numpy(np.exp(rng.normal(0, _GAIN_SIGMA, (count, 3))).astype(np.float32))

    def turned(planes: Tensor) -> Tensor:
        if not planes.numel():
            return planes
        return torch.where(mirrored[:, None, None, None], planes.flip(-1), planes)

    neighbours = batch.neighbours
    if neighbours is not None:
        neighbours = turned(neighbours)
        both = torch.cat([gains, gains], 1)[..., None, None]
        neighbours[:, _COLOURS] = (neighbours[:, _COLOURS].float() * both).to(neighbours.dtype)
    return Batch(
        _brightened(turned(batch.inputs), gains),
        neighbours,
        _brightened(turned(batch.truth), gains),
        turned(batch.valid),
        turned(batch.parts),
    )


def _brightened(images_B3HW: Tensor, gains_B3: Tensor) -> Tensor:
    """Images uint8, each channel times its gain, rounded."""
    bright = images_B3HW * gains_B3[..., None, None]
    return bright.add_(0.5).clamp_(0, 255).to(torch.uint8)


def _owned(batch: Batch) -> Batch:
    """The batch in memory of its own: a loader's shared memory is scarce, and costs open files."""
    neighbours = batch.neighbours
    return Batch(
        batch.inputs.clone(),
        None if neighbours is None else neighbours.clone(),
        batch.truth.clone(),
        batch.valid.clone(),
        batch.parts.clone(),
    )


def _picked(held: dict[int, Batch], sources: list[int]) -> Batch:
    """Place p of the batch `sources[p]`, for every p."""

    def gathered(name: str) -> Tensor:
        return torch.stack([getattr(held[n], name)[place] for place, n in enumerate(sources)])

    return Batch(
        gathered("inputs"),
        gathered("neighbours") if held[sources[0]].neighbours is not None else None,
        gathered("truth"),
        gathered("valid"),
        gathered("parts"),
    )
