"""Measure where the time of a run goes: seconds of CPU by stage, of this process and its workers.

What a worker measured comes back with the task's result. So it works wherever tasks run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic

from facepipe.datatypes.stages import StageClock, StageTimes, current_clock
from facepipe.workers.base import Check, Executor, Outcome, Result, Task, TaskFunction

Progress = Callable[[int], None]


@dataclass(frozen=True)
class Measured(Generic[Result]):
    """The result of a task, and the seconds that it took by stage."""

    result: Result
    times: StageTimes


class MeasuredFunction(Generic[Task, Result]):
    """A task function whose result brings its times with it.

    In a process that measures itself already they are counted there, and come back empty.
    """

    def __init__(self, function: TaskFunction[Task, Result]) -> None:
        self.function = function
        self.__name__ = function.__name__

    def __call__(self, task: Task, progress: Progress) -> Measured[Result]:
        clock, times = current_clock(), StageTimes()
        wall, thread = time.perf_counter(), time.thread_time()
        if clock is None:
            with StageClock(times):
                result = self.function(task, progress)
        else:
            result = self.function(task, progress)
        worked = time.thread_time() - thread
        counted = times if clock is None else clock.times
        counted.add({"waiting": max(time.perf_counter() - wall - worked, 0.0)})
        return Measured(result, times)


def run_tasks(
    executor: Executor,
    function: TaskFunction[Task, Result],
    tasks: Sequence[Task],
    *,
    progress: Progress,
    check: Check | None = None,
) -> Iterator[Outcome[Result]]:
    """As Executor.map; where this context is measured, so are the tasks, wherever they run."""
    clock = current_clock()
    if clock is None:
        yield from executor.map(function, tasks, progress=progress, check=check)
        return

    def check_result(measured: Any, thorough: bool) -> None:
        if check is not None:
            check(measured.result, thorough)

    measured = MeasuredFunction(function)
    for outcome in executor.map(measured, tasks, progress=progress, check=check_result):
        if outcome.result is None:
            yield Outcome(outcome.number, None, outcome.error)
        else:
            clock.times.add(outcome.result.times.seconds)
            yield Outcome(outcome.number, outcome.result.result)
