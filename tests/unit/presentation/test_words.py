"""Words of pages and sheets."""

from __future__ import annotations

import pytest

from facepipe.presentation.words import clock, counted, tick


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
