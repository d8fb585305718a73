"""Alignment of the canvas to landmarks, and the pose that they show."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facepipe.faces.canvas import (
    TEMPLATE,
    canvas_bounds,
    canvas_to_frame,
    frame_px_per_canvas_px,
    frontality,
    roll,
)


@given(st.floats(0.05, 3), st.floats(-np.pi, np.pi), st.floats(-500, 500), st.floats(-500, 500))
def test_a_similarity_is_found_again(scale: float, angle: float, x: float, y: float) -> None:
    a, b = scale * np.cos(angle), scale * np.sin(angle)
    truth = np.array([[a, -b, x], [b, a, y]])
    landmarks = TEMPLATE @ truth[:, :2].T + truth[:, 2]
    found = canvas_to_frame(landmarks.astype(np.float32))
    np.testing.assert_allclose(found, truth, atol=2e-3)
    assert frame_px_per_canvas_px(found) == pytest.approx(scale, rel=1e-3)


def test_bounds_hold_every_pixel_that_the_canvas_touches() -> None:
    assert canvas_bounds(np.array([[0.25, 0, 10], [0, 0.25, 20]]), 100, 100) == (10, 20, 43, 53)
    assert canvas_bounds(np.array([[1.0, 0, 90], [0, 1.0, -200]]), 100, 100)[1::2] == (0, 0)


def test_a_face_counts_less_the_more_it_turns_away() -> None:
    turned = [TEMPLATE.copy() for _ in range(4)]
    middle = TEMPLATE[:, 0].mean()
    for points, degrees in zip(turned, (0, 45, 70, 89), strict=True):
        points[:, 0] = middle + (points[:, 0] - middle) * np.cos(np.radians(degrees))
    shares = [frontality(points.astype(np.float32)) for points in turned]
    assert shares[:2] == [1, 1]
    assert 0 < shares[2] < 1
    assert shares[3] == 0
    angle = np.array([[0, -1], [1, 0]], np.float32)  # a head that lies on its side is no profile
    assert frontality(TEMPLATE.astype(np.float32) @ angle) == 1


@pytest.mark.parametrize("degrees", [-100, -20, 0, 35])
def test_roll_is_clockwise_on_the_screen(degrees: float) -> None:
    angle = np.radians(degrees)
    along = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    turned = (0.3 * TEMPLATE @ along.T + [20, 30]).astype(np.float32)
    assert np.degrees(roll(turned)) == pytest.approx(degrees, abs=1e-3)
