"""Contact sheets: a card for each view, with its label, within the width."""

from __future__ import annotations

import numpy as np

from facepipe.datatypes import Track
from facepipe.presentation.moments import Moment
from facepipe.presentation.sheet import WIDTH, Sheet, draw_sheet, label_image
from facepipe.presentation.views import FaceView


def view(number: int, looks: int, *, enhance: bool = True) -> FaceView:
    track = Track(
        number=number,
        pts=np.array([0]),
        boxes=np.float32([[0, 0, 20, 20]]),
        landmarks=np.zeros((1, 5, 2), np.float32),
        scores=np.ones(1, np.float32),
        enhance=enhance,
        reason=None if enhance else "score 0.649 below 0.7",
    )
    colour = np.full((176, 176, 3), (250, 0, 250), np.uint8)
    after = (np.full((176, 176, 3), (0, 250, 250), np.uint8),) * looks if enhance else ()
    return FaceView(Moment(track, 0, "typical"), 1.0, colour, after)


def sheet(looks: int, *views: FaceView) -> Sheet:
    labels = ("before", *(f"fidelity 0.{k}" for k in range(looks)))
    return Sheet("film.mp4: 2 tracks", ("a note",), labels, views)


def count(image: np.ndarray, colour: tuple[int, int, int]) -> int:
    return int((image == colour).all(2).sum())


def test_each_face_is_there_before_and_after() -> None:
    image = draw_sheet(sheet(1, *(view(n, 1) for n in range(7))))
    assert image.shape[1] <= WIDTH
    assert count(image, (250, 0, 250)) == 7 * 176**2
    assert count(image, (0, 250, 250)) == 7 * 176**2


def test_looks_stand_side_by_side() -> None:
    image = draw_sheet(sheet(4, view(1, 4)))
    assert count(image, (0, 250, 250)) == 4 * 176**2


def test_a_refused_face_has_its_reason_in_place_of_an_image() -> None:
    image = draw_sheet(sheet(1, view(1, 1, enhance=False)))
    assert count(image, (250, 0, 250)) == 176**2
    assert count(image, (0, 250, 250)) == 0
    assert count(image, (0x9C, 0x2F, 0x1A)) > 20  # letters


def test_a_sheet_without_faces_is_drawn() -> None:
    assert draw_sheet(sheet(1)).shape[0] > 60


def test_a_label_has_letters() -> None:
    image = label_image("before \u65e5", 14)
    assert image.max() > 200
    assert image.shape[1] > image.shape[0]
    assert label_image("", 14).shape[2] == 3
