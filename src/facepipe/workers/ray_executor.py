"""A Ray cluster's executor: actors that hold the networks, on as many nodes as there are."""

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
from typing import Any, Protocol, Self

import ray
from ray.exceptions import RayError, RayTaskError

from facepipe._files import write_bytes
from facepipe.errors import UsageError, WorkerError
from facepipe.workers.base import TaskFunction
from facepipe.workers.dispatch import STALLED_SECONDS, EngineExecutor, WorkerLost
from facepipe.workers.ray_files import Library
from facepipe.workers.ray_metrics import Meter
from facepipe.workers.resources import return_memory

#: Seconds between looks at how many workers the cluster could hold.
_COUNT_SECONDS = 5.0
#: Seconds in which an idle worker answers.
_ANSWER_SECONDS = 2.0
#: Seconds in which a cluster must answer at all.
_KNOCK_SECONDS = 10.0
#: Seconds in which a cluster must have given the first worker.
_FIRST_SECONDS = 120.0


class Travels(Protocol):
    """A task that can be worked on where neither its source nor its target are to be seen."""

    @property
    def home(self) -> Path | None:
        """The folder that it writes to, None: it writes nothing."""
        ...

    def sent(self, address: Callable[[str], str], folder: Path) -> Self:
        """The task with its sources at their addresses, writing the same names to `folder`."""
        ...


class RayExecutor(EngineExecutor):
    """Runs tasks on a Ray cluster, one for each processor that it has, or `workers` at most.

    `address` is `auto` (the cluster that this machine belongs to), `local` (one that is started
    here and ends with this), or HOST:PORT. Without `shared`, workers see no disk of this machine:
    the compressed bytes of what they read and write travel. `gpus` is what each worker asks for, a
    fraction is allowed. Tasks that lose their worker or its node are tried elsewhere.
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
        self._started = not ray.is_initialized()
        if self._started:
            _join(address, workers)
        engine = ActorEngine(workers, gpus, None if shared else Library())
        super().__init__(engine, patience)
        try:
            self.workers = engine.wait_for_first(_FIRST_SECONDS)
        except WorkerError:
            self.close()
            raise

    def close(self) -> None:
        """End all workers, and the cluster if it was started here."""
        super().close()
        if self._started:
            ray.shutdown()


def _join(address: str, workers: int | None) -> None:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is reported to anyone
    how: dict[str, Any] = {"logging_level": logging.WARNING, "log_to_driver": False}
    if address == "local":
        how |= {"num_cpus": workers, "include_dashboard": False}
    try:
        if address not in ("auto", "local"):
            _knock(address)  # Ray itself would wait for minutes
        ray.init(address, **how)
    except (ConnectionError, ValueError, RuntimeError, OSError) as error:
        first = str(error).strip().splitlines()[0]
        raise UsageError(
            f"--ray {address}: no cluster answers there ({first}); allowed are local, auto on a "
            "machine of a cluster, or HOST:PORT"
        ) from error


def _knock(address: str) -> None:
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=_KNOCK_SECONDS):
        pass


class _Worker:
    """What an actor is: it works on one task at a time and tells how far it has come."""

    def __init__(self, library: Library | None) -> None:
        self._library = library
        self._frames = 0
        self._meter = Meter()
        if library is not None:
            library.enter()

    def ready(self) -> str:
        return str(ray.get_runtime_context().get_node_id())

    def frames(self) -> int:
        """All frames done so far, over all tasks."""
        return self._frames

    def work(self, function: TaskFunction[Any, Any], task: Any) -> tuple[Any, dict[str, bytes]]:
        """The task's result, and the files that it wrote where they have to travel home."""

        def progress(frames: int) -> None:
            self._frames += frames

        try:
            with self._meter.task(function.__name__) as told:
                if self._library is None or not hasattr(task, "sent"):
                    told.result = function(task, progress)
                    return told.result, {}
                with tempfile.TemporaryDirectory(prefix="facepipe-") as folder:
                    there = task.sent(self._library.address, Path(folder))
                    told.result = function(there, progress)
                    files = sorted(path for path in Path(folder).rglob("*") if path.is_file())
                    return told.result, {
                        path.relative_to(folder).as_posix(): path.read_bytes() for path in files
                    }
        finally:
            return_memory()


@dataclass(eq=False)
class _Actor:
    """A worker: Ray's handle, and the frames that it has told of."""

    handle: Any
    frames: int = 0


@dataclass(eq=False)
class _Busy:
    """A task on its actor."""

    actor: _Actor
    reference: Any
    home: Path | None
    asked: Any = None  # the answer to how many frames it has done, under way


class ActorEngine:
    """Actors of a Ray cluster: as many as it holds, replaced as they are lost."""

    losses = 8

    def __init__(self, most: int | None, gpus: float, library: Library | None) -> None:
        self._most = most
        self._library = library
        self._gpus = gpus
        actor: Any = ray.remote(_Worker)
        self._make = actor.options(
            num_cpus=1,
            num_gpus=gpus,
            max_concurrency=2,  # it tells of its frames while it works
            max_restarts=0,
            scheduling_strategy="SPREAD",
        )
        self._starting: dict[Any, _Actor] = {}
        self._idle: list[_Actor] = []
        self._busy: set[_Busy] = set()
        self._counted = 0.0
        self._lock = threading.Lock()
        self._closed = False

    def wait_for_first(self, seconds: float) -> int:
        """Wait until a worker is ready; how many there will be."""
        self._recruit()
        ray.wait(list(self._starting), timeout=seconds)
        self._welcome()
        if not self._idle:
            wanted = "a processor" + (f" and {self._gpus:g} of a GPU" if self._gpus else "")
            raise WorkerError(f"the cluster gave no worker in {seconds:g} s: each needs {wanted}")
        return len(self._idle) + len(self._starting)

    def begin(self, function: TaskFunction[Any, Any], task: Any) -> _Busy | None:
        """Start a task on an idle actor; see Engine."""
        with self._lock:
            if self._closed:
                raise WorkerError("the workers were ended")
            if time.monotonic() - self._counted > _COUNT_SECONDS:
                self._recruit()
            self._welcome()
            if not self._idle:
                return None
            actor = self._idle.pop(0)
            home = getattr(task, "home", None)
            handle = _Busy(actor, actor.handle.work.remote(function, task), home)
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
        """Frames done since the actor's last answer; see Engine."""
        over, _ = ray.wait([handle.reference], timeout=0, fetch_local=False)
        if handle.asked is None:
            handle.asked = handle.actor.handle.frames.remote()
        # Of a task that has ended the last frames are waited for; its actor has nothing else to do.
        answered, _ = ray.wait([handle.asked], timeout=_ANSWER_SECONDS if over else 0)
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
        """What the task returned or raised, its files brought home; see Engine."""
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
                    self._counted = 0.0
                else:
                    self._idle.append(handle.actor)
        for name, content in files.items():
            assert handle.home is not None
            write_bytes(content, handle.home / name)
        return result

    def abandon(self, handle: _Busy) -> None:
        """Kill the actor; see Engine."""
        ray.kill(handle.actor.handle)

    def close(self) -> None:
        """End all actors, whatever they are at."""
        with self._lock:
            self._closed = True
            busy = [handle.actor for handle in self._busy]
            for actor in (*self._idle, *self._starting.values(), *busy):
                ray.kill(actor.handle)
            self._idle, self._starting = [], {}

    def _recruit(self) -> None:
        """Ask for as many actors as the cluster has room for."""
        self._counted = time.monotonic()
        there = ray.cluster_resources()  # type: ignore[no-untyped-call]
        room = int(there.get("CPU", 0))
        if self._gpus:
            room = min(room, int(there.get("GPU", 0) / self._gpus))
        # One at least, even where there is no room yet: an autoscaler answers to what is asked.
        wanted = self._most or max(room, 1)
        for _ in range(wanted - len(self._busy) - len(self._idle) - len(self._starting)):
            actor = _Actor(self._make.remote(self._library))
            self._starting[actor.handle.ready.remote()] = actor

    def _welcome(self) -> None:
        """Take actors that have started among the idle, and forget those that could not."""
        if not self._starting:
            return
        begun = list(self._starting)
        ready, _ = ray.wait(begun, num_returns=len(begun), timeout=0)
        for reference in ready:
            actor = self._starting.pop(reference)
            try:
                ray.get(reference)
            except RayError:
                continue
            self._idle.append(actor)
