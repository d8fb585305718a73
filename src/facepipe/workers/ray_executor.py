"""The Ray executor: actors that keep the networks loaded, on all nodes of a cluster."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence

import ray

from facepipe.errors import NoWorkersError
from facepipe.workers.base import Check, Outcome, Result, Task, TaskFunction, Trial
from facepipe.workers.dispatch import STALLED_SECONDS, dispatch
from facepipe.workers.nodes import NodeRecords
from facepipe.workers.ray_connection import HeadWatch, connect, disconnect
from facepipe.workers.ray_engine import ActorEngine
from facepipe.workers.ray_files import FileServer
from facepipe.workers.ray_pool import WorkerPool, needed_by_worker

#: Seconds in which the first worker must have started.
_START_SECONDS = 120.0


class RayExecutor:
    """Runs tasks on a Ray cluster, one for each processor that it has, or `workers` at most.

    `address` is `auto` (the cluster that this machine belongs to), `local` (one that is started
    here and ends with this executor), or HOST:PORT. `shared`: workers see the same files under the
    same paths; otherwise the compressed bytes that they read and write travel. Each worker reserves
    a processor, the memory of `worker_bytes()`, and `gpus` of a GPU, which may be a fraction. Tasks
    that lose their worker or its node are tried elsewhere, and so are those that fail. `notify` is
    given a line for each node that fails and for each that is set aside.

    The cluster is joined by `start`, which raises UsageError where there is no such cluster, and
    NoWorkersError where it has no room or no node is fit.
    """

    here = False

    def __init__(
        self,
        address: str = "auto",
        *,
        workers: int | None = None,
        gpus: float = 0.0,
        shared: bool = False,
        patience: float = STALLED_SECONDS,
        notify: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.shared = shared
        self.records = NodeRecords(notify)
        self._address, self._most, self._gpus = address, workers, gpus
        self._patience = patience
        self._connected_here = False
        self._pool: WorkerPool | None = None
        self._engine: ActorEngine | None = None
        self._watch: HeadWatch | None = None
        self._starting = threading.Lock()
        self._stopped = False

    def __enter__(self) -> RayExecutor:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def workers(self) -> int:
        """Workers that there are now, those included that are just starting."""
        return self._pool.size if self._pool else self._most or 1

    def start(self, trial: Trial | None = None) -> None:
        """Join the cluster and wait for the first worker; see Executor."""
        with self._starting:
            if self._stopped:
                raise NoWorkersError("the workers were ended")
            if self._pool is not None:
                return
            if not ray.is_initialized():
                self._connected_here = True
                connect(self._address, self._most)
            self._pool = WorkerPool(
                most=self._most,
                needed=needed_by_worker(self._gpus),
                file_server=None if self.shared else FileServer(),
                trial=trial,
                records=self.records,
            )
            self._engine = ActorEngine(self._pool)
            self._watch = HeadWatch(self._lose_head)
        try:
            self._pool.wait_for_first(_START_SECONDS)
        except BaseException:
            self.close()
            raise

    def map(
        self,
        function: TaskFunction[Task, Result],
        tasks: Sequence[Task],
        *,
        progress: Callable[[int], None],
        check: Check | None = None,
    ) -> Iterator[Outcome[Result]]:
        """Run `function` on every task; see Executor and `dispatch`."""
        if not tasks:
            return
        self.start()
        assert self._engine is not None
        yield from dispatch(
            self._engine,
            function,
            tasks,
            progress=progress,
            check=check,
            patience=self._patience,
        )

    def stop(self) -> None:
        """End all workers; see Executor."""
        self._stopped = True
        if self._pool is not None:
            reason = NoWorkersError("the workers were ended")
            there = self._watch is not None and self._watch.is_there()
            self._pool.end(reason, head_is_there=there)

    def close(self) -> None:
        """End all workers, and the cluster if it was started here."""
        self.stop()
        if self._watch is not None:
            self._watch.stop()
        if self._pool is not None:
            self._pool.join()
        if self._connected_here:
            self._connected_here = False
            disconnect()

    def _lose_head(self, reason: str) -> None:
        if self._pool is not None:
            self._pool.end(NoWorkersError(reason), head_is_there=False)
