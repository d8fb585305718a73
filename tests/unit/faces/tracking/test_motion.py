"""Looks carried along how the picture moved."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from facepipe.faces.canvas import after, inverse
from facepipe.faces.tracking.motion import Knots, Way, carried, moved_box

SHAPE = np.array([[-7.0, -6], [7, -6], [0, 2], [-6, 9], [6, 9]])
EVERY, LOOKS, BASE = 5, 12, 1 / 25


def true_map(pts: float) -> NDArray[np.float64]:
    """A face that walks, bobs, nods and comes nearer."""
    along = np.exp(0.004 * pts + 0.1j * np.sin(pts / 6))
    rows = [[along.real, -along.imag, 60 + 1.5 * pts], [along.imag, along.real, 80.0]]
    rows[1][2] += 6 * np.sin(pts / 2)
    return np.array(rows)


def looks(noise: float, lost: frozenset[int] = frozenset()) -> tuple[Knots, list[Way]]:
    """What was seen at every fifth frame, and the true ways between, but after the `lost` looks."""
    rng = np.random.default_rng(3)
    pts = np.arange(LOOKS) * EVERY
    landmarks, boxes, ways = [], [], []
    for look, at in enumerate(pts):
        place = true_map(at)
        points = SHAPE @ place[:, :2].T + place[:, 2] + rng.normal(0, noise, (5, 2))
        landmarks.append(points)
        boxes.append(moved_box(np.array([-12.0, -14, 12, 16]), place) + rng.normal(0, noise, 4))
        after_it = range(at + 1, at + 1 + (2 if look in lost else EVERY))
        ways.append([(t, after(true_map(t), inverse(place))) for t in after_it])
    return Knots(pts, np.stack(boxes), np.stack(landmarks), np.full(LOOKS, 0.9)), ways


def errors(knots: Knots) -> NDArray[np.float64]:
    """(K, 5, 2) of the landmarks at each knot."""
    places = [true_map(at) for at in knots.pts.tolist()]
    true = np.stack([SHAPE @ place[:, :2].T + place[:, 2] for place in places])
    return knots.landmarks - true


def test_every_frame_lies_where_the_picture_moved_it() -> None:
    seen, ways = looks(noise=0)
    knots = carried(seen, ways, BASE)
    assert knots.pts[0] == 0
    assert knots.pts[-1] == LOOKS * EVERY  # it was followed beyond the last look
    assert len(knots.pts) > 4 * LOOKS  # it bobs in every frame
    assert np.abs(errors(knots)).max() < 0.02
    bare = carried(seen, [[] for _ in ways], BASE)
    assert set(bare.pts.tolist()) <= set(seen.pts.tolist())


def test_the_tremble_of_landmarks_is_gone_though_the_face_moves() -> None:
    seen, ways = looks(noise=0.8)
    raw = errors(seen)
    steady = errors(carried(seen, ways, BASE))
    assert np.diff(steady, axis=0).std() < 0.1 * np.diff(raw, axis=0).std()
    assert np.sqrt((steady**2).mean()) < 0.5 * np.sqrt((raw**2).mean())


def test_a_lost_face_goes_on_from_its_next_look() -> None:
    seen, ways = looks(noise=0, lost=frozenset({4}))
    knots = carried(seen, ways, BASE)
    followed = ~((knots.pts > 4 * EVERY) & (knots.pts < 5 * EVERY))
    assert np.abs(errors(knots)[followed]).max() < 0.02
    assert {21, 22} <= set(knots.pts.tolist())
    assert not {23, 24} & set(knots.pts.tolist())


def test_what_a_line_says_is_left_out() -> None:
    count = 8
    pts = np.arange(count) * 10
    points = SHAPE[None] + np.arange(count)[:, None, None] * 4.0
    boxes = np.tile([0.0, 0, 24, 30], (count, 1)) + np.arange(count)[:, None] * 4.0
    knots = carried(Knots(pts, boxes, points, np.ones(count)), [[] for _ in pts], 1 / 25)
    assert knots.pts.tolist() == [0, 70]


@pytest.mark.parametrize("count", [1, 2])
def test_few_looks_are_what_they_are(count: int) -> None:
    seen, ways = looks(noise=1)
    few = Knots(seen.pts[:count], seen.boxes[:count], seen.landmarks[:count], seen.scores[:count])
    knots = carried(few, [*ways[: count - 1], []], BASE)
    np.testing.assert_allclose(knots.landmarks[0], few.landmarks[0])
    np.testing.assert_allclose(knots.landmarks[-1], few.landmarks[-1], atol=1e-6)


def test_a_face_is_there_before_it_was_first_seen() -> None:
    seen, ways = looks(noise=0)
    first = 2  # the looks before did not see it
    place = true_map(first * EVERY)
    back = [(t, after(true_map(t), inverse(place))) for t in (7, 8, 9)]
    later = Knots(seen.pts[first:], seen.boxes[first:], seen.landmarks[first:], seen.scores[first:])
    knots = carried(later, [[*back, *ways[first]], *ways[first + 1 :]], BASE)
    assert knots.pts[0] == 7
    assert np.abs(errors(knots)).max() < 0.02


def test_what_is_found_anew_is_followed_back_to_where_it_was_lost() -> None:
    seen, ways = looks(noise=0, lost=frozenset({4}))
    place = true_map(5 * EVERY)
    back = [(t, after(true_map(t), inverse(place))) for t in (21, 22, 23, 24)]
    ways[5] = [*back, *ways[5]]
    knots = carried(seen, ways, BASE)
    assert {20, 21, 22, 23, 24, 25} <= set(knots.pts.tolist())
    assert np.abs(errors(knots)).max() < 0.02


def test_frames_of_equal_pts_make_one_knot() -> None:
    """Damaged transport streams show two pictures at one time; both were followed to."""
    seen, ways = looks(noise=0)
    twice = [[step for step in way for _ in range(2)] for way in ways]
    np.testing.assert_array_equal(carried(seen, twice, BASE).pts, carried(seen, ways, BASE).pts)
