from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from facepipe.training.data import Batch, FaceBatches
from facepipe.training.face_archive import FaceArchive
from facepipe.training.reuse import ReuseOrder, reused_batches, varied

NAMES = ("inputs", "truth", "valid", "neighbours")


def dataset(folder: Path, steps: int, sequences: float = 0.5) -> FaceBatches:
    return FaceBatches(
        FaceArchive([folder]),
        batch=4,
        steps=steps,
        seed=3,
        exact_bicubic=0.5,
        sequences=sequences,
    )


def assert_equal(one: Batch, other: Batch) -> None:
    for name in NAMES:
        assert torch.equal(getattr(one, name), getattr(other, name)), name


@pytest.mark.parametrize("times", [2, 3, 4])
def test_each_face_is_used_so_many_times(times: int) -> None:
    order, places, steps = ReuseOrder(times), 6, 600
    uses = Counter(
        (number, place)
        for step in range(steps)
        for place, number in enumerate(order.sources(step, places))
    )
    # All but those that the run begins and ends with.
    first, last = order.needed(0)[-1], order.needed(steps - 1)[0]
    assert first < last
    for number in range(first, last + 1):
        assert [uses[number, place] for place in range(places)] == [times] * places
    assert max(uses.values()) == times
    for step in range(0, steps, 7):
        assert set(order.sources(step, places)) == set(order.needed(step))


def test_prepared_batches_come_in_the_order_of_their_need() -> None:
    order = ReuseOrder(4)
    numbers = order.prepared(range(40))
    assert len(numbers) == len(set(numbers))
    here: set[int] = set()
    place = 0
    for step in range(40):
        while not set(order.needed(step)) <= here:
            here.add(numbers[place])
            place += 1
    assert place == len(numbers)


def test_a_resumed_run_sees_the_same_batches(faces_folder: Path) -> None:
    def steps_from(first: int) -> list[Batch]:
        faces = dataset(faces_folder, steps=5)
        return list(reused_batches(faces, first=first, workers=0, times=2, seed=3))

    whole, resumed = steps_from(0), steps_from(3)
    assert (len(whole), len(resumed)) == (5, 2)
    for one, other in zip(whole[3:], resumed, strict=True):
        assert_equal(one, other)
    assert not torch.equal(whole[0].inputs, whole[1].inputs)


def test_used_once_they_are_the_batches_themselves(faces_folder: Path) -> None:
    faces = dataset(faces_folder, steps=2)
    for step, batch in enumerate(reused_batches(faces, first=0, workers=0, times=1, seed=3)):
        assert_equal(batch, faces[step])


def test_input_truth_and_neighbours_vary_together(faces_folder: Path) -> None:
    batch = dataset(faces_folder, steps=1)[0]
    truth = batch.truth // 2 + 32  # so that no gain clips
    same = torch.zeros(4, 7, 128, 128, dtype=torch.float16)
    same[:, :3] = truth.half() / 255
    seen = Batch(truth.clone(), same, truth, batch.valid, torch.zeros(4, 0, 0, 0))
    changed = varied(seen, np.random.default_rng(0))
    assert torch.equal(changed.inputs, changed.truth)
    neighbours = changed.neighbours
    assert neighbours is not None
    difference = neighbours[:, :3].float() * 255 - changed.truth.float()
    assert float(difference.abs().max()) < 1.5
    mirrored = [
        bool((one.flip(-1).float() - old.float()).abs().mean() < (one.float() - old).abs().mean())
        for one, old in zip(changed.truth, truth, strict=True)
    ]
    assert 0 < sum(mirrored) < 4
    assert torch.equal(seen.truth, truth), "the held batch is used again, and may not change"
