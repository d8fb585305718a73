"""Acceptance filters: which tracks are refused, and with which reason."""

from __future__ import annotations

import numpy as np
import pytest

from facepipe.configs.settings import DetectSettings, LinkSettings
from facepipe.datatypes import FaceMeasurements, Track
from facepipe.faces.canvas import TEMPLATE
from facepipe.faces.tracking.acceptance import Observations, refusal

FRAMES = 12


def seen(*, score: float = 0.9, step: float = 0.0, size: float = 20.0) -> Observations:
    """A face in every detection frame, `step` px further each time; not measured."""
    face = Observations()
    points = (TEMPLATE - TEMPLATE.mean(0)) * size / 57
    for number in range(FRAMES):
        middle = np.array([100 + step * number, 80])
        corners = [middle - size / 2, middle + size / 2]
        face.boxes.append(np.concatenate(corners).astype(np.float32))
        face.landmarks.append((points + middle).astype(np.float32))
        face.scores.append(score)
        face.measurements.append(FaceMeasurements())
    return face


def measured(
    face: Observations,
    *,
    visibility: list[float] | None = None,
    sharpness: list[float] | None = None,
) -> Observations:
    """The face with a measurement of each detection."""
    nothing = [float("nan")] * FRAMES
    rows = zip(visibility or nothing, sharpness or nothing, strict=True)
    face.measurements = [
        FaceMeasurements(
            part_visibility=np.array([parts], np.float32), sharpness=np.array([sharp], np.float32)
        )
        for parts, sharp in rows
    ]
    return face


def verdict(face: Observations, *, score: float = 0.7, **how: float) -> str | None:
    pts = np.arange(FRAMES, dtype=np.int64) * 5
    track = Track(
        number=1,
        pts=pts,
        boxes=np.array(face.boxes),
        landmarks=np.array(face.landmarks),
        scores=np.array(face.scores, np.float32),
    )
    return refusal(
        track,
        face,
        pts.tolist(),
        0.04,
        detect=DetectSettings(score=score),
        link=LinkSettings(**how),  # type: ignore[arg-type]
    )


def test_a_face_of_a_high_score_needs_no_measurement() -> None:
    assert verdict(seen()) is None


@pytest.mark.parametrize(("shown", "good"), [(0.0, False), (0.1, False), (0.4, True), (1.0, True)])
def test_a_doubtful_face_must_show_its_parts(shown: float, good: bool) -> None:
    face = measured(seen(score=0.62, step=3), visibility=[shown] * FRAMES)
    reason = verdict(face)
    assert (reason is None) == good
    if reason:
        assert (
            reason == f"no face by its parts: {shown:.2f} of them seen, 0.24 asked for at its score"
        )
    assert verdict(face, features=0) is None


def test_a_higher_score_asks_for_fewer_parts() -> None:
    face = seen(score=0.74, step=3)
    assert verdict(measured(face, visibility=[0.1] * FRAMES)) is None
    assert "no face by its parts" in str(verdict(measured(face, visibility=[0.01] * FRAMES)))


def test_detections_that_were_not_measured_do_not_count() -> None:
    face = measured(seen(score=0.74), visibility=[np.nan] * (FRAMES - 1) + [0.9])
    assert verdict(face) is None
    face.measurements[:-1] = [FaceMeasurements()] * (FRAMES - 1)
    assert verdict(face) is None


@pytest.mark.parametrize(
    ("step", "shown", "good"), [(0, 0.45, False), (0, 0.8, True), (3, 0.45, True)]
)
def test_a_thing_that_never_moves_gets_no_patience(step: float, shown: float, good: bool) -> None:
    face = measured(seen(score=0.65, step=step), visibility=[shown] * FRAMES)
    reason = verdict(face)
    assert (reason is None) == good
    if reason:
        assert reason.startswith("score 0.650 below 0.7, and it never moved")


def test_a_blurred_face_is_refused_unless_half_of_its_detections_are_sharp() -> None:
    face = measured(seen(), sharpness=[0.05] * FRAMES)
    assert verdict(face) == "blurred: 0.05 of its contrast is detail, 0.1 asked for"
    assert verdict(face, detail=0) is None
    half = FRAMES // 2
    assert verdict(measured(face, sharpness=[0.05] * half + [0.3] * half)) is None
