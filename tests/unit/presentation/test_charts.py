"""Numbers of the drawn charts."""

from __future__ import annotations

import math

import pytest

from facepipe.presentation.charts import CURVE_POINTS, WIDTH, Stretch, curve, ticks, timeline


def test_tracks_that_meet_in_time_lie_in_lanes_of_their_own() -> None:
    line = timeline(10, [Stretch(0, 5), Stretch(4, 8), Stretch(6, 9)])
    lanes = [bar.y for bar in line.bars]
    assert lanes[0] != lanes[1]
    assert lanes[2] == lanes[0]  # which is free again
    assert line.bars[0].x == 0
    assert line.bars[0].width == WIDTH / 2


def test_many_lanes_stay_within_the_height() -> None:
    line = timeline(10, [Stretch(0, 10) for _ in range(100)])
    assert line.height <= 330
    assert len({bar.y for bar in line.bars}) == 100


def test_a_stretch_outside_the_video_is_drawn_within() -> None:
    line = timeline(10, [Stretch(-5, 20)], damage=[Stretch(9, 30)], cuts=[3, 3])
    assert (line.bars[0].x, line.bars[0].width) == (0, WIDTH)
    assert line.damage[0].x + line.damage[0].width <= WIDTH + 2
    assert line.cuts == (300,)


@pytest.mark.parametrize("seconds", [0.0, 0.4, 9.1, 61, 3600, 7 * 3600, 200 * 3600])
def test_ticks_are_few_and_round(seconds: float) -> None:
    found = ticks(seconds)
    assert found[0] == 0
    assert len(found) <= 11
    assert found[-1] <= seconds


def test_nothing_at_all_can_be_drawn() -> None:
    line = timeline(0, [])
    assert line.bars == ()
    assert line.height > 0


def test_a_curve_is_thinned_and_spans_its_box() -> None:
    drawn = curve("size", [(k, k % 7) for k in range(1000)], "{:.0f} px")
    assert drawn is not None
    points = [tuple(map(float, point.split(","))) for point in drawn.points.split()]
    assert len(points) <= CURVE_POINTS + 1
    assert points[0][0] == 0
    assert points[-1][0] == 120
    assert all(0 <= y <= 32 for _, y in points)


def test_a_curve_of_unknown_values_is_none() -> None:
    assert curve("score", [(0, math.nan), (1, math.nan)], "{}") is None
    assert curve("score", [(0, 1.0)], "{}") is None
