"""Intersection over union against known values, and against masks that are not there."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from facepipe.errors import InputError
from facepipe.evaluation.parsing import evaluate_parsing
from facepipe.evaluation.tables import as_json
from facepipe.models.networks.parsingnet import PARTS, ParsingNet
from facepipe.training.face_archive import IGNORED, FaceArchive, crop_canvas
from media.aligned_faces import MASKED


class Everywhere(ParsingNet):
    """Predicts one part for every pixel."""

    def __init__(self, part: int) -> None:
        super().__init__()
        self.part = part

    def forward(self, canvas_B3HW: Tensor) -> Tensor:
        logits = torch.zeros(len(canvas_B3HW), len(PARTS), 64, 64)
        logits[:, self.part] = 5
        return logits


def test_union_and_intersection_are_over_all_pixels(faces_folder: Path, masks_folder: Path) -> None:
    faces, masks = FaceArchive([faces_folder]), FaceArchive([masks_folder])
    found = evaluate_parsing(Everywhere(1), faces, masks, sizes=(16, 64))
    assert found.faces == MASKED
    labels = np.stack([crop_canvas(masks.mask(k)) for k in range(MASKED)])
    known = labels != IGNORED
    skin = np.count_nonzero(labels == 1) / np.count_nonzero(known)
    for row, size in zip(found.rows, (16, 64), strict=True):
        assert row.size == size
        assert row.parts["skin"] == pytest.approx(skin)
        assert row.parts["nose"] == row.parts["eyes"] == 0
        assert row.parts["brows"] is None  # the drawn faces have none
        assert row.components == 0
        there = sum(value is not None for value in row.parts.values())
        assert row.mean == pytest.approx(skin / there)
    assert json.loads(as_json(found))["rows"][0]["size"] == 16
    assert "| 16 | 0.000 |" in found.to_markdown()


def test_limit_and_progress(faces_folder: Path, masks_folder: Path) -> None:
    reported: list[tuple[int, int]] = []
    found = evaluate_parsing(
        Everywhere(0),
        FaceArchive([faces_folder]),
        FaceArchive([masks_folder]),
        sizes=(32,),
        limit=2,
        progress=lambda *done: reported.append(done),
    )
    assert found.faces == 2
    assert reported == [(2, 2)]


def test_faces_without_masks_are_reported(faces_folder: Path, tmp_path: Path) -> None:
    name = next(faces_folder.iterdir())
    (tmp_path / f"other{name.suffix}").write_bytes(name.read_bytes())
    with pytest.raises(InputError, match="no face has a mask"):
        evaluate_parsing(Everywhere(0), FaceArchive([faces_folder]), FaceArchive([tmp_path]))
