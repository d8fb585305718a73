"""A track is a face through time."""

from __future__ import annotations

import numpy as np
import pytest

from facepipe.datatypes import Track


def track(pts: list[int]) -> Track:
    knots = len(pts)
    steps = np.arange(knots, dtype=np.float32)
    boxes = np.stack([steps, steps, steps + 16, steps + 25], 1)
    landmarks = np.repeat(steps[:, None, None], 5, 1) + np.zeros((1, 1, 2), np.float32)
    return Track(
        number=1,
        pts=np.array(pts),
        boxes=boxes,
        landmarks=landmarks,
        scores=np.ones(knots, np.float32),
    )


def test_a_track_is_linear_between_its_knots() -> None:
    made = track([100, 200, 400])
    assert (made.first, made.last, made.size) == (100, 400, 20)
    assert made.covers(100)
    assert made.covers(400)
    assert not made.covers(401)
    np.testing.assert_allclose(made.box_at(150), [0.5, 0.5, 16.5, 25.5])
    np.testing.assert_allclose(made.landmarks_at(300), np.full((5, 2), 1.5))
    np.testing.assert_allclose(made.landmarks_at(400), np.full((5, 2), 2))
    np.testing.assert_allclose(track([7]).box_at(7), [0, 0, 16, 25])


@pytest.mark.parametrize("pts", [[], [1, 1], [2, 1]])
def test_knots_rise(pts: list[int]) -> None:
    with pytest.raises(ValueError, match="rising pts"):
        track(pts)
