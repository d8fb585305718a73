"""Dispatch of tasks to workers, with retries of what fails, dies or stalls.

The same for every kind of worker; an engine says how a task is started and how it ended.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol, Self, TypeVar

from facepipe._system.clock import RunningClock
from facepipe.errors import FacepipeError, WorkerError
from facepipe.workers.base import Outcome, Result, Task, TaskFunction

#: Attempts at a task that raises, before its error becomes the outcome.
ATTEMPTS = 2
#: Seconds without a finished frame after which a worker counts as stalled. Only time in which this
#: process ran counts: a run that was suspended goes on where it was.
STALLED_SECONDS = 300.0
#: Seconds before the first retry; each further one waits twice as long.
_BACKOFF = 0.25
_POLL_SECONDS = 0.1

log = logging.getLogger(__name__)

Handle = TypeVar("Handle")


class WorkerLost(Exception):  # noqa: N818
    """A worker ended before its task did, for a reason that is not known to lie in the task."""


class Engine(Protocol[Handle]):
    """Workers of one kind. Safe to use from several threads."""

    #: How many workers a task may lose before it is given up.
    max_lost_workers: int

    def begin(self, function: TaskFunction[Any, Any], task: Any) -> Handle | None:
        """Start a task; None where no worker is free now."""
        ...

    def ended(self, handles: Sequence[Handle], seconds: float) -> Sequence[Handle]:
        """Those that have ended, after waiting at most `seconds` for one; there may be none."""
        ...

    def frames(self, handle: Handle) -> int:
        """Frames that a task has done since the last call."""
        ...

    def result(self, handle: Handle) -> Any:
        """What an ended task returned; raises what it raised, or WorkerLost.

        Frees its worker; call it once for every task.
        """
        ...

    def abandon(self, handle: Handle) -> None:
        """End a running task's worker; its `result` is then WorkerLost."""
        ...

    def close(self) -> None:
        """End all workers; no task can be started any more."""
        ...


class EngineExecutor:
    """An executor whose workers are an engine's; `patience` in seconds, see `dispatch`."""

    def __init__(self, engine: Engine[Any], patience: float) -> None:
        self._engine, self._patience = engine, patience

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def map(
        self,
        function: TaskFunction[Task, Result],
        tasks: Sequence[Task],
        *,
        progress: Callable[[int], None],
    ) -> Iterator[Outcome[Result]]:
        """Run `function` on every task; see Executor and `dispatch`."""
        return dispatch(self._engine, function, tasks, progress=progress, patience=self._patience)

    def close(self) -> None:
        """End all workers at once; what they had not finished is lost."""
        self._engine.close()


@dataclass
class _Attempts:
    """Failed attempts at one task, and when the next one is due."""

    errors: int = 0
    lost_workers: int = 0
    due: float = 0.0  # of time.monotonic()

    @property
    def count(self) -> int:
        return self.errors + self.lost_workers

    def should_retry(self, error: BaseException, max_lost_workers: int) -> bool:
        """Note a failed attempt; whether another one may succeed."""
        if isinstance(error, WorkerLost):
            self.lost_workers += 1
            retry = self.lost_workers < max_lost_workers
        else:
            self.errors += 1
            # What facepipe itself refuses (a bad option, damaged weights) is refused again.
            retry = self.errors < ATTEMPTS and not isinstance(error, FacepipeError)
        self.due = time.monotonic() + _BACKOFF * 2 ** (self.count - 1)
        return retry


@dataclass
class _Running:
    """A task on a worker; `last_heartbeat` is when its last frame was reported."""

    number: int
    last_heartbeat: float  # of a RunningClock, seconds
    stalled: bool = False


def dispatch(
    engine: Engine[Handle],
    function: TaskFunction[Task, Result],
    tasks: Sequence[Task],
    *,
    progress: Callable[[int], None],
    patience: float = STALLED_SECONDS,
) -> Iterator[Outcome[Result]]:
    """Run `function` on every task, in their order as far as workers are free.

    A task that raises is tried twice. One whose worker dies, or reports no frame for `patience`
    seconds, is tried as often as the engine allows. Each retry waits a little longer. Seconds in
    which this process was suspended do not count.
    """
    clock = RunningClock()
    waiting = list(range(len(tasks)))
    attempts = [_Attempts() for _ in tasks]
    running: dict[Handle, _Running] = {}
    try:
        while waiting or running:
            _start_due(engine, function, tasks, waiting, attempts, running, clock)
            if not running:
                time.sleep(_POLL_SECONDS / 4)
                continue
            ended = engine.ended(list(running), _POLL_SECONDS)
            _collect_progress(engine, running, progress, patience, clock.seconds())
            for handle in ended:
                run = running.pop(handle)
                ids = _ids(function, run.number, tasks[run.number])
                outcome = _outcome(engine, handle, run, attempts[run.number], patience, ids)
                if outcome is None:
                    waiting.insert(0, run.number)
                else:
                    yield outcome
    finally:
        for handle in running:
            engine.abandon(handle)
        for handle in running:
            with suppress(Exception):  # nobody asks any more how it ended
                engine.result(handle)


def _start_due(
    engine: Engine[Handle],
    function: TaskFunction[Task, Result],
    tasks: Sequence[Task],
    waiting: list[int],
    attempts: Sequence[_Attempts],
    running: dict[Handle, _Running],
    clock: RunningClock,
) -> None:
    """Start the waiting tasks that are due, as long as a worker is free."""
    now = time.monotonic()
    for number in [number for number in waiting if attempts[number].due <= now]:
        handle = engine.begin(function, tasks[number])
        if handle is None:
            return
        log.info("task begun", extra=_ids(function, number, tasks[number]))
        waiting.remove(number)
        running[handle] = _Running(number, clock.seconds())


def _outcome(
    engine: Engine[Handle],
    handle: Handle,
    run: _Running,
    attempts: _Attempts,
    patience: float,
    ids: dict[str, object],
) -> Outcome[Any] | None:
    """What became of a task whose run has ended; None: it is to be tried again."""
    try:
        outcome = Outcome(run.number, engine.result(handle))
        log.info("task done", extra=ids)
    except Exception as error:  # whatever a task raises becomes its outcome
        retry = attempts.should_retry(error, engine.max_lost_workers)
        ids["attempt"] = attempts.count
        log.warning("%s: %s", "tried again" if retry else "given up", error, extra=ids)
        return None if retry else Outcome(run.number, None, _final(error, run.stalled, patience))
    return outcome


def _ids(function: TaskFunction[Task, Result], number: int, task: object) -> dict[str, object]:
    """How the event log names a task: stage, number, and its span where it has one."""
    ids: dict[str, object] = {"stage": function.__name__, "task": number}
    span = getattr(task, "span", None)
    return ids if span is None else ids | {"span": span.index}


def _collect_progress(
    engine: Engine[Handle],
    running: dict[Handle, _Running],
    progress: Callable[[int], None],
    patience: float,
    now: float,
) -> None:
    """Report the frames that workers have done, and end workers that have stalled by `now`."""
    for handle, run in running.items():
        frames = engine.frames(handle)
        if frames:
            run.last_heartbeat = now
            progress(frames)
        elif now - run.last_heartbeat > patience and not run.stalled:
            run.stalled = True
            engine.abandon(handle)


def _final(error: BaseException, stalled: bool, patience: float) -> BaseException:
    """The error of an outcome: a lost worker becomes a WorkerError."""
    if not isinstance(error, WorkerLost):
        return error
    if stalled:
        return WorkerError(f"no frame came for {patience:g} s, and so again elsewhere")
    return WorkerError(str(error))
