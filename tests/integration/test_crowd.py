"""`facepipe evaluate crowd`: detection, tracking and restoration of faces with ground truth."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from facepipe.cli.main import app
from facepipe.configs.settings import load_settings
from facepipe.datatypes import Faces
from facepipe.errors import InputError, UsageError
from facepipe.evaluation.assets import portrait, read_faces, read_images, sample_backgrounds
from facepipe.evaluation.crowd import evaluate_crowd
from facepipe.evaluation.synthetic_crowd import HEIGHT, WIDTH, Crowd, CrowdSettings, GroundTruth
from facepipe.evaluation.tracking_metrics import FramePrediction, alignment_error, measure_tracking
from facepipe.faces.canvas import TEMPLATE

SETTINGS = CrowdSettings(faces=3, frames=24, sizes=(22, 34), motion=0.3, seed=4)


@pytest.fixture(scope="module")
def crowd() -> Crowd:
    return Crowd([portrait()], sample_backgrounds(), SETTINGS)


def test_a_scene_is_the_same_whenever_it_is_drawn(crowd: Crowd) -> None:
    again = Crowd([portrait()], sample_backgrounds(), SETTINGS)
    np.testing.assert_array_equal(crowd.draw(5, 2), again.draw(5, 2))
    first = next(crowd.noisy_frames())
    np.testing.assert_array_equal(first, next(again.noisy_frames()))
    assert first.shape == (HEIGHT, WIDTH, 3)
    difference = first.astype(int) - crowd.draw(0, 1)
    assert difference.std() == pytest.approx(SETTINGS.noise, rel=0.1)
    other = Crowd([portrait()], sample_backgrounds(), CrowdSettings(faces=3, frames=24, seed=5))
    assert (other.draw(5, 1) != crowd.draw(5, 1)).any()


def test_two_shots_show_different_people(crowd: Crowd) -> None:
    before, after = crowd.ground_truth(11), crowd.ground_truth(12)
    assert (before.identities.tolist(), after.identities.tolist()) == ([0, 1, 2], [3, 4, 5])
    change = np.abs(crowd.draw(12, 1).astype(int) - crowd.draw(11, 1)).mean()
    assert change > 5 * np.abs(crowd.draw(11, 1).astype(int) - crowd.draw(10, 1)).mean()


def test_the_pillar_and_the_border_occlude_faces() -> None:
    busy = Crowd([portrait()], sample_backgrounds(), CrowdSettings(faces=12, frames=8, seed=0))
    visibility = busy.ground_truth(0).visibility
    assert visibility.min() >= 0
    assert visibility.max() <= 1.1
    assert (busy.ground_truth(0).visible == (visibility >= 0.6)).all()


@pytest.mark.long
def test_the_whole_program_is_measured(tmp_path: Path) -> None:
    output = tmp_path / "found.json"
    asked = ["evaluate", "crowd", "--frames", "30", "--count", "2", "--smallest", "20"]
    done = CliRunner().invoke(app, [*asked, "--motion", "0.3", "--figures", str(output)])
    assert done.exit_code == 0, done.output
    result = json.loads(output.read_text())
    single, tracks = (row["metrics"] for row in result["tracking"])
    assert tracks["false_positives"] == 0
    assert single["identity_switches"] is None
    assert tracks["identity_switches"] == 0
    shares = [share for share in tracks["recall"] if share is not None]
    assert min(shares) > 0.9
    assert tracks["jitter"] < 0.5 * single["jitter"]
    bicubic, alone, ours = result["quality"]
    assert [row["name"] for row in (bicubic, alone, ours)] == [
        "bicubic",
        "frame by frame",
        "fishsrnet",
    ]
    assert ours["psnr"] > bicubic["psnr"] + 0.3
    assert ours["psnr"] > alone["psnr"] - 0.1
    assert ours["flicker"] < 0.7 * alone["flicker"]
    assert "| tracks |" in done.output


def ground_truth(*visibility: float) -> GroundTruth:
    """Faces 100 px from each other; a canvas px is a quarter of a video px."""
    count = len(visibility)
    to_frame = np.tile(np.array([[0.25, 0, 0], [0, 0.25, 0]]), (count, 1, 1))
    to_frame[:, 0, 2] = 100 * np.arange(count)
    corner = to_frame[:, :, 2]
    boxes = np.concatenate((corner, corner + np.array([18, 20])), 1).astype(np.float32)
    return GroundTruth(np.arange(count), to_frame, boxes, np.array(visibility))


def prediction(
    truth: GroundTruth, tracks: list[int], shift: float = 0.0, places: list[int] | None = None
):
    which = np.arange(len(truth.identities)) if places is None else np.array(places, np.intp)
    points = [TEMPLATE @ m[:, :2].T + m[:, 2] + [shift, 0] for m in truth.to_frame[which]]
    faces = Faces(
        boxes=truth.boxes[which],
        scores=np.ones(len(which), np.float32),
        landmarks=np.array(points, np.float32).reshape(-1, 5, 2),
    )
    return FramePrediction(faces, np.array(tracks, np.intp))


def test_tracking_metrics_count_misses_and_switches() -> None:
    truth = [ground_truth(1, 1, 0.3)] * 30
    predictions = [prediction(one, [1, 2], places=[0, 1]) for one in truth]
    perfect = measure_tracking(predictions, truth, 25)
    assert (perfect.fragmentations, perfect.identity_switches, perfect.false_positives) == (0, 0, 0)
    assert perfect.recall == (None, 1.0, None, None)
    assert perfect.jitter == pytest.approx(0, abs=1e-4)

    predictions[10] = prediction(truth[10], [1], places=[0])  # the second face is lost for a frame
    predictions[11:] = [
        prediction(one, [1, 3], places=[0, 1]) for one in truth[11:]
    ]  # and gets another track
    lost = measure_tracking(predictions, truth, 25)
    assert (lost.fragmentations, lost.identity_switches) == (1, 1)
    assert lost.recall[1] == pytest.approx(59 / 60)

    shaken = [prediction(one, [1, 2, 3], shift=0.25 * (-1) ** k) for k, one in enumerate(truth)]
    shaken_metrics = measure_tracking(shaken, truth, 25)
    assert shaken_metrics.jitter == pytest.approx(1.0, abs=0.15)  # canvas px
    assert shaken_metrics.false_positives == 0  # the third is occluded, no false positive
    beyond = [FramePrediction(replace(f.faces, boxes=f.faces.boxes + 50)) for f in shaken]
    wrong = measure_tracking(beyond, truth, 25)
    assert (wrong.false_positives, wrong.identity_switches, wrong.jitter) == (3, None, None)


def test_landmark_error_is_in_canvas_px() -> None:
    truth = ground_truth(1)
    there = prediction(truth, [1], shift=0.5).faces.landmarks[0]
    error = alignment_error(there, truth.to_frame[0])
    np.testing.assert_allclose(error, np.tile([2.0, 0], (5, 1)), atol=1e-4)


def test_faces_and_images_of_the_user_are_read(tmp_path: Path) -> None:
    for name in ("one", "two", "three"):
        Image.fromarray(portrait()).save(tmp_path / f"{name}.png")
    faces = read_faces([tmp_path], 2)
    assert len(faces) == 2
    np.testing.assert_array_equal(faces[0], read_images([tmp_path / "one.png"])[0])


def test_wrong_requests_are_reported(tmp_path: Path, crowd: Crowd) -> None:
    with pytest.raises(InputError, match="no image that OpenCV can read"):
        read_images([tmp_path / "absent.jpg"])
    settings = load_settings()
    with pytest.raises(UsageError, match="always measured"):
        evaluate_crowd(crowd, settings, ["bicubic"])
