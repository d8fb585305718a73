"""The Ray executor: actors that keep the networks loaded, on all nodes of a cluster."""

from __future__ import annotations

import logging
import os
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self, runtime_checkable

import ray
from ray.exceptions import RayError, RayTaskError

from facepipe._system.clock import RunningClock
from facepipe._system.files import write_bytes
from facepipe.errors import UsageError, WorkerError
from facepipe.workers.base import TaskFunction
from facepipe.workers.dispatch import STALLED_SECONDS, EngineExecutor, WorkerLost
from facepipe.workers.ray_files import FileServer
from facepipe.workers.ray_metrics import TaskMetrics
from facepipe.workers.resources import LONGEST_SOCKET_FOLDER, return_memory, worker_bytes

#: Seconds after which the cluster's size is asked for again.
_COUNT_SECONDS = 5.0
#: Seconds to wait for the answer of an idle worker.
_ANSWER_SECONDS = 2.0
#: Seconds in which the cluster's port must accept a connection.
_CONNECT_SECONDS = 10.0
#: Seconds in which the first worker must have started, and after which it is looked for again.
_START_SECONDS, _POLL_SECONDS = 120.0, 0.5


@runtime_checkable
class RemoteTask(Protocol):
    """A task that also runs on machines which see neither its source nor its target."""

    @property
    def output_folder(self) -> Path | None:
        """The folder that it writes to; None where it writes nothing."""
        ...

    def for_remote(self, address: Callable[[str], str], folder: Path) -> Self:
        """The task for a machine that reads sources at addresses and writes to `folder`."""
        ...


class RayExecutor(EngineExecutor):
    """Runs tasks on a Ray cluster, one for each processor that it has, or `workers` at most.

    `address` is `auto` (the cluster that this machine belongs to), `local` (one that is started
    here and ends with this executor), or HOST:PORT. `shared`: workers see the same files under the
    same paths; otherwise the compressed bytes that they read and write travel. Each worker reserves
    a processor, the memory of `worker_bytes()`, and `gpus` of a GPU, which may be a fraction. Tasks
    that lose their worker or its node are tried elsewhere.
    Raises UsageError where there is no such cluster, WorkerError where it has no room.
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
    ) -> None:
        self._connected_here = not ray.is_initialized()
        if self._connected_here:
            _connect(address, workers)
        engine = ActorEngine(workers, gpus, None if shared else FileServer())
        super().__init__(engine, patience)
        try:
            self.workers = engine.wait_for_first(_START_SECONDS)
        except WorkerError:
            self.close()
            raise

    def close(self) -> None:
        """End all workers, and the cluster if it was started here."""
        super().close()
        if self._connected_here:
            ray.shutdown()


def _connect(address: str, workers: int | None) -> None:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is reported to anyone
    options: dict[str, Any] = {"logging_level": logging.WARNING, "log_to_driver": False}
    if address == "local":
        options |= {"num_cpus": workers, "include_dashboard": False}
        options |= {"_temp_dir": folder} if (folder := _short_folder()) else {}
    try:
        if address not in ("auto", "local"):
            _check_port(address)  # Ray itself would wait for minutes
        ray.init(address, **options)
    except (ConnectionError, ValueError, RuntimeError, OSError) as error:
        first = str(error).strip().splitlines()[0]
        raise UsageError(
            f"--ray {address}: no cluster answers there ({first}); allowed are local, auto on a "
            "machine of a cluster, or HOST:PORT"
        ) from error


def _short_folder() -> str | None:
    """A folder for Ray's sockets where its usual one is too long for them; None: it is not.

    Errors: UsageError where there is no other one.
    """
    usual = os.environ.get("RAY_TMPDIR") or tempfile.gettempdir()
    if len(os.fsencode(os.path.realpath(usual))) <= LONGEST_SOCKET_FOLDER:
        return None
    for other in ("/tmp", "/var/tmp", "/dev/shm"):
        if os.access(other, os.W_OK | os.X_OK):
            return f"{other}/ray"
    raise UsageError(
        f"--ray local: {usual} is too long for Ray, whose sockets' names have at most 107 bytes; "
        f"set RAY_TMPDIR to a folder of {LONGEST_SOCKET_FOLDER} bytes at most"
    )


def _check_port(address: str) -> None:
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=_CONNECT_SECONDS):
        pass


class _Worker:
    """An actor: it runs one task at a time and answers how many frames it has done."""

    def __init__(self, file_server: FileServer | None) -> None:
        self._file_server = file_server
        self._frames = 0
        self._metrics = TaskMetrics()
        if file_server is not None:
            file_server.connect()

    def ready(self) -> str:
        return str(ray.get_runtime_context().get_node_id())

    def frames(self) -> int:
        """All frames done so far, over all tasks."""
        return self._frames

    def work(self, function: TaskFunction[Any, Any], task: Any) -> tuple[Any, dict[str, bytes]]:
        """The task's result, and the files that it wrote by name, where they must be sent back."""

        def progress(frames: int) -> None:
            self._frames += frames

        try:
            with self._metrics.measure(function.__name__) as measured:
                if self._file_server is None or not isinstance(task, RemoteTask):
                    measured.result = function(task, progress)
                    return measured.result, {}
                with tempfile.TemporaryDirectory(prefix="facepipe-") as folder:
                    remote = task.for_remote(self._file_server.address, Path(folder))
                    measured.result = function(remote, progress)
                    files = sorted(path for path in Path(folder).rglob("*") if path.is_file())
                    return measured.result, {
                        path.relative_to(folder).as_posix(): path.read_bytes() for path in files
                    }
        finally:
            return_memory()


@dataclass(eq=False)
class _Actor:
    """A worker: Ray's handle, and the frames that it has reported."""

    handle: Any
    frames: int = 0


@dataclass(eq=False)
class _Busy:
    """A task on its actor."""

    actor: _Actor
    reference: Any
    output_folder: Path | None
    asked: Any = None  # the answer to how many frames it has done, under way


class ActorEngine:
    """Actors of a Ray cluster: as many as it holds, replaced as they are lost."""

    max_lost_workers = 8

    def __init__(
        self, max_workers: int | None, gpus: float, file_server: FileServer | None
    ) -> None:
        self._max_workers = max_workers
        self._file_server = file_server
        self._gpus = gpus
        actor: Any = ray.remote(_Worker)
        self._make = actor.options(
            num_cpus=1,
            num_gpus=gpus,
            memory=worker_bytes(),
            max_concurrency=2,  # it answers how many frames it has done while it works
            max_restarts=0,
            scheduling_strategy="SPREAD",
        )
        self._starting: dict[Any, _Actor] = {}
        self._idle: list[_Actor] = []
        self._busy: set[_Busy] = set()
        self._last_count = 0.0
        self._lock = threading.Lock()
        self._closed = False

    def wait_for_first(self, seconds: float) -> int:
        """Wait until a worker is ready; how many there will be."""
        self._start_actors()
        clock = RunningClock()
        while self._starting and not self._idle and clock.seconds() < seconds:
            ray.wait(list(self._starting), timeout=_POLL_SECONDS)
            self._collect_started()
        if not self._idle:
            needed = f"a processor and {worker_bytes() >> 20} MiB of memory"
            needed += f" and {self._gpus:g} of a GPU" if self._gpus else ""
            raise WorkerError(f"the cluster gave no worker in {seconds:g} s: each needs {needed}")
        return len(self._idle) + len(self._starting)

    def begin(self, function: TaskFunction[Any, Any], task: Any) -> _Busy | None:
        """Start a task on an idle actor; see Engine."""
        with self._lock:
            if self._closed:
                raise WorkerError("the workers were ended")
            if time.monotonic() - self._last_count > _COUNT_SECONDS:
                self._start_actors()
            self._collect_started()
            if not self._idle:
                return None
            actor = self._idle.pop(0)
            output_folder = task.output_folder if isinstance(task, RemoteTask) else None
            handle = _Busy(actor, actor.handle.work.remote(function, task), output_folder)
            self._busy.add(handle)
            return handle

    def ended(self, handles: Sequence[_Busy], seconds: float) -> Sequence[_Busy]:
        """Those that have ended; see Engine."""
        references = [handle.reference for handle in handles]
        done, _ = ray.wait(references, num_returns=len(references), timeout=0, fetch_local=False)
        if not done:
            done, _ = ray.wait(references, timeout=seconds, fetch_local=False)
        return [handle for handle in handles if handle.reference in done]

    def frames(self, handle: _Busy) -> int:
        """Frames done since the last call, as far as the actor has answered; see Engine."""
        ended, _ = ray.wait([handle.reference], timeout=0, fetch_local=False)
        if handle.asked is None:
            handle.asked = handle.actor.handle.frames.remote()
        # The last frames of an ended task are waited for: its actor has nothing else to do.
        answered, _ = ray.wait([handle.asked], timeout=_ANSWER_SECONDS if ended else 0)
        if not answered:
            return 0
        handle.asked = None
        try:
            now = int(ray.get(answered[0]))
        except RayError:  # it is gone; `result` will say so
            return 0
        before, handle.actor.frames = handle.actor.frames, now
        return now - before

    def result(self, handle: _Busy) -> Any:
        """What the task returned or raised, once its files are written here; see Engine."""
        lost = True
        try:
            result, files = ray.get(handle.reference)
            lost = False
        except RayTaskError as error:
            lost = False
            raise error.cause if isinstance(error.cause, Exception) else error from None
        except RayError as error:
            raise WorkerLost(f"a worker or its node was lost ({type(error).__name__})") from error
        finally:
            with self._lock:
                self._busy.discard(handle)
                if lost:
                    ray.kill(handle.actor.handle)
                    self._last_count = 0.0
                else:
                    self._idle.append(handle.actor)
        for name, content in files.items():
            assert handle.output_folder is not None
            write_bytes(content, handle.output_folder / name)
        return result

    def abandon(self, handle: _Busy) -> None:
        """Kill the actor; see Engine."""
        ray.kill(handle.actor.handle)

    def close(self) -> None:
        """End all actors, idle or not."""
        with self._lock:
            self._closed = True
            busy = [handle.actor for handle in self._busy]
            for actor in (*self._idle, *self._starting.values(), *busy):
                ray.kill(actor.handle)
            self._idle, self._starting = [], {}

    def _start_actors(self) -> None:
        """Ask for as many actors as the cluster has room for."""
        self._last_count = time.monotonic()
        resources = ray.cluster_resources()  # type: ignore[no-untyped-call]
        room = min(int(resources.get("CPU", 0)), int(resources.get("memory", 0) // worker_bytes()))
        if self._gpus:
            room = min(room, int(resources.get("GPU", 0) / self._gpus))
        # One at least, even where there is no room yet: an autoscaler answers to what is asked.
        wanted = self._max_workers or max(room, 1)
        for _ in range(wanted - len(self._busy) - len(self._idle) - len(self._starting)):
            actor = _Actor(self._make.remote(self._file_server))
            self._starting[actor.handle.ready.remote()] = actor

    def _collect_started(self) -> None:
        """Move actors that have started to the idle ones, and drop those that could not start."""
        if not self._starting:
            return
        starting = list(self._starting)
        ready, _ = ray.wait(starting, num_returns=len(starting), timeout=0)
        for reference in ready:
            actor = self._starting.pop(reference)
            try:
                ray.get(reference)
            except RayError:
                continue
            self._idle.append(actor)
