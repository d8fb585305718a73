"""Motion-compensated smoothing of one face."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from numpy.typing import NDArray

from facepipe.faces.canvas import compose, invert
from facepipe.faces.tracking.motion import Knots, MotionPath, motion_compensated, moved_box

SHAPE = np.array([[-7.0, -6], [7, -6], [0, 2], [-6, 9], [6, 9]])
EVERY, FRAMES, TIME_BASE = 5, 12, 1 / 25


def true_map(pts: float) -> NDArray[np.float64]:
    """A face that walks, bobs, nods and comes nearer."""
    along = np.exp(0.004 * pts + 0.1j * np.sin(pts / 6))
    rows = [[along.real, -along.imag, 60 + 1.5 * pts], [along.imag, along.real, 80.0]]
    rows[1][2] += 6 * np.sin(pts / 2)
    return np.array(rows)


def detections(noise: float, lost: frozenset[int] = frozenset()) -> tuple[Knots, list[MotionPath]]:
    """In every fifth frame, and the true paths between them, cut short after the `lost` ones."""
    rng = np.random.default_rng(3)
    pts = np.arange(FRAMES) * EVERY
    landmarks, boxes, paths = [], [], []
    for number, at in enumerate(pts):
        place = true_map(at)
        points = SHAPE @ place[:, :2].T + place[:, 2] + rng.normal(0, noise, (5, 2))
        landmarks.append(points)
        boxes.append(moved_box(np.array([-12.0, -14, 12, 16]), place) + rng.normal(0, noise, 4))
        after_it = range(at + 1, at + 1 + (2 if number in lost else EVERY))
        paths.append([(t, compose(true_map(t), invert(place))) for t in after_it])
    knots = Knots(
        pts=pts,
        boxes=np.stack(boxes),
        landmarks=np.stack(landmarks),
        scores=np.full(FRAMES, 0.9),
    )
    return knots, paths


def part(knots: Knots, which: slice) -> Knots:
    return Knots(**{field.name: getattr(knots, field.name)[which] for field in fields(knots)})


def errors(knots: Knots) -> NDArray[np.float64]:
    """(K, 5, 2) of the landmarks at each knot."""
    places = [true_map(at) for at in knots.pts.tolist()]
    true = np.stack([SHAPE @ place[:, :2].T + place[:, 2] for place in places])
    return knots.landmarks - true


def test_every_frame_lies_where_the_motion_takes_it() -> None:
    seen, paths = detections(noise=0)
    knots = motion_compensated(seen, paths, TIME_BASE)
    assert knots.pts[0] == 0
    assert knots.pts[-1] == FRAMES * EVERY  # it was followed beyond the last detection
    assert len(knots.pts) > 4 * FRAMES  # it bobs in every frame
    assert np.abs(errors(knots)).max() < 0.02
    bare = motion_compensated(seen, [[] for _ in paths], TIME_BASE)
    assert set(bare.pts.tolist()) <= set(seen.pts.tolist())


def test_the_tremble_of_landmarks_is_gone_though_the_face_moves() -> None:
    seen, paths = detections(noise=0.8)
    raw = errors(seen)
    steady = errors(motion_compensated(seen, paths, TIME_BASE))
    assert np.diff(steady, axis=0).std() < 0.1 * np.diff(raw, axis=0).std()
    assert np.sqrt((steady**2).mean()) < 0.5 * np.sqrt((raw**2).mean())


def test_a_lost_face_goes_on_from_its_next_detection() -> None:
    seen, paths = detections(noise=0, lost=frozenset({4}))
    knots = motion_compensated(seen, paths, TIME_BASE)
    followed = ~((knots.pts > 4 * EVERY) & (knots.pts < 5 * EVERY))
    assert np.abs(errors(knots)[followed]).max() < 0.02
    assert {21, 22} <= set(knots.pts.tolist())
    assert not {23, 24} & set(knots.pts.tolist())


def test_knots_on_a_line_are_left_out() -> None:
    count = 8
    pts = np.arange(count) * 10
    points = SHAPE[None] + np.arange(count)[:, None, None] * 4.0
    boxes = np.tile([0.0, 0, 24, 30], (count, 1)) + np.arange(count)[:, None] * 4.0
    seen = Knots(pts=pts, boxes=boxes, landmarks=points, scores=np.ones(count))
    knots = motion_compensated(seen, [[] for _ in pts], 1 / 25)
    assert knots.pts.tolist() == [0, 70]


@pytest.mark.parametrize("count", [1, 2])
def test_few_detections_are_not_smoothed(count: int) -> None:
    seen, paths = detections(noise=1)
    few = part(seen, slice(count))
    knots = motion_compensated(few, [*paths[: count - 1], []], TIME_BASE)
    np.testing.assert_allclose(knots.landmarks[0], few.landmarks[0])
    np.testing.assert_allclose(knots.landmarks[-1], few.landmarks[-1], atol=1e-6)


def test_a_face_is_there_before_its_first_detection() -> None:
    seen, paths = detections(noise=0)
    first = 2  # it was not detected before
    place = true_map(first * EVERY)
    back = [(t, compose(true_map(t), invert(place))) for t in (7, 8, 9)]
    knots = motion_compensated(
        part(seen, slice(first, None)), [[*back, *paths[first]], *paths[first + 1 :]], TIME_BASE
    )
    assert knots.pts[0] == 7
    assert np.abs(errors(knots)).max() < 0.02


def test_what_is_found_anew_is_followed_back_to_where_it_was_lost() -> None:
    seen, paths = detections(noise=0, lost=frozenset({4}))
    place = true_map(5 * EVERY)
    back = [(t, compose(true_map(t), invert(place))) for t in (21, 22, 23, 24)]
    paths[5] = [*back, *paths[5]]
    knots = motion_compensated(seen, paths, TIME_BASE)
    assert {20, 21, 22, 23, 24, 25} <= set(knots.pts.tolist())
    assert np.abs(errors(knots)).max() < 0.02


def test_frames_of_equal_pts_make_one_knot() -> None:
    """Damaged transport streams show two frames at one time; both were followed to."""
    seen, paths = detections(noise=0)
    twice = [[step for step in path for _ in range(2)] for path in paths]
    np.testing.assert_array_equal(
        motion_compensated(seen, twice, TIME_BASE).pts,
        motion_compensated(seen, paths, TIME_BASE).pts,
    )
