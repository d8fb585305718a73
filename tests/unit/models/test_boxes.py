"""Intersection over union, and suppression of all but the best of boxes that overlap."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from facepipe.datatypes import Faces
from facepipe.models.detectors.boxes import iou, nms


def heap(seed: int, count: int, spread: float) -> Faces:
    """Boxes of 8 to 40 px, many of which overlap; some scores are equal, some 0."""
    rng = np.random.default_rng(seed)
    middles, halves = rng.uniform(0, spread, (count, 2)), rng.uniform(4, 20, (count, 1))
    return Faces(
        boxes=np.concatenate((middles - halves, middles + halves), 1).astype(np.float32),
        scores=(rng.integers(0, 9, count) / 8).astype(np.float32),
        landmarks=rng.uniform(0, spread, (count, 5, 2)).astype(np.float32),
    )


@given(st.integers(0, 10**6), st.integers(0, 40), st.sampled_from([20.0, 60.0, 300.0]))
@settings(deadline=None)
def test_suppression_keeps_the_best_one_by_one(seed: int, count: int, spread: float) -> None:
    faces = heap(seed, count, spread)
    order, kept = np.argsort(-faces.scores, kind="stable").tolist(), list[int]()
    for number in order:
        overlaps = iou(faces.boxes[number][None], faces.boxes[kept])
        if not (overlaps > 0.35).any():
            kept.append(number)
    np.testing.assert_array_equal(nms(faces, 0.35).boxes, faces.boxes[kept])
    np.testing.assert_array_equal(nms(faces, 0.35).scores, faces.scores[kept])
