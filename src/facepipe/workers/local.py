"""This machine's executor: one process a worker, or this very process where one is enough."""

from __future__ import annotations

import ctypes
import gc
import multiprocessing
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, Protocol

import psutil

from facepipe.errors import FacepipeError, WorkerError
from facepipe.workers.executor import Outcome, Result, Task, TaskFunction

#: A task is tried this often before its error is given up to the caller.
ATTEMPTS = 2
_POLL_SECONDS = 0.2


class _FrameQueue(Protocol):
    def put(self, frames: int) -> None: ...

    def get_nowait(self) -> int: ...


def usable_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def affordable_workers(bytes_each: int) -> int:
    """As many as there are usable cores, fewer where memory does not hold so many, at least one."""
    return max(1, min(usable_cores(), free_memory() // max(bytes_each, 1)))


def free_memory() -> int:
    """Bytes that this process and its children may still take."""
    free = int(psutil.virtual_memory().available)
    group = Path("/sys/fs/cgroup")
    try:  # in a container, its own limit; "max" where there is none
        limit = int((group / "memory.max").read_text())
        free = min(free, limit - int((group / "memory.current").read_text()))
    except (OSError, ValueError):
        pass
    return max(free, 0)


class LocalExecutor:
    """Runs tasks in `workers` processes, started when first needed.

    One worker is this process itself. A worker that dies takes only its pool with it:
    what was unfinished is tried again in a new one.
    """

    def __init__(self, workers: int | None = None) -> None:
        self.workers = workers or usable_cores()
        self._pool: ProcessPoolExecutor | None = None
        self._frames: _FrameQueue | None = None

    def __enter__(self) -> LocalExecutor:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all workers at once; what they had not finished is lost."""
        if self._pool is not None:
            for process in list((self._pool._processes or {}).values()):
                process.terminate()
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None

    def map(
        self,
        function: TaskFunction[Task, Result],
        tasks: Sequence[Task],
        *,
        progress: Callable[[int], None],
    ) -> Iterator[Outcome[Result]]:
        """Run `function` on every task, each at most twice; see Executor."""
        if self.workers == 1:
            for number, task in enumerate(tasks):
                yield _here(function, number, task, progress)
            return
        yield from self._in_processes(function, tasks, progress)

    def _in_processes(
        self,
        function: TaskFunction[Task, Result],
        tasks: Sequence[Task],
        progress: Callable[[int], None],
    ) -> Iterator[Outcome[Result]]:
        attempts = [0] * len(tasks)
        waiting = list(range(len(tasks)))
        suspects: set[int] = set()  # in flight when a worker died; each is tried again alone
        running: dict[Future[Result], int] = {}
        while waiting or running:
            # Few in flight: tasks are pickled when they are handed over, not all at once.
            while waiting and len(running) < (1 if suspects else 2 * self.workers):
                number = waiting[0]
                try:
                    future = self._start().submit(_there, function, tasks[number])
                except BrokenProcessPool:  # a worker died while the caller was at work
                    if not running:
                        self.close()
                    break
                del waiting[0]
                attempts[number] += 1
                running[future] = number
            done, _ = wait(running, timeout=_POLL_SECONDS, return_when=FIRST_COMPLETED)
            self._report(progress)
            died = False
            for future in done:
                number = running.pop(future)
                error = future.exception()
                died |= isinstance(error, BrokenProcessPool)
                suspects.discard(number)
                if error is None:
                    yield Outcome(number, future.result())
                elif attempts[number] < ATTEMPTS and _worth_another_try(error):
                    waiting.insert(0, number)
                    if isinstance(error, BrokenProcessPool):
                        suspects.add(number)
                else:
                    yield Outcome(number, None, _told(error))
            if died and not running:
                self.close()
        self._report(progress)

    def _start(self) -> ProcessPoolExecutor:
        if self._pool is None:
            context = multiprocessing.get_context("spawn")
            self._frames = context.Queue()
            self._pool = ProcessPoolExecutor(
                self.workers, mp_context=context, initializer=_begin, initargs=(self._frames,)
            )
        return self._pool

    def _report(self, progress: Callable[[int], None]) -> None:
        frames = 0
        while self._frames is not None:
            try:
                frames += self._frames.get_nowait()
            except queue.Empty:
                break
        if frames:
            progress(frames)


def _worth_another_try(error: BaseException) -> bool:
    # What facepipe itself refuses (a bad option, damaged weights) is refused again.
    return not isinstance(error, FacepipeError)


def _told(error: BaseException) -> BaseException:
    if isinstance(error, BrokenProcessPool):
        return WorkerError("a worker process died (killed, or out of memory?)")
    return error


def _here(
    function: TaskFunction[Task, Result],
    number: int,
    task: Task,
    progress: Callable[[int], None],
) -> Outcome[Result]:
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return Outcome(number, function(task, progress))
        except Exception as error:  # whatever a task raises becomes its outcome
            if attempt == ATTEMPTS or not _worth_another_try(error):
                return Outcome(number, None, error)
        finally:
            _return_memory()
    raise AssertionError("unreachable")


_reported: list[_FrameQueue] = []


def _begin(frames: _FrameQueue) -> None:
    # Ctrl-C reaches the whole process group; the parent alone answers it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _reported[:] = [frames]
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Leave no worker behind when the parent is killed and can end none itself."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _there(function: TaskFunction[Any, Result], task: Any) -> Result:
    pending = 0

    def progress(frames: int) -> None:
        nonlocal pending
        pending += frames
        if pending >= 10:
            _reported[0].put(pending)
            pending = 0

    try:
        return function(task, progress)
    finally:
        _reported[0].put(pending)
        _return_memory()


def _return_memory() -> None:
    """Give the system back what the task freed.

    Containers and codecs lie in cycles, a handful of small objects with megabytes behind them: too
    few for the collector to come by itself. And glibc keeps freed blocks of every size that
    networks and codecs asked for: 18 MB a span. Other allocators give back by themselves.
    """
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
