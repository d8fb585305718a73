"""Timing: decoding times rise, never pass the showing, and durations fill the gaps."""

from __future__ import annotations

import random
from itertools import accumulate, pairwise

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


def test_the_first_lead_is_that_of_the_keyframe_that_needs_most() -> None:
    # Where the rate falls, a keyframe is decoded further ahead of its time than the first one.
    order = [0, 30, 10, 20, 40, 70, 50, 60, 80, 200, 120, 160, 240, 360, 280, 320]
    assert decode_times(order)[:3] == [-10, 0, 10]
    keyframes = {0, 40, 240}
    times = decode_times(order, keyframes)
    ahead = {time: time - dts for time, dts in zip(order, times, strict=True)}
    assert ahead[0] == max(ahead[time] for time in keyframes) > 10
    assert times[2:] == decode_times(order)[2:]


def test_the_lead_of_keyframes_in_shuffled_videos() -> None:
    rng = random.Random(4)
    for _ in range(50):
        shown = list(accumulate(rng.randint(60, 250) for _ in range(60)))
        groups = [shown[at : at + 6] for at in range(0, 60, 6)]
        order = [t for group in groups for t in (group[0], *rng.sample(group[1:], 5))]
        keyframes = {group[0] for group in groups}
        times = decode_times(order, keyframes)
        assert all(a < b for a, b in pairwise(times))
        ahead = [t - dts for t, dts in zip(order, times, strict=True) if t in keyframes]
        assert all(dts <= t for t, dts in zip(order, times, strict=True))
        assert ahead[0] == max(ahead)


def test_frames_decoded_before_the_first_is_shown_lead_no_less() -> None:
    order = [128, 288, 208, 168, 248, 448, 368, 328, 408, 660, 700]
    times = decode_times(order, {128, 660})
    lead = order[0] - times[0]
    assert lead > order[0]  # it is decoded before zero, as is the next one
    assert order[1] - times[1] >= lead
    assert times[0] < times[1] < times[2]


def test_a_pause_before_a_keyframe_is_no_lead() -> None:
    order = [0, 30, 10, 20, 40, 70, 50, 60, 3600000, 3600030, 3600010, 3600020]
    assert decode_times(order, {0, 40, 3600000}) == decode_times(order)


def test_at_a_constant_rate_keyframes_change_nothing() -> None:
    order = [0, 30, 10, 20, 40, 70, 50, 60]
    assert decode_times(order, {0, 40}) == decode_times(order)
