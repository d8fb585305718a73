from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from facepipe.errors import InputError
from facepipe.training.data import Batch, FaceBatches, _draw_neighbours, augment, batches
from facepipe.training.face_archive import FaceArchive
from facepipe.training.reductions import bicubic_downscaled
from media.aligned_faces import DRAWN, MASKED

DrawnFace = Callable[[int], tuple[NDArray[np.uint8], NDArray[np.uint8]]]


def dataset(
    folder: Path,
    masks: Path | None = None,
    *,
    seed: int = 0,
    batch: int = 2,
    exact_bicubic: float = 0.4,
    sequences: float = 0.0,
    clean: float = 0.0,
    crisp: float = 0.0,
) -> FaceBatches:
    return FaceBatches(
        FaceArchive([folder]),
        batch=batch,
        steps=4,
        seed=seed,
        exact_bicubic=exact_bicubic,
        sequences=sequences,
        clean=clean,
        crisp=crisp,
        masks=None if masks is None else FaceArchive([masks]),
    )


def assert_equal(one: Batch, other: Batch) -> None:
    for name in ("inputs", "truth", "valid", "parts"):
        assert torch.equal(getattr(one, name), getattr(other, name)), name


def test_batch_is_a_pure_function_of_seed_and_step(faces_folder: Path, masks_folder: Path) -> None:
    one, other = (dataset(faces_folder, masks_folder) for _ in range(2))
    third = other[3]  # the order in which batches are asked for does not matter
    for step in range(3):
        assert_equal(one[step], other[step])
    assert_equal(one[3], third)
    assert not torch.equal(one[0].inputs, one[1].inputs)
    assert not torch.equal(one[0].inputs, dataset(faces_folder, masks_folder, seed=1)[0].inputs)


def test_batch_has_the_shapes_and_ranges_it_states(faces_folder: Path, masks_folder: Path) -> None:
    loaded = dataset(faces_folder, masks_folder, batch=3)[0]
    assert loaded.inputs.dtype == loaded.truth.dtype == loaded.valid.dtype == torch.uint8
    batch = loaded.to(torch.device("cpu"))
    assert batch.inputs.shape == batch.truth.shape == (3, 3, 128, 128)
    assert batch.valid.shape == (3, 1, 128, 128)
    assert batch.parts.shape == (3, 8, 64, 64)
    for images in (batch.inputs, batch.truth):
        assert float(images.min()) >= 0
        assert float(images.max()) <= 1
    assert set(batch.valid.unique().tolist()) <= {0.0, 1.0}
    sums = batch.parts.sum(1)
    assert bool(torch.all((sums == 0) | ((sums - 1).abs() < 2e-3)))
    assert batch.neighbours is None
    assert dataset(faces_folder)[0].parts.numel() == 0


def test_sequences_have_neighbour_frames(faces_folder: Path) -> None:
    single = dataset(faces_folder, batch=6, sequences=1e-9, exact_bicubic=0.5)[0]
    assert single.neighbours is not None
    assert not single.neighbours.any()
    batch = dataset(faces_folder, batch=6, sequences=1.0, exact_bicubic=0.0)[0]
    assert batch.neighbours is not None
    assert batch.neighbours.shape == (6, 7, 128, 128)
    assert bool((batch.neighbours[:, 6].float().mean((1, 2)) > 0.2).all())
    floats = batch.to(torch.device("cpu")).neighbours
    assert floats is not None
    torch.testing.assert_close(floats, batch.neighbours.float())


def test_some_sequences_lack_a_side() -> None:
    seen = {tuple(_draw_neighbours(np.random.default_rng(seed))) for seed in range(200)}
    assert seen == {(0, 1, 3, 4), (1, 3, 4), (3, 4), (0, 1, 3), (0, 1)}


def test_clean_inputs_are_the_truth(faces_folder: Path) -> None:
    batch = dataset(faces_folder, batch=6, clean=1.0)[0]
    assert torch.equal(batch.inputs, batch.truth)


def test_every_face_comes_once_an_epoch(faces_folder: Path) -> None:
    faces = dataset(faces_folder, batch=1)
    for epoch in range(3):
        drawn = [faces._number(epoch * DRAWN + place) for place in range(DRAWN)]
        assert sorted(drawn) == list(range(DRAWN))


def test_with_masks_only_masked_faces_are_drawn(faces_folder: Path, masks_folder: Path) -> None:
    faces = dataset(faces_folder, masks_folder)
    assert {faces._number(k) for k in range(2 * MASKED)} == set(range(MASKED))


def test_masks_of_other_faces_are_refused(faces_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "other.png").write_bytes((faces_folder / "face_0.png").read_bytes())
    with pytest.raises(InputError, match="mask"):
        dataset(faces_folder, tmp_path)


def test_exact_bicubic_inputs_are_the_truth_reduced(faces_folder: Path) -> None:
    batch = dataset(faces_folder, exact_bicubic=1.0)[1]
    for given, truth in zip(batch.inputs, batch.truth, strict=True):
        canvas = truth.permute(1, 2, 0).numpy()
        expected = bicubic_downscaled(canvas, 16)
        np.testing.assert_array_equal(given.permute(1, 2, 0).numpy(), expected)


def test_crisp_and_clean_faces_keep_more_than_the_papers_do(faces_folder: Path) -> None:
    def distance(**shares: float) -> float:
        batch = dataset(faces_folder, batch=24, **shares)[0]
        return float((batch.inputs.float() - batch.truth.float()).abs().mean())

    exact = distance(exact_bicubic=1.0)
    assert 0 < distance(exact_bicubic=0.0, crisp=1.0) < exact
    assert 0 < distance(exact_bicubic=0.5, crisp=0.25, clean=0.25) < exact
    assert distance(exact_bicubic=0.5, crisp=0.5, clean=1.0) == 0


def test_loader_starts_at_the_given_step(faces_folder: Path) -> None:
    faces = dataset(faces_folder)
    loaded = list(batches(faces, order=range(2, 4), workers=0))
    assert len(loaded) == 2
    assert_equal(loaded[0], faces[2])
    assert_equal(loaded[1], faces[3])


def test_augmentation_moves_face_validity_and_labels_together(drawn_face: DrawnFace) -> None:
    _, classes = drawn_face(0)
    skin = (classes == 1).astype(np.uint8)
    painted = np.repeat(skin[..., None] * 255, 3, 2)  # a face that shows its own labels
    moved = 0
    for seed in range(12):
        rng = np.random.default_rng(seed)
        image, valid, labels = augment(rng, painted, np.full((160, 160), 255, np.uint8), skin)
        assert labels is not None
        inside = (valid > 127) & (labels != 255)
        bright = image[..., 1] > image[..., 1].max() / 2
        assert (bright == (labels == 1))[inside].mean() > 0.99
        moved += not np.array_equal(labels, skin)
    assert moved > 6


def test_some_faces_are_grey_and_some_dark(drawn_face: DrawnFace) -> None:
    face, _ = drawn_face(1)
    valid = np.full((160, 160), 255, np.uint8)
    seen = [augment(np.random.default_rng(seed), face, valid, None)[0] for seed in range(300)]
    gray = [one for one in seen if (one.max(2) == one.min(2)).all()]
    assert 10 < len(gray) < 45
    assert len({round(float(one.mean()), 1) for one in gray}) > 1  # infrared sees other weights
    light = np.array([one.mean() for one in seen]) / face.mean()
    assert 0.03 < (light < 0.5).mean() < 0.2
