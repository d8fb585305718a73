"""A teacher's labels come in the form in which training reads masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from facepipe.errors import OutputError
from facepipe.models.networks.parsingnet import PARTS, ParsingTeacher
from facepipe.training.face_archive import IGNORED, FaceArchive
from facepipe.training.label import label
from media.aligned_faces import OUTSIDE, OUTSIDE_COLUMNS


class ByLight(ParsingTeacher):
    """Calls what is bright hair and what is dark a brow."""

    def forward(self, canvas_B3HW: Tensor) -> Tensor:
        bright = canvas_B3HW.mean(1) > 0.5
        logits = torch.zeros(len(bright), len(PARTS), *bright.shape[1:])
        logits[:, PARTS.index("hair")] = 9.0 * bright
        logits[:, PARTS.index("brows")] = 9.0 * ~bright
        return logits


def test_labels_are_masks_of_the_faces_names(faces_folder: Path, tmp_path: Path) -> None:
    faces, reported = FaceArchive([faces_folder]), []
    label(ByLight(), faces, tmp_path / "m.zip", progress=lambda *done: reported.append(done))
    masks = FaceArchive([tmp_path / "m.zip"])
    assert sorted(masks.names) == sorted(faces.names)
    assert reported == [(6, 6)]
    for number, name in enumerate(faces.names):
        found = masks.number(name)
        assert found is not None
        mask, (face, valid) = masks.mask(found), faces.face(number)
        bright = face.astype(np.float32).mean(2) / 255 > 0.5
        expected = np.where(bright, PARTS.index("hair"), PARTS.index("brows"))
        wrong = (mask != np.where(valid > 127, expected, IGNORED)).mean()
        assert wrong < 0.01  # bfloat16 rounds light near the middle
        if number == OUTSIDE:
            assert (mask[:, :OUTSIDE_COLUMNS] == IGNORED).all()


def test_a_real_teacher_labels_too(faces_folder: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    label(ParsingTeacher(), FaceArchive([faces_folder]), tmp_path / "m.zip")
    masks = FaceArchive([tmp_path / "m.zip"])
    assert masks.mask(0).shape == (160, 160)


def test_a_target_that_cannot_be_written_is_reported(faces_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written"):
        label(ByLight(), FaceArchive([faces_folder]), tmp_path / "no" / "m.zip")
