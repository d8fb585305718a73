"""Seconds of CPU by stage: nested stages count once, and nothing is measured unasked."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from facepipe.datatypes.stages import (
    STAGES,
    StageClock,
    StageTimes,
    current_clock,
    measured,
    others_are,
    seconds_so_far,
    stage,
    staged,
)


class Machine:
    """CPU clocks of a thread and of its process that go on by what is worked."""

    def __init__(self) -> None:
        self.thread = self.others = 0.0

    def thread_time(self) -> float:
        return self.thread

    def process_time(self) -> float:
        return self.thread + self.others


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine()
    monkeypatch.setattr(time, "thread_time", made.thread_time)
    monkeypatch.setattr(time, "process_time", made.process_time)
    return made


def test_a_stage_within_another_one_counts_for_itself_alone(machine: Machine) -> None:
    with measured(on=True):
        machine.thread += 1
        with stage("crop"):
            machine.thread += 2
            with stage("fusion"):
                machine.thread += 4
            machine.thread += 8
        assert seconds_so_far() == {"crop": 10, "fusion": 4, "other": 1}


def test_an_item_counts_for_the_stage_that_makes_it(machine: Machine) -> None:
    def frames() -> Iterator[int]:
        for number in range(3):
            machine.thread += 1
            yield number

    with measured(on=True), stage("encode"):
        for _ in staged("decode", frames()):
            machine.thread += 5
        assert seconds_so_far() == {"decode": 3, "encode": 15, "other": 0}


def test_what_other_threads_do_counts_for_the_encoder_while_it_works(machine: Machine) -> None:
    with measured(on=True):
        machine.others += 1
        with others_are("encode"):
            machine.others += 2
        machine.others += 4
        assert seconds_so_far() == {"encode": 2, "other": 5}


def test_an_error_ends_its_stage(machine: Machine) -> None:
    def fail() -> None:
        with stage("crop"):
            machine.thread += 1
            raise ValueError("so")

    with measured(on=True):
        with pytest.raises(ValueError, match="so"):
            fail()
        machine.thread += 2
        assert seconds_so_far() == {"crop": 1, "other": 2}


def test_nothing_is_measured_unasked_nor_in_other_threads() -> None:
    with measured(on=False):
        assert current_clock() is None
        assert seconds_so_far() is None
        with stage("crop"):
            assert list(staged("decode", [1, 2])) == [1, 2]
    seen = []
    with measured(on=True):
        thread = threading.Thread(target=lambda: seen.append(current_clock()))
        thread.start()
        thread.join()
        assert current_clock() is not None
    assert seen == [None]
    assert current_clock() is None


def test_all_work_of_a_thread_is_in_some_stage() -> None:
    times = StageTimes()
    before = time.thread_time()
    with StageClock(times):
        for name in ("crop", "paste"):
            with stage(name):  # type: ignore[arg-type]
                sum(range(200_000))
    took = time.thread_time() - before
    assert set(times.seconds) <= set(STAGES)
    assert 0 < sum(times.seconds[name] for name in ("crop", "paste")) <= took
