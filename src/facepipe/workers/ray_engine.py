"""Tasks on a Ray cluster's workers: each reports while it works, and its result at the end."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from facepipe._system.files import write_bytes
from facepipe.errors import reason_of
from facepipe.workers.base import Check, RemoteTask, TaskFunction
from facepipe.workers.dispatch import NodeFault, WorkerLost
from facepipe.workers.ray_pool import Worker, WorkerPool

#: Seconds in which a worker that is there delivers what it has reported.
_FETCH_SECONDS = 120.0
#: Of the results of a node the first is looked at by its content, and one of so many.
_SAMPLE = 16


@dataclass(eq=False)
class Running:
    """A task on its worker, and what that has reported."""

    worker: Worker
    reports: Any  # Ray's generator of them
    output_folder: Path | None
    begun: bool = False
    frames: int = 0  # not asked for yet
    last: tuple[str, Any, Any] | None = None
    error: Exception | None = None  # of Ray, or what kept the task from beginning


class ActorEngine:
    """Runs tasks on the workers of a pool; see Engine."""

    max_lost_workers = 8

    def __init__(self, pool: WorkerPool) -> None:
        self._pool = pool
        self._lock = threading.Lock()
        self._results: dict[str, int] = {}  # of each node

    def begin(
        self, function: TaskFunction[Any, Any], task: Any, avoid: frozenset[str] = frozenset()
    ) -> Running | None:
        """Start a task on an idle worker; see Engine."""
        worker = self._pool.take(avoid)
        if worker is None:
            return None
        try:
            work = worker.handle.work.options(num_returns="streaming")
            reports = work.remote(function, task)
        except BaseException:
            self._pool.discard(worker)
            raise
        output_folder = task.output_folder if isinstance(task, RemoteTask) else None
        return Running(worker, reports, output_folder)

    def ended(self, handles: Sequence[Running], seconds: float) -> Sequence[Running]:
        """Those that have ended; see Engine."""
        by_reports = {handle.reports: handle for handle in handles}
        ready, _ = ray.wait(
            list(by_reports), num_returns=len(by_reports), timeout=0, fetch_local=False
        )
        if not ready:
            ready, _ = ray.wait(list(by_reports), timeout=seconds, fetch_local=False)
        for reports in ready:
            _read(by_reports[reports])
        return [handle for handle in handles if handle.last or handle.error]

    def frames(self, handle: Running) -> int:
        """Frames reported since the last call; see Engine."""
        frames, handle.frames = handle.frames, 0
        return frames

    def node(self, handle: Running) -> str:
        """The id of the node; see Engine."""
        return handle.worker.node.id

    def others(self, nodes: frozenset[str]) -> bool:
        """Whether there are workers elsewhere; see Engine."""
        return self._pool.others(nodes)

    def blame(self, node: str, error: BaseException) -> None:
        """Count a failure of a node; see Engine."""
        self._pool.records.failed(node, reason_of(error))

    def result(self, handle: Running, check: Check | None = None) -> Any:
        """What the task returned, once its files are here and it was looked at; see Engine."""
        worker, whole = handle.worker, False
        try:
            result = self._result(handle, check)
            whole = True
            return result
        except (WorkerLost, NodeFault):
            raise
        except Exception:  # the task's own; its worker has passed the trial again
            whole = True
            raise
        finally:
            (self._pool.give_back if whole else self._pool.discard)(worker)

    def abandon(self, handle: Running) -> None:
        """Kill the worker; see Engine."""
        self._pool.discard(handle.worker)

    def close(self) -> None:
        """Nothing: the pool is ended by its executor; see Engine."""

    def _result(self, handle: Running, check: Check | None) -> Any:
        node = handle.worker.node.id
        if handle.last is None:
            raise self._lost(handle)
        kind, value, more = handle.last
        if kind == "failed":
            self._raise_if_unfit(handle, more)
            raise value
        for name, content in more.items():
            assert handle.output_folder is not None
            write_bytes(content, handle.output_folder / name)
        if check is not None:
            try:
                check(value, self._is_sample(node))
            except Exception as error:  # the node has told what is not so
                self._pool.records.failed(node, reason_of(error))
                raise NodeFault(f"{handle.worker.node.name}: {reason_of(error)}") from error
        self._pool.records.done(node)
        return value

    def _lost(self, handle: Running) -> Exception:
        """Why there is no result: a lost worker, or a task that the worker could not read."""
        worker, error = handle.worker, handle.error
        if isinstance(error, RayTaskError):  # raised before the task began: by its arguments
            cause = error.cause if isinstance(error.cause, Exception) else error
            self._pool.records.failed(worker.node.id, reason_of(cause))
            return NodeFault(f"{worker.node.name}: {reason_of(cause)}")
        reason = f"a worker or its node was lost ({type(error).__name__}, {worker.node.name})"
        begun = handle.begun and not worker.killed and self._pool.is_there(worker.node)
        if begun:
            self._pool.records.lost(worker.node.id, reason)
        return WorkerLost(reason, begun=begun)

    def _raise_if_unfit(self, handle: Running, verdict: Any) -> None:
        """Raise NodeFault where the worker did not pass its trial after its task failed."""
        if verdict is None:
            return
        kind, answer = verdict
        node = handle.worker.node.id
        reason = reason_of(answer) if kind == "unfit" else self._pool.unfit(node, answer)
        if reason is not None:
            self._pool.records.failed(node, reason)
            raise NodeFault(f"{handle.worker.node.name}: {reason}")

    def _is_sample(self, node: str) -> bool:
        with self._lock:
            number = self._results.get(node, 0)
            self._results[node] = number + 1
        return number % _SAMPLE == 0


def _read(handle: Running) -> None:
    """Read the next report of a running task."""
    try:
        kind, value, more = ray.get(next(handle.reports), timeout=_FETCH_SECONDS)
    except StopIteration:  # it ended without a last word
        handle.error = WorkerLost("a worker ended in the midst of its task")
    except RayError as error:
        handle.error = error
    else:
        handle.begun = True
        if kind == "frames":
            handle.frames += value
        elif kind != "begun":
            handle.last = kind, value, more
