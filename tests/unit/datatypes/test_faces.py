"""Faces and their measurements are of one number, and are taken and joined together."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest

from facepipe.datatypes import FaceMeasurements, Faces, FrameDetections, Motion


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


def test_no_face_of_none_can_be_taken() -> None:
    assert len(Faces.none().take(np.zeros(0, bool))) == 0
