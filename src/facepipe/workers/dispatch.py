"""Tasks handed to workers until each has an outcome: what fails, dies or stalls is tried again.

The same for every kind of worker; an engine says how a task is begun and how it ended.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol, Self, TypeVar

from facepipe.errors import FacepipeError, WorkerError
from facepipe.workers.base import Outcome, Result, Task, TaskFunction

#: A task is tried this often before the error that it raises is given up to the caller.
ATTEMPTS = 2
#: A worker that tells of no frame for so many seconds is held to hang.
STALLED_SECONDS = 300.0
#: Seconds before a task is tried again, the first time; each further time twice as many.
_BACKOFF = 0.25
_POLL_SECONDS = 0.1

log = logging.getLogger(__name__)

Handle = TypeVar("Handle")


class WorkerLost(Exception):  # noqa: N818
    """A worker ended before its task did, by no fault that the task is known to have."""


class Engine(Protocol[Handle]):
    """Workers of one kind. May be used by several threads."""

    #: How often a task may lose its worker before it is given up.
    losses: int

    def begin(self, function: TaskFunction[Any, Any], task: Any) -> Handle | None:
        """Start a task; None where no worker is free now."""
        ...

    def ended(self, handles: Sequence[Handle], seconds: float) -> Sequence[Handle]:
        """Those that have ended, after waiting for one of them so long; there may be none."""
        ...

    def frames(self, handle: Handle) -> int:
        """Frames that a running task told of since it was last asked."""
        ...

    def result(self, handle: Handle) -> Any:
        """What a task returned, once it has ended; raises what it raised, or WorkerLost.

        Frees its worker; to be called once for every task.
        """
        ...

    def abandon(self, handle: Handle) -> None:
        """End a running task's worker; its `result` is then WorkerLost."""
        ...

    def close(self) -> None:
        """End all workers; nothing more begins."""
        ...


class EngineExecutor:
    """An executor whose workers are an engine's; `patience` as in `dispatched`."""

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
        """Run `function` on every task; see Executor and `dispatched`."""
        return dispatched(self._engine, function, tasks, progress=progress, patience=self._patience)

    def close(self) -> None:
        """End all workers at once; what they had not finished is lost."""
        self._engine.close()


@dataclass
class _Attempts:
    """How often a task has failed, and when it may be tried again."""

    errors: int = 0
    losses: int = 0
    due: float = 0.0

    def again(self, error: BaseException, losses_allowed: int) -> bool:
        """Note a failure; whether another attempt may fare better."""
        if isinstance(error, WorkerLost):
            self.losses += 1
            worth = self.losses < losses_allowed
        else:
            self.errors += 1
            # What facepipe itself refuses (a bad option, damaged weights) is refused again.
            worth = self.errors < ATTEMPTS and not isinstance(error, FacepipeError)
        self.due = time.monotonic() + _BACKOFF * 2 ** (self.errors + self.losses - 1)
        return worth


@dataclass
class _Running:
    number: int
    heard: float  # when it last told of a frame
    stalled: bool = False


def dispatched(
    engine: Engine[Handle],
    function: TaskFunction[Task, Result],
    tasks: Sequence[Task],
    *,
    progress: Callable[[int], None],
    patience: float = STALLED_SECONDS,
) -> Iterator[Outcome[Result]]:
    """Run `function` on every task, in their order as far as workers are free.

    A task that raises is tried twice, one whose worker dies or tells of no frame for `patience`
    seconds as often as the engine allows, each time a little later.
    """
    waiting = list(range(len(tasks)))
    attempts = [_Attempts() for _ in tasks]
    running: dict[Handle, _Running] = {}
    try:
        while waiting or running:
            _begin_due(engine, function, tasks, waiting, attempts, running)
            if not running:
                time.sleep(_POLL_SECONDS / 4)
                continue
            ended = engine.ended(list(running), _POLL_SECONDS)
            _listen(engine, running, progress, patience)
            for handle in ended:
                run = running.pop(handle)
                try:
                    outcome = Outcome(run.number, engine.result(handle))
                    log.info("task done", extra=_ids(function, run.number, tasks[run.number]))
                except Exception as error:  # whatever a task raises becomes its outcome
                    attempt = attempts[run.number]
                    again = attempt.again(error, engine.losses)
                    told = _ids(function, run.number, tasks[run.number])
                    told["attempt"] = attempt.errors + attempt.losses
                    log.warning("%s: %s", "tried again" if again else "given up", error, extra=told)
                    if again:
                        waiting.insert(0, run.number)
                        continue
                    outcome = Outcome(run.number, None, _told(error, run.stalled, patience))
                yield outcome
    finally:
        for handle in running:
            engine.abandon(handle)
        for handle in running:
            with suppress(Exception):  # nobody asks any more how it ended
                engine.result(handle)


def _begin_due(
    engine: Engine[Handle],
    function: TaskFunction[Task, Result],
    tasks: Sequence[Task],
    waiting: list[int],
    attempts: Sequence[_Attempts],
    running: dict[Handle, _Running],
) -> None:
    now = time.monotonic()
    for number in [number for number in waiting if attempts[number].due <= now]:
        handle = engine.begin(function, tasks[number])
        if handle is None:
            return
        log.info("task begun", extra=_ids(function, number, tasks[number]))
        waiting.remove(number)
        running[handle] = _Running(number, time.monotonic())


def _ids(function: TaskFunction[Task, Result], number: int, task: object) -> dict[str, object]:
    """What the journal tells of a task; its span, where it has one."""
    told: dict[str, object] = {"stage": function.__name__, "task": number}
    span = getattr(task, "span", None)
    return told if span is None else told | {"span": span.index}


def _listen(
    engine: Engine[Handle],
    running: dict[Handle, _Running],
    progress: Callable[[int], None],
    patience: float,
) -> None:
    """Pass on what workers tell, and end those that have told nothing for too long."""
    now = time.monotonic()
    for handle, run in running.items():
        frames = engine.frames(handle)
        if frames:
            run.heard = now
            progress(frames)
        elif now - run.heard > patience and not run.stalled:
            run.stalled = True
            engine.abandon(handle)


def _told(error: BaseException, stalled: bool, patience: float) -> BaseException:
    if not isinstance(error, WorkerLost):
        return error
    if stalled:
        return WorkerError(f"no frame came for {patience:g} s, and so again elsewhere")
    return WorkerError(str(error))
