"""Timing: decoding times rise, never pass the showing, and durations fill the gaps."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from facepipe.video.timestamps import decode_times, durations, usual_duration, with_missing


@pytest.mark.parametrize(
    "pts",
    [
        [0],
        [0, 10, 20, 30],
        [0, 30, 10, 20, 60, 40, 50],
        [-20, 20, 0, -10, 10, 60, 40, 30, 50],
        [0, 700, 3, 650, 1000, 1001],
        [5, 5, 5, 6],
    ],
)
def test_decoding_times_rise_and_never_pass_the_showing(pts: list[int]) -> None:
    times = decode_times(pts)
    assert len(times) == len(pts)
    assert all(a < b for a, b in pairwise(times))
    assert all(dts <= time for dts, time in zip(times, pts, strict=True))


def test_decoding_times_of_shuffled_videos() -> None:
    rng = random.Random(1)
    for _ in range(50):
        shown = sorted(rng.sample(range(10000), 60))
        order = [t for at in range(0, 60, 6) for t in rng.sample(shown[at : at + 6], 6)]
        times = decode_times(order)
        assert all(a < b for a, b in pairwise(times))
        assert all(dts <= time for dts, time in zip(times, order, strict=True))


def test_without_reordering_both_times_are_the_same() -> None:
    assert decode_times([3, 7, 8]) == [3, 7, 8]
    assert decode_times([]) == []


def test_durations_reach_to_the_next_frame() -> None:
    assert durations([0, 30, 10], 7) == {0: 10, 10: 20, 30: 7}
    assert usual_duration([0, 10, 20, 500]) == 10
    assert usual_duration([4]) == 1


def test_missing_times_fill_the_gaps_and_then_the_end() -> None:
    assert with_missing([0, 30, 60], 4, 10) == [0, 10, 20, 30, 40, 50, 60]
    assert with_missing([0, 30], 3, 10) == [0, 10, 20, 30, 40]
    assert with_missing([0, 40], 3, 0) == [0, 10, 20, 30, 40]
    assert with_missing([5], 2, 0) == [5, 6, 7]
    assert with_missing([0, 10, 40], 1, 10) == [0, 10, 25, 40]


def test_missing_times_are_as_many_as_are_missing() -> None:
    rng = random.Random(2)
    for _ in range(50):
        known = sorted(rng.sample(range(10000), rng.randint(1, 20)))
        missing = rng.randint(0, 40)
        found = with_missing(known, missing, rng.choice([0, 7, 100]))
        assert len(found) == len(known) + missing
        assert set(known) <= set(found)
        assert found == sorted(found)


def test_decoding_is_hurried_where_there_is_no_time_before() -> None:
    shown = [0, 30, 10, 20, 60, 40, 50]
    assert decode_times(shown, 0) == [0, 5, 10, 20, 30, 40, 50]
    assert decode_times(shown, -9) == [-9, 0, 10, 20, 30, 40, 50]
    assert decode_times(shown, -10) == decode_times(shown) == [-10, 0, 10, 20, 30, 40, 50]
    assert decode_times([1, 31, 11, 21, 61, 41, 51], 0)[:3] == [0, 1, 11]
    assert decode_times([1, 61, 31, 11, 21, 51, 41], 0)[:4] == [0, 4, 7, 11]
    assert decode_times([0, 3, 1, 2], 0)[0] < 0  # not ticks enough


@pytest.mark.parametrize("earliest", [0, -7, 3])
def test_hurried_times_rise_and_never_pass_the_showing(earliest: int) -> None:
    rng = random.Random(4)
    for _ in range(50):
        shown = [max(earliest, 0) + 40 * n + rng.randint(0, 20) for n in range(60)]
        order = [t for at in range(0, 60, 6) for t in rng.sample(shown[at : at + 6], 6)]
        times = decode_times(order, earliest)
        assert all(a < b for a, b in pairwise(times))
        assert all(dts <= time for dts, time in zip(times, order, strict=True))
        assert times[0] >= min(earliest, shown[0] - 6)
