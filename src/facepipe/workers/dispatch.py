"""Dispatch of tasks to workers, with retries of what fails, dies or stalls.

The same for every kind of worker; an engine says how a task is started and how it ended.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol, Self, TypeVar

from facepipe._system.clock import RunningClock
from facepipe.errors import FacepipeError, NoWorkersError, WorkersLostError
from facepipe.workers.base import Check, Outcome, Result, Task, TaskFunction

#: Attempts at a task that raises, before its error becomes the outcome.
ATTEMPTS = 2
#: Attempts that a task may lose for reasons that lie in a node for sure.
_MAX_FAULTS = 8
#: Attempts that a task may lose before it began, which is no reason to give it up: a bound all the
#: same.
_MAX_UNBEGUN = 100
#: Seconds without a finished frame after which a worker counts as stalled. Only time in which this
#: process ran counts: a run that was suspended goes on where it was.
STALLED_SECONDS = 300.0
#: Seconds before the first retry; each further one waits twice as long, up to the most.
_BACKOFF, _MOST_BACKOFF = 0.25, 30.0
_POLL_SECONDS = 0.1

log = logging.getLogger(__name__)

Handle = TypeVar("Handle")


class WorkerLost(Exception):  # noqa: N818
    """A worker ended before its task did, for a reason that is not known to lie in the task.

    `begun`: it had begun the task, and its node is still there.
    """

    def __init__(self, reason: str, *, begun: bool = True) -> None:
        super().__init__(reason)
        self.begun = begun


class NodeFault(Exception):  # noqa: N818
    """A task failed for a reason that lies in its node for sure; another node may do it."""


class Engine(Protocol[Handle]):
    """Workers of one kind. Safe to use from several threads."""

    #: How many workers a task may lose before it is given up.
    max_lost_workers: int

    def begin(
        self, function: TaskFunction[Any, Any], task: Any, avoid: frozenset[str] = frozenset()
    ) -> Handle | None:
        """Start a task, on none of the nodes `avoid` if there is another; None: not now.

        Raises NoWorkersError where none can be started any more.
        """
        ...

    def ended(self, handles: Sequence[Handle], seconds: float) -> Sequence[Handle]:
        """Those that have ended, after waiting at most `seconds` for one; there may be none."""
        ...

    def frames(self, handle: Handle) -> int:
        """Frames that a task has done since the last call."""
        ...

    def result(self, handle: Handle, check: Check | None = None) -> Any:
        """What an ended task returned; raises what it or `check` raised, WorkerLost or NodeFault.

        Frees its worker; call it once for every task.
        """
        ...

    def node(self, handle: Handle) -> str:
        """The node that a task runs on; empty for this machine."""
        ...

    def others(self, nodes: frozenset[str]) -> bool:
        """Whether there is a node besides these."""
        ...

    def blame(self, node: str, error: BaseException) -> None:
        """Count a failure of `node`: another one did the task that failed there."""
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
        check: Check | None = None,
    ) -> Iterator[Outcome[Result]]:
        """Run `function` on every task; see Executor and `dispatch`."""
        return dispatch(
            self._engine,
            function,
            tasks,
            progress=progress,
            check=check,
            patience=self._patience,
        )

    def stop(self) -> None:
        """End all workers at once; what they had not finished is lost."""
        self._engine.close()

    def close(self) -> None:
        """The same."""
        self._engine.close()


@dataclass
class _Attempts:
    """Failed attempts at one task, and when the next one is due."""

    errors: dict[str, BaseException] = field(default_factory=dict)  # the last one of each node
    raised: int = 0
    lost_workers: int = 0
    unbegun: int = 0
    faults: int = 0
    avoid: set[str] = field(default_factory=set)  # nodes on which it failed
    due: float = 0.0  # of time.monotonic()

    @property
    def count(self) -> int:
        return self.raised + self.lost_workers + self.unbegun + self.faults

    def should_retry(self, error: BaseException, node: str, engine: Engine[Any]) -> bool:
        """Note an attempt that failed on `node`; whether another one may succeed."""
        if isinstance(error, NoWorkersError):
            return False
        if isinstance(error, WorkerLost):
            self.lost_workers += error.begun
            self.unbegun += not error.begun
            retry = self.lost_workers < engine.max_lost_workers and self.unbegun < _MAX_UNBEGUN
        elif isinstance(error, NodeFault):
            self.faults += 1
            self.avoid.add(node)
            retry = self.faults < _MAX_FAULTS
        else:
            self.raised += 1
            self.errors[node] = error
            self.avoid.add(node)
            # What facepipe itself refuses (a bad option, damaged weights) is refused again, but for
            # what one node alone lacks.
            again = not isinstance(error, FacepipeError) or engine.others(frozenset(self.avoid))
            retry = self.raised < ATTEMPTS and again
        waited = 0.0 if self.count == self.unbegun == 1 else _BACKOFF * 2 ** (self.count - 1)
        self.due = time.monotonic() + min(waited, _MOST_BACKOFF)
        return retry


@dataclass
class _Running:
    """A task on a worker; `last_heartbeat` is when its last frame was reported."""

    number: int
    node: str
    last_heartbeat: float  # of a RunningClock, seconds
    stalled: bool = False


def dispatch(
    engine: Engine[Handle],
    function: TaskFunction[Task, Result],
    tasks: Sequence[Task],
    *,
    progress: Callable[[int], None],
    check: Check | None = None,
    patience: float = STALLED_SECONDS,
) -> Iterator[Outcome[Result]]:
    """Run `function` on every task, in their order as far as workers are free.

    A task that raises is tried twice, the second time on another node where there is one. One whose
    worker dies, or reports no frame for `patience` seconds, is tried as often as the engine allows.
    Each retry waits a little longer. Seconds in which this process was suspended do not count.
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
                outcome = _outcome(engine, handle, run, attempts[run.number], patience, check, ids)
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
        avoid = frozenset(attempts[number].avoid)
        handle = engine.begin(function, tasks[number], avoid)
        if handle is None and avoid:  # a worker may be free that others can have
            continue
        if handle is None:
            return
        node = engine.node(handle)
        log.info("task begun", extra=_ids(function, number, tasks[number]) | _named(node))
        waiting.remove(number)
        running[handle] = _Running(number, node, clock.seconds())


def _outcome(
    engine: Engine[Handle],
    handle: Handle,
    run: _Running,
    attempts: _Attempts,
    patience: float,
    check: Check | None,
    ids: dict[str, object],
) -> Outcome[Any] | None:
    """What became of a task whose run has ended; None: it is to be tried again."""
    try:
        outcome = Outcome(run.number, engine.result(handle, check))
    except NoWorkersError:
        raise
    except Exception as error:  # whatever a task raises becomes its outcome
        if run.stalled and isinstance(error, WorkerLost):
            error.begun = True
        retry = attempts.should_retry(error, run.node, engine)
        ids["attempt"] = attempts.count
        said = "tried again" if retry else "given up"
        log.warning("%s: %s", said, error, extra=ids | _named(run.node))
        return None if retry else Outcome(run.number, None, _final(error, run.stalled, patience))
    log.info("task done", extra=ids | _named(run.node))
    for node, earlier in attempts.errors.items():
        if node != run.node:
            engine.blame(node, earlier)
    return outcome


def _ids(function: TaskFunction[Task, Result], number: int, task: object) -> dict[str, object]:
    """How the event log names a task: stage, number, and its span where it has one."""
    ids: dict[str, object] = {"stage": function.__name__, "task": number}
    span = getattr(task, "span", None)
    return ids if span is None else ids | {"span": span.index}


def _named(node: str) -> dict[str, object]:
    return {"node": node} if node else {}


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
    """The error of an outcome: a lost worker becomes a WorkersLostError, as does a bad node."""
    if not isinstance(error, WorkerLost | NodeFault):
        return error
    if stalled:
        return WorkersLostError(f"no frame came for {patience:g} s, and so again elsewhere")
    return WorkersLostError(str(error))
