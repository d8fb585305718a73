"""The nouns refuse what they cannot hold."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from facepipe.datatypes import Colour, Faces, Frame, PixelFormat, Track, VideoInfo

GRAY = PixelFormat("gray", "gray", 8)


def track(pts: list[int]) -> Track:
    knots = len(pts)
    steps = np.arange(knots, dtype=np.float32)
    boxes = np.stack([steps, steps, steps + 16, steps + 25], 1)
    landmarks = np.repeat(steps[:, None, None], 5, 1) + np.zeros((1, 1, 2), np.float32)
    return Track(1, np.array(pts), boxes, landmarks, np.ones(knots, np.float32))


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


def test_shapes_must_fit() -> None:
    good = track([1, 2])
    with pytest.raises(ValueError, match="2 knots do not fit"):
        Track(1, good.pts, good.boxes[:1], good.landmarks, good.scores)
    boxes, scores = np.zeros((2, 4), np.float32), np.zeros(2, np.float32)
    with pytest.raises(ValueError, match="disagree"):
        Faces(boxes, scores[:1], np.zeros((2, 5, 2), np.float32))
    with pytest.raises(ValueError, match="landmarks must be"):
        Faces(boxes, scores, np.zeros((2, 4, 2), np.float32))
    with pytest.raises(ValueError, match="2-D arrays"):
        Frame(0, GRAY, Colour(), (np.zeros((2, 2, 3), np.uint8),))


def test_a_frame_shows_its_shapes_and_no_pixels() -> None:
    frame = Frame(9, GRAY, Colour(), (np.zeros((4, 6), np.uint8),))
    assert repr(frame) == "Frame(pts=9, gray, 6x4)"
    assert len(Faces.none().take(np.zeros(0, bool))) == 0


def test_a_film_of_one_frame_has_a_rate() -> None:
    info = VideoInfo(
        "a", "mp4", 0, "h264", 2, 2, "gray", Fraction(1, 25), (5,), (5,), 0, None, ()
    )  # fmt: skip
    assert (info.seconds, info.frames_per_second) == (0, 25)
