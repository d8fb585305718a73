"""Records of arrays refuse wrong shapes and show the right ones."""

from __future__ import annotations

import numpy as np
import pytest

from facepipe.datatypes import Faces, FrameDetections, Motion, Track


def track(boxes: int = 2, scores: int = 2) -> Track:
    """A track of two knots, with as many boxes and scores as asked for."""
    return Track(
        number=1,
        pts=np.array([1, 2]),
        boxes=np.zeros((boxes, 4), np.float32),
        landmarks=np.zeros((2, 5, 2), np.float32),
        scores=np.ones(scores, np.float32),
    )


def test_shapes_must_fit() -> None:
    with pytest.raises(ValueError, match=r"Track: boxes has shape \(1, 4\), not \(2, 4\)"):
        track(boxes=1)
    with pytest.raises(ValueError, match=r"scores has shape \(3,\), not \(2\)"):
        track(scores=3)
    boxes, scores = np.zeros((2, 4), np.float32), np.zeros(2, np.float32)
    with pytest.raises(ValueError, match=r"Faces: scores has shape \(1,\), not \(2\)"):
        Faces(boxes=boxes, scores=scores[:1], landmarks=np.zeros((2, 5, 2), np.float32))
    with pytest.raises(ValueError, match=r"landmarks has shape \(2, 4, 2\), not \(2, 5, 2\)"):
        Faces(boxes=boxes, scores=scores, landmarks=np.zeros((2, 4, 2), np.float32))
    with pytest.raises(ValueError, match=r"landmarks has shape \(2, 10\), not \(2, 5, 2\)"):
        Faces(boxes=boxes, scores=scores, landmarks=np.zeros((2, 10), np.float32))
    with pytest.raises(ValueError, match=r"maps has shape \(3, 3\), not \(3, 2, 3\)"):
        Motion(0, np.zeros((3, 3)))


def test_records_show_shapes_and_no_values() -> None:
    assert repr(Faces.none()) == (
        "Faces(boxes=float32[0, 4], scores=float32[0], landmarks=float32[0, 5, 2])"
    )
    assert "appearance=None" in repr(FrameDetections(pts=0, faces=Faces.none(), shot=0))
