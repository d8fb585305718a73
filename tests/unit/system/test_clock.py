"""The clock that stands still while the process does."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from facepipe._system.clock import LONGEST_STEP, RunningClock

STEPS = st.lists(st.floats(0, 1e6), max_size=50)


@given(STEPS)
def test_short_steps_count_whole_and_long_ones_as_the_longest(steps: list[float]) -> None:
    now = 100.0
    clock = RunningClock(lambda: now)
    expected = 0.0
    for step in steps:
        before, now = now, now + step
        expected += min(now - before, LONGEST_STEP)
        assert clock.seconds() == expected


def test_it_goes_with_the_time() -> None:
    clock = RunningClock()
    first = clock.seconds()
    assert 0 <= first <= clock.seconds() < 60
