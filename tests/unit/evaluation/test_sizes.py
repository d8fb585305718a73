from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from facepipe.errors import ModelError, UsageError
from facepipe.evaluation.metrics import measure
from facepipe.evaluation.sizes import DEGRADATIONS, SIZES, evaluate_sizes
from facepipe.evaluation.tables import as_json
from facepipe.training.face_archive import FaceArchive
from facepipe.training.reductions import bicubic_downscaled

Canvases = NDArray[np.float32]


@pytest.fixture
def archive(faces_folder: Path) -> FaceArchive:
    return FaceArchive([faces_folder])


def same(seen: Canvases) -> Canvases:
    assert not seen[..., 3:].any(), "there are no neighbours"
    return seen[..., :3]


def darkened(seen: Canvases) -> Canvases:
    return seen[..., :3] * np.float32(0.5)


def test_every_size_and_degradation_has_a_figure(archive: FaceArchive) -> None:
    found = evaluate_sizes(archive, {"same": same, "dark": darkened}, limit=2)
    assert (found.faces, found.sizes) == (2, SIZES)
    assert [(row.name, row.degradation) for row in found.rows] == [
        (name, degradation) for name in ("bicubic", "same", "dark") for degradation in DEGRADATIONS
    ]
    for row in found.rows:
        assert len(row.gains_db) == len(SIZES)
        if row.name == "same":
            assert row.gains_db == (0,) * len(SIZES)
    bicubic = found.rows[0].gains_db
    assert list(bicubic) == sorted(bicubic), "larger faces are nearer to the truth"
    assert found.least["same"] == 0 > found.least["dark"]


def test_figures_of_bicubic_are_those_of_the_other_protocols(archive: FaceArchive) -> None:
    found = evaluate_sizes(archive, {}, sizes=(16,))
    each = []
    for number in range(len(archive)):
        face, alpha = archive.face(number)
        canvas = face[16:144, 16:144]
        shown = bicubic_downscaled(canvas, 16)
        each.append(measure(shown, canvas, alpha[16:144, 16:144] > 127).psnr_rgb)
    assert found.rows[0].gains_db[0] == pytest.approx(np.mean(each), abs=1e-4)


def test_a_table_and_json_say_the_same(archive: FaceArchive) -> None:
    found = evaluate_sizes(archive, {"dark": darkened}, limit=1, sizes=(16, 96))
    table = found.to_markdown()
    assert "| restorer | degradation | 16 px | 96 px |" in table
    assert f"Smallest gain of dark: {found.least['dark']:+.2f} dB." in table
    rows = json.loads(as_json(found))["rows"]
    assert len(rows) == 2 * len(DEGRADATIONS)
    assert table.count("\n| ") == len(rows) + 1


def test_bicubic_and_broken_restorers_are_refused(archive: FaceArchive) -> None:
    with pytest.raises(UsageError, match="bicubic is always measured"):
        evaluate_sizes(archive, {"bicubic": same}, limit=1)
    with pytest.raises(ModelError, match="broken"):
        evaluate_sizes(archive, {"broken": lambda seen: seen}, limit=1, sizes=(16,))
