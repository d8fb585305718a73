"""The data types refuse arrays of wrong shapes."""

from __future__ import annotations

from dataclasses import fields, replace
from fractions import Fraction

import numpy as np
import pytest

from facepipe.datatypes import (
    Colour,
    FaceMeasurements,
    Faces,
    Frame,
    FrameDetections,
    Motion,
    PixelFormat,
    Track,
    VideoInfo,
)

GRAY = PixelFormat("gray", "gray", 8)


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


def test_shapes_must_fit() -> None:
    good = track([1, 2])
    with pytest.raises(ValueError, match=r"Track: boxes has shape \(1, 4\), not \(2, 4\)"):
        replace(good, boxes=good.boxes[:1])
    with pytest.raises(ValueError, match=r"scores has shape \(3,\), not \(2\)"):
        replace(good, scores=np.ones(3, np.float32))
    boxes, scores = np.zeros((2, 4), np.float32), np.zeros(2, np.float32)
    with pytest.raises(ValueError, match=r"Faces: scores has shape \(1,\), not \(2\)"):
        Faces(boxes=boxes, scores=scores[:1], landmarks=np.zeros((2, 5, 2), np.float32))
    with pytest.raises(ValueError, match=r"landmarks has shape \(2, 4, 2\), not \(2, 5, 2\)"):
        Faces(boxes=boxes, scores=scores, landmarks=np.zeros((2, 4, 2), np.float32))
    with pytest.raises(ValueError, match=r"landmarks has shape \(2, 10\), not \(2, 5, 2\)"):
        Faces(boxes=boxes, scores=scores, landmarks=np.zeros((2, 10), np.float32))
    with pytest.raises(ValueError, match=r"maps has shape \(3, 3\), not \(3, 2, 3\)"):
        Motion(0, np.zeros((3, 3)))
    with pytest.raises(ValueError, match="2-D arrays"):
        Frame(pts=0, format=GRAY, colour=Colour(), planes=(np.zeros((2, 2, 3), np.uint8),))


def test_measurements_and_motion_are_of_as_many_faces() -> None:
    one = FaceMeasurements(sharpness=np.ones(1, np.float32))
    with pytest.raises(ValueError, match=r"0 faces, but measurements or motion of \{1\}"):
        FrameDetections(pts=0, faces=Faces.none(), shot=0, measurements=one)
    with pytest.raises(ValueError, match=r"0 faces, but measurements or motion of \{2\}"):
        FrameDetections(pts=0, faces=Faces.none(), shot=0, motion=(Motion(1, np.zeros((2, 2, 3))),))


def test_measurements_are_taken_and_joined_by_their_fields() -> None:
    """Every field, so one that is added later cannot be forgotten."""
    names = [field.name for field in fields(FaceMeasurements)]
    shapes = {"appearance": (4, 60)}
    rng = np.random.default_rng(0)
    four = FaceMeasurements(
        **{name: rng.random(shapes.get(name, 4), np.float32) for name in names}  # type: ignore[arg-type]
    )
    assert sorted(four.arrays()) == sorted(names)
    two = four.take(np.array([3, 1]))
    both = FaceMeasurements.concat([four, two])
    for name, array in four.arrays().items():
        np.testing.assert_array_equal(two.arrays()[name], array[[3, 1]])
        np.testing.assert_array_equal(both.arrays()[name], array[[0, 1, 2, 3, 3, 1]])
    assert FaceMeasurements.concat([four, FaceMeasurements()]).arrays() == {}
    assert FaceMeasurements.concat([]).arrays() == {}


def test_records_show_shapes_and_no_values() -> None:
    frame = Frame(pts=9, format=GRAY, colour=Colour(), planes=(np.zeros((4, 6), np.uint8),))
    assert repr(frame) == "Frame(pts=9, gray, 6x4)"
    assert repr(Faces.none()) == (
        "Faces(boxes=float32[0, 4], scores=float32[0], landmarks=float32[0, 5, 2])"
    )
    assert "appearance=None" in repr(FrameDetections(pts=0, faces=Faces.none(), shot=0))
    assert len(Faces.none().take(np.zeros(0, bool))) == 0


def test_a_video_of_one_frame_has_a_rate() -> None:
    info = VideoInfo(
        "a", "mp4", 0, "h264", 2, 2, "gray", Fraction(1, 25), (5,), (5,), 0, None, ()
    )  # fmt: skip
    assert (info.seconds, info.frames_per_second) == (0, 25)
