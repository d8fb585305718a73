"""`facepipe evaluate video`: the whole program against a video with ground truth."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from facepipe.cli.main import app
from facepipe.configs.settings import load_settings
from facepipe.errors import InputError, UsageError
from facepipe.evaluation.video import evaluate_video
from media import portraits, synthetic

SETTINGS = load_settings(overrides={"output.scale": 2})


@pytest.fixture(scope="module")
def large_faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video in which faces are about 100 and 75 px wide."""
    return portraits.video(
        tmp_path_factory.mktemp("large") / "large.mp4",
        frames=10,
        size=(portraits.WIDTH * 3, portraits.HEIGHT * 3),
        pictures=lambda number: portraits.scene(number, scale=3),
    )


def test_rows_are_measured_against_the_clip(large_faces: Path, tmp_path: Path) -> None:
    found = tmp_path / "found.json"
    asked = ["evaluate", "video", str(large_faces), "--scale", "2", "--face", "20", "--crf", "20"]
    done = CliRunner().invoke(app, [*asked, "--frames", "8", "--figures", str(found)])
    assert done.exit_code == 0, done.output
    (video,) = json.loads(found.read_text())
    assert (video["frames"], video["boxes"]) == (8, 16)
    bicubic, ours = video["rows"]
    assert (bicubic["name"], bicubic["gain_db"], ours["name"]) == ("bicubic", 0, "fishsrnet")
    assert ours["gain_db"] == pytest.approx(ours["psnr"] - bicubic["psnr"])
    assert ours["gain_db"] > 0.2
    assert 0 < ours["flicker"] < 1.1 * bicubic["flicker"]
    assert "| fishsrnet |" in done.output


def test_a_restorer_that_adds_nothing_equals_bicubic(large_faces: Path) -> None:
    still = SETTINGS.model_copy(
        update={"restore": SETTINGS.restore.model_copy(update={"strength": 0.0})}
    )
    _, ours = evaluate_video(large_faces, ["fishsrnet"], still, face_px=20, frames=4).rows
    assert ours.gain_db == pytest.approx(0, abs=0.15)  # it was coded once more


def test_wrong_requests_are_reported(large_faces: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="always measured"):
        evaluate_video(large_faces, ["bicubic"], SETTINGS)
    with pytest.raises(InputError, match="no face that is large enough"):
        evaluate_video(large_faces, ["fishsrnet"], SETTINGS, face_px=300, frames=3)
    faceless = synthetic.plain(tmp_path / "plain.mp4")
    with pytest.raises(InputError, match="no face"):
        evaluate_video(faceless, ["fishsrnet"], SETTINGS, frames=5)
