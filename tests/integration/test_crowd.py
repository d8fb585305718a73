"""`facepipe evaluate crowd`: faces whose places are known, found, followed and restored."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from facepipe.cli.main import app
from facepipe.configs.settings import load_settings
from facepipe.datatypes import Faces
from facepipe.errors import InputError, UsageError
from facepipe.evaluation.assets import installed_photographs, portrait, read_faces, read_photographs
from facepipe.evaluation.crowd import evaluate_crowd
from facepipe.evaluation.synthetic_crowd import HEIGHT, WIDTH, Crowd, Plan, Shown
from facepipe.evaluation.tracking_metrics import Looked, measure_following, misplaced
from facepipe.faces.canvas import TEMPLATE

PLAN = Plan(faces=3, frames=24, sizes=(22, 34), motion=0.3, seed=4)


@pytest.fixture(scope="module")
def crowd() -> Crowd:
    return Crowd([portrait()], installed_photographs(), PLAN)


def test_a_scene_is_the_same_whenever_it_is_drawn(crowd: Crowd) -> None:
    again = Crowd([portrait()], installed_photographs(), PLAN)
    np.testing.assert_array_equal(crowd.draw(5, 2), again.draw(5, 2))
    first = next(crowd.film())
    np.testing.assert_array_equal(first, next(again.film()))
    assert first.shape == (HEIGHT, WIDTH, 3)
    difference = first.astype(int) - crowd.draw(0, 1)
    assert difference.std() == pytest.approx(PLAN.noise, rel=0.1)
    other = Crowd([portrait()], installed_photographs(), Plan(faces=3, frames=24, seed=5))
    assert (other.draw(5, 1) != crowd.draw(5, 1)).any()


def test_two_shots_with_other_people(crowd: Crowd) -> None:
    before, after = crowd.shown(11), crowd.shown(12)
    assert (before.who.tolist(), after.who.tolist()) == ([0, 1, 2], [3, 4, 5])
    change = np.abs(crowd.draw(12, 1).astype(int) - crowd.draw(11, 1)).mean()
    assert change > 5 * np.abs(crowd.draw(11, 1).astype(int) - crowd.draw(10, 1)).mean()


def test_the_pillar_and_the_border_hide_faces() -> None:
    busy = Crowd([portrait()], installed_photographs(), Plan(faces=12, frames=8, seed=0))
    seen = busy.shown(0).seen
    assert seen.min() >= 0
    assert seen.max() <= 1.1
    assert (busy.shown(0).visible == (seen >= 0.6)).all()


def test_the_whole_program_is_measured(tmp_path: Path) -> None:
    found = tmp_path / "found.json"
    asked = ["evaluate", "crowd", "--frames", "30", "--count", "2", "--smallest", "20"]
    told = CliRunner().invoke(app, [*asked, "--motion", "0.3", "--json", str(found)])
    assert told.exit_code == 0, told.output
    result = json.loads(found.read_text())
    single, tracks = (row["following"] for row in result["following"])
    assert tracks["false"] == 0
    assert single["switches"] is None
    assert tracks["switches"] == 0
    shares = [share for share in tracks["recall"] if share is not None]
    assert min(shares) > 0.9
    assert tracks["jitter"] < 0.5 * single["jitter"]
    bicubic, alone, ours = result["pictures"]
    assert [row["name"] for row in (bicubic, alone, ours)] == [
        "bicubic",
        "each frame alone",
        "fishsrnet",
    ]
    assert ours["psnr"] > bicubic["psnr"] + 0.3
    assert ours["psnr"] > alone["psnr"] - 0.1
    assert ours["flicker"] < 0.7 * alone["flicker"]
    assert "| tracks |" in told.output


def shown(*seen: float) -> Shown:
    """Faces 100 px apart, one px of the canvas a quarter px of the film."""
    count = len(seen)
    to_frame = np.tile(np.array([[0.25, 0, 0], [0, 0.25, 0]]), (count, 1, 1))
    to_frame[:, 0, 2] = 100 * np.arange(count)
    corner = to_frame[:, :, 2]
    boxes = np.concatenate((corner, corner + np.array([18, 20])), 1).astype(np.float32)
    return Shown(np.arange(count), to_frame, boxes, np.array(seen))


def looked(truth: Shown, tracks: list[int], shift: float = 0.0, places: list[int] | None = None):
    which = np.arange(len(truth.who)) if places is None else np.array(places, np.intp)
    points = [TEMPLATE @ m[:, :2].T + m[:, 2] + [shift, 0] for m in truth.to_frame[which]]
    faces = Faces(
        boxes=truth.boxes[which],
        scores=np.ones(len(which), np.float32),
        landmarks=np.array(points, np.float32).reshape(-1, 5, 2),
    )
    return Looked(faces, np.array(tracks, np.intp))


def test_what_is_counted() -> None:
    truth = [shown(1, 1, 0.3)] * 30
    found = [looked(one, [1, 2], places=[0, 1]) for one in truth]
    perfect = measure_following(found, truth, 25)
    assert (perfect.breaks, perfect.switches, perfect.false) == (0, 0, 0)
    assert perfect.recall == (None, 1.0, None, None)
    assert perfect.jitter == pytest.approx(0, abs=1e-4)

    found[10] = looked(truth[10], [1], places=[0])  # the second is lost for a frame,
    found[11:] = [looked(one, [1, 3], places=[0, 1]) for one in truth[11:]]  # and another number
    lost = measure_following(found, truth, 25)
    assert (lost.breaks, lost.switches) == (1, 1)
    assert lost.recall[1] == pytest.approx(59 / 60)

    shaken = [looked(one, [1, 2, 3], shift=0.25 * (-1) ** k) for k, one in enumerate(truth)]
    trembling = measure_following(shaken, truth, 25)
    assert trembling.jitter == pytest.approx(1.0, abs=0.15)  # canvas px
    assert trembling.false == 0  # the third is hidden, not false
    beyond = [
        Looked(Faces(boxes=f.faces.boxes + 50, scores=f.faces.scores, landmarks=f.faces.landmarks))
        for f in shaken
    ]
    wrong = measure_following(beyond, truth, 25)
    assert (wrong.false, wrong.switches, wrong.jitter) == (3, None, None)


def test_misplaced_is_in_px_of_the_canvas() -> None:
    truth = shown(1)
    there = looked(truth, [1], shift=0.5).faces.landmarks[0]
    error = misplaced(there, truth.to_frame[0])
    np.testing.assert_allclose(error, np.tile([2.0, 0], (5, 1)), atol=1e-4)


def test_faces_and_photographs_of_ones_own(tmp_path: Path) -> None:
    for name in ("one", "two", "three"):
        Image.fromarray(portrait()).save(tmp_path / f"{name}.png")
    faces = read_faces([tmp_path], 2)
    assert len(faces) == 2
    np.testing.assert_array_equal(faces[0], read_photographs([tmp_path / "one.png"])[0])


def test_wrong_requests_are_told(tmp_path: Path, crowd: Crowd) -> None:
    with pytest.raises(InputError, match="no picture that OpenCV reads"):
        read_photographs([tmp_path / "absent.jpg"])
    settings = load_settings()
    with pytest.raises(UsageError, match="always measured"):
        evaluate_crowd(crowd, settings, ["bicubic"])
