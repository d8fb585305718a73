"""What is refused, with its reason, and what is not."""

from __future__ import annotations

import numpy as np
import pytest

from facepipe.configs.settings import DetectSettings, LinkSettings
from facepipe.datatypes import Track
from facepipe.faces.canvas import TEMPLATE
from facepipe.faces.tracking.acceptance import Seen, refusal

LOOKS = 12


def seen(*, score: float = 0.9, step: float = 0.0, size: float = 20.0) -> Seen:
    """A face in every look, `step` px further each time."""
    face = Seen()
    points = (TEMPLATE - TEMPLATE.mean(0)) * size / 57
    for number in range(LOOKS):
        middle = np.array([100 + step * number, 80])
        corners = [middle - size / 2, middle + size / 2]
        face.boxes.append(np.concatenate(corners).astype(np.float32))
        face.landmarks.append((points + middle).astype(np.float32))
        face.scores.append(score)
        face.features.append(np.nan)
        face.detail.append(np.nan)
    return face


def verdict(face: Seen, *, score: float = 0.7, **how: float) -> str | None:
    pts = np.arange(LOOKS, dtype=np.int64) * 5
    track = Track(
        1, pts, np.array(face.boxes), np.array(face.landmarks), np.array(face.scores, np.float32)
    )
    return refusal(
        track,
        face,
        pts.tolist(),
        0.04,
        detect=DetectSettings(score=score),
        link=LinkSettings(**how),  # type: ignore[arg-type]
    )


def test_a_sure_face_is_asked_nothing() -> None:
    assert verdict(seen()) is None


@pytest.mark.parametrize(("shown", "good"), [(0.0, False), (0.1, False), (0.4, True), (1.0, True)])
def test_a_doubtful_face_must_show_its_parts(shown: float, good: bool) -> None:
    face = seen(score=0.62, step=3)
    face.features = [shown] * LOOKS
    reason = verdict(face)
    assert (reason is None) == good
    if reason:
        assert (
            reason == f"no face by its parts: {shown:.2f} of them seen, 0.24 asked for at its score"
        )
    assert verdict(face, features=0) is None


def test_the_surer_the_less_is_asked() -> None:
    face = seen(score=0.74, step=3)
    face.features = [0.1] * LOOKS
    assert verdict(face) is None
    face.features = [0.01] * LOOKS
    assert "no face by its parts" in str(verdict(face))


def test_looks_that_were_not_asked_say_nothing() -> None:
    face = seen(score=0.74)
    face.features = [np.nan] * (LOOKS - 1) + [0.9]
    assert verdict(face) is None


@pytest.mark.parametrize(
    ("step", "shown", "good"), [(0, 0.45, False), (0, 0.8, True), (3, 0.45, True)]
)
def test_what_never_moves_is_not_surer_for_being_seen_again(
    step: float, shown: float, good: bool
) -> None:
    face = seen(score=0.65, step=step)
    face.features = [shown] * LOOKS
    reason = verdict(face)
    assert (reason is None) == good
    if reason:
        assert reason.startswith("score 0.650 below 0.7, and it never moved")


def test_a_blurred_face_is_refused_unless_some_looks_are_sharp() -> None:
    face = seen()
    face.detail = [0.05] * LOOKS
    assert verdict(face) == "blurred: 0.05 of its contrast is detail, 0.1 asked for"
    assert verdict(face, detail=0) is None
    face.detail = [0.05] * (LOOKS // 2) + [0.3] * (LOOKS // 2)
    assert verdict(face) is None
