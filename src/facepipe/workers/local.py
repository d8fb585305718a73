"""The local executor: one process a worker, or this process itself where one is enough."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, MutableSequence, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    CancelledError,
    Future,
    ProcessPoolExecutor,
    wait,
)
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.sharedctypes import RawArray
from typing import Any

from facepipe.errors import FacepipeError, NoWorkersError, WorkerError, reason_of
from facepipe.workers.base import Check, Outcome, Result, Task, TaskFunction, Trial
from facepipe.workers.dispatch import ATTEMPTS, STALLED_SECONDS, EngineExecutor, WorkerLost
from facepipe.workers.forkserver import contexts
from facepipe.workers.resources import has_semaphores, return_memory, usable_cores


class LocalExecutor(EngineExecutor):
    """Runs tasks in `workers` processes, started when first needed.

    One worker is this process itself, unless it is to be `isolated` in a process of its own; and
    where the system has no semaphores, there is no other. A worker that dies takes no other with
    it, and a new one takes its place. `patience`: seconds without a finished frame after which a
    worker counts as stalled.
    """

    here = True
    shared = True

    def __init__(
        self,
        workers: int | None = None,
        *,
        isolated: bool = False,
        patience: float = STALLED_SECONDS,
    ) -> None:
        alone = not has_semaphores()
        self._workers = 1 if alone else workers or usable_cores()
        self._in_process = alone or (self._workers == 1 and not isolated)
        self._one_at_a_time = threading.Lock()  # detectors and restorers are not for threads
        super().__init__(ProcessEngine(self._workers), patience)

    @property
    def workers(self) -> int:
        """How many there are."""
        return self._workers

    def start(self, trial: Trial | None = None) -> None:
        """Nothing: they are this machine, and begin when they are needed."""

    def map(
        self,
        function: TaskFunction[Task, Result],
        tasks: Sequence[Task],
        *,
        progress: Callable[[int], None],
        check: Check | None = None,
    ) -> Iterator[Outcome[Result]]:
        """Run `function` on every task, in this process or in others; see Executor."""
        if self._in_process:
            for number, task in enumerate(tasks):
                with self._one_at_a_time:
                    outcome = _run_in_process(function, number, task, progress, check)
                yield outcome
            return
        yield from super().map(function, tasks, progress=progress, check=check)


class ProcessEngine:
    """One process a worker, each in a pool of its own, so that each dies alone."""

    max_lost_workers = 2

    def __init__(self, workers: int) -> None:
        # Frames that each worker has done: written by it alone, so that no lock outlives its death.
        self._done = RawArray("q", workers)
        self._pools: list[ProcessPoolExecutor | None] = [None] * workers
        self._free = list(range(workers))
        self._lock = threading.Lock()
        self._busy: dict[Future[Any], int] = {}  # the worker of each task
        self._reported = [0] * workers  # frames of each worker that `frames` has returned
        self._closed = False

    def begin(
        self,
        function: TaskFunction[Any, Any],
        task: Any,
        avoid: frozenset[str] = frozenset(),  # noqa: ARG002
    ) -> Future[Any] | None:
        """Start a task on a free worker; see Engine."""
        with self._lock:
            if self._closed:
                raise NoWorkersError("the workers were ended")
            if not self._free:
                return None
            number = self._free.pop(0)
            self._reported[number] = int(self._done[number])
            try:
                future = self._submit(number, function, task)
            except BaseException:
                self._free.append(number)
                raise
            self._busy[future] = number
            return future

    def ended(self, handles: Sequence[Future[Any]], seconds: float) -> Sequence[Future[Any]]:
        """Those that have ended; see Engine."""
        done, _ = wait(handles, timeout=seconds, return_when=FIRST_COMPLETED)
        return [handle for handle in handles if handle in done]

    def frames(self, handle: Future[Any]) -> int:
        """Frames done since the last call; see Engine."""
        number = self._busy[handle]
        before, self._reported[number] = self._reported[number], int(self._done[number])
        return self._reported[number] - before

    def result(self, handle: Future[Any], check: Check | None = None) -> Any:
        """What the task returned or raised; see Engine."""
        try:
            result = handle.result()
            if check is not None:
                check(result, False)
            return result
        except (BrokenProcessPool, CancelledError) as error:
            with self._lock:
                self._discard_pool(self._busy[handle])
            raise WorkerLost("a worker process died (killed, or out of memory?)") from error
        finally:
            with self._lock:
                self._free.append(self._busy.pop(handle))

    def node(self, handle: Future[Any]) -> str:  # noqa: ARG002
        """This machine; see Engine."""
        return ""

    def others(self, nodes: frozenset[str]) -> bool:  # noqa: ARG002
        """There is no other machine; see Engine."""
        return False

    def blame(self, node: str, error: BaseException) -> None:
        """Nobody is to blame; see Engine."""

    def abandon(self, handle: Future[Any]) -> None:
        """Kill the worker; see Engine."""
        with self._lock:
            number = self._busy.get(handle)
            if number is not None:
                self._kill(number)

    def close(self) -> None:
        """Kill all workers and wait until they are gone."""
        with self._lock:
            self._closed = True
            for number in range(len(self._pools)):
                self._kill(number)
            for number in range(len(self._pools)):
                self._discard_pool(number)

    def _submit(self, number: int, function: TaskFunction[Any, Any], task: Any) -> Future[Any]:
        """Give a task to worker `number`, and start its process where there is none."""
        pool = self._pools[number]
        if pool is not None:
            try:
                return pool.submit(_run, function, task)
            except BrokenProcessPool:  # it died while it had nothing to do
                self._discard_pool(number)
        last_error: Exception | None = None
        for context in contexts():
            pool = self._pools[number] = ProcessPoolExecutor(
                1, mp_context=context, initializer=_start, initargs=(self._done, number)
            )
            try:
                return pool.submit(_run, function, task)
            except (BrokenProcessPool, EOFError, OSError) as error:
                self._discard_pool(number)
                last_error = error
        raise WorkerError(f"no worker process begins here: {reason_of(last_error)}") from last_error

    def _kill(self, number: int) -> None:
        """Kill a worker's process; its running task then ends as lost."""
        pool = self._pools[number]
        for process in list((pool._processes or {}).values()) if pool else ():
            process.kill()

    def _discard_pool(self, number: int) -> None:
        """Wait for a worker's end; its next task starts a new one."""
        pool, self._pools[number] = self._pools[number], None
        if pool is not None:
            pool.shutdown(wait=True, cancel_futures=True)


def _run_in_process(
    function: TaskFunction[Task, Result],
    number: int,
    task: Task,
    progress: Callable[[int], None],
    check: Check | None,
) -> Outcome[Result]:
    """Run one task here, and once more if it raises."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            result = function(task, progress)
            if check is not None:
                check(result, False)
            return Outcome(number, result)
        except Exception as error:  # whatever a task raises becomes its outcome
            if attempt == ATTEMPTS or isinstance(error, FacepipeError):
                return Outcome(number, None, error)
        finally:
            return_memory()
    raise AssertionError("unreachable")


#: Where this worker process counts its frames: the shared array and its own index in it.
_counter: list[tuple[MutableSequence[int], int]] = []


def _start(done: MutableSequence[int], number: int) -> None:
    """Set up a worker process, which counts its frames in `done[number]`."""
    # Ctrl-C reaches the whole process group; the parent alone answers it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):  # read when NumPy is first imported
        os.environ.setdefault(name, "1")
    _counter[:] = [(done, number)]
    threading.Thread(target=_exit_with_parent, daemon=True).start()


def _exit_with_parent() -> None:
    """End this worker when its parent is gone, which a kill leaves no time to end it."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _run(function: TaskFunction[Any, Result], task: Any) -> Result:
    done, number = _counter[0]

    def progress(frames: int) -> None:
        done[number] += frames

    gc.freeze()  # what is imported by now lasts as long as this process: no need to go through it
    try:
        return function(task, progress)
    finally:
        return_memory()
