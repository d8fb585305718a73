"""`facepipe evaluate video`: the whole program against a film whose truth is known."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from facepipe.cli.main import app
from facepipe.configs.settings import load_settings
from facepipe.errors import InputError, UsageError
from facepipe.evaluation.video import evaluate_film
from media import portraits, synthetic

SETTINGS = load_settings(overrides={"output.scale": 2})


@pytest.fixture(scope="module")
def large_faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film in which faces are about 100 and 75 px wide."""
    return portraits.film(
        tmp_path_factory.mktemp("trial") / "large.mp4",
        frames=10,
        size=(portraits.WIDTH * 3, portraits.HEIGHT * 3),
        pictures=lambda number: portraits.scene(number, scale=3),
    )


def test_rows_are_measured_against_what_the_film_was(large_faces: Path, tmp_path: Path) -> None:
    found = tmp_path / "found.json"
    asked = ["evaluate", "video", str(large_faces), "--scale", "2", "--face", "20", "--crf", "20"]
    told = CliRunner().invoke(app, [*asked, "--frames", "8", "--json", str(found)])
    assert told.exit_code == 0, told.output
    (film,) = json.loads(found.read_text())
    assert (film["frames"], film["boxes"]) == (8, 16)
    bicubic, ours = film["rows"]
    assert (bicubic["name"], bicubic["gain_db"], ours["name"]) == ("bicubic", 0, "fishsrnet")
    assert ours["gain_db"] == pytest.approx(ours["psnr"] - bicubic["psnr"])
    assert ours["gain_db"] > 0.2
    assert 0 < ours["flicker"] < 1.1 * bicubic["flicker"]
    assert "| fishsrnet |" in told.output


def test_a_restorer_that_adds_nothing_stands_at_bicubic_s_side(large_faces: Path) -> None:
    still = SETTINGS.model_copy(
        update={"restore": SETTINGS.restore.model_copy(update={"strength": 0.0})}
    )
    _, ours = evaluate_film(large_faces, ["fishsrnet"], still, face_px=20, frames=4).rows
    assert ours.gain_db == pytest.approx(0, abs=0.15)  # it was coded once more


def test_wrong_requests_are_told(large_faces: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="always measured"):
        evaluate_film(large_faces, ["bicubic"], SETTINGS)
    with pytest.raises(InputError, match="no face that is large enough"):
        evaluate_film(large_faces, ["fishsrnet"], SETTINGS, face_px=300, frames=3)
    faceless = synthetic.plain(tmp_path / "plain.mp4")
    with pytest.raises(InputError, match="no face"):
        evaluate_film(faceless, ["fishsrnet"], SETTINGS, frames=5)
