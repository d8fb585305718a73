"""Words of pages and sheets."""

from __future__ import annotations

import numpy as np
import pytest

from facepipe.datatypes import Track
from facepipe.presentation.words import clock, counted, size_words, tick


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0:00.00"), (4.123, "0:04.12"), (59.999, "1:00.00"), (3723.5, "1:02:03.50"),
     (-1, "0:00.00")],
)  # fmt: skip
def test_times_are_said_as_players_show_them(seconds: float, said: str) -> None:
    assert clock(seconds) == said


def test_a_tick_has_hundredths_only_where_it_needs_them() -> None:
    assert (tick(60), tick(0.5)) == ("1:00", "0:00.50")


def test_one_is_no_plural() -> None:
    assert (counted(1, "track"), counted(1200, "track")) == ("1 track", "1,200 tracks")


def face(number: int, size: float, *, enhance: bool = True) -> Track:
    return Track(
        number=number,
        pts=np.array([0, 1], np.int64),
        boxes=np.array([[0, 0, size, size]] * 2, np.float32),
        landmarks=np.zeros((2, 5, 2), np.float32),
        scores=np.ones(2, np.float32),
        enhance=enhance,
        reason=None if enhance else "refused",
    )


def test_which_faces_and_how_large() -> None:
    assert size_words([]) == size_words([face(1, 20, enhance=False)]) == []
    assert size_words([face(4, 20)]) == ["1 face of 20 px: track 4 (20 px)"]
    several = size_words([face(number, 10 + number) for number in range(1, 9)])
    assert several == [
        "8 faces of 11 to 18 px: track 8 (18 px), track 7 (17 px), track 6 (16 px), "
        "track 5 (15 px), track 4 (14 px), track 3 (13 px), and 2 more"
    ]
