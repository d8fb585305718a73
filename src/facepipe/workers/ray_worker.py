"""The worker on a Ray node. It travels by value, as the node may have no facepipe, or another one.

Only the standard library and Ray may be imported here at once.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import pickle
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ray

#: Seconds between two reports of frames.
_REPORT_SECONDS = 0.5


def package_digest(folder: Path) -> str:
    """SHA-256 of a package's files, code and weights, with their names."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        hidden = any(part.startswith(".") or part == "__pycache__" for part in inside.parts)
        if not hidden and path.is_file():
            digest.update(f"{inside.as_posix()}\0{path.stat().st_size}\0".encode())
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


class FacepipeWorker:
    """An actor that runs one task at a time and reports while it does."""

    def __init__(self) -> None:
        self._file_server: Any = None
        self._trial: Any = None
        self._metrics: Any = None

    def greet(self) -> dict[str, str]:
        """Which facepipe this worker has, or why none; fails at nothing."""
        host = socket.gethostname()
        try:
            package = importlib.import_module("facepipe")
            folder = Path(str(package.__file__)).parent
            version, digest = str(package.__version__), package_digest(folder)
            return {"host": host, "version": version, "digest": digest}
        except BaseException as error:  # whatever an installation raises
            return {"host": host, "error": f"{type(error).__name__}: {error}"}

    def equip(self, file_server: Any, trial: Any) -> Any:
        """Prepare for tasks, and run the trial: what its function returned."""
        metrics = importlib.import_module("facepipe.workers.ray_metrics")
        self._metrics = metrics.TaskMetrics()
        self._file_server, self._trial = file_server, trial
        if file_server is not None:
            file_server.connect()
        return self._try()

    def leave(self) -> None:
        """End this process at once, also where nobody is left who would."""
        os._exit(0)

    def work(self, function: Any, task: Any) -> Iterator[tuple[str, Any, Any]]:
        """Run a task: begun, frames done since, and at last what came of it.

        That is ("done", result, files by name) or ("failed", error, why the worker is not fit).
        """
        yield "begun", None, None
        frames, ended = _Counter(), threading.Event()
        last: list[tuple[str, Any, Any]] = []

        def run() -> None:
            try:
                with self._metrics.measure(function.__name__) as measured:
                    measured.result, files = self._run(function, task, frames.add)
                last.append(("done", measured.result, files))
            except BaseException as error:  # which travels, with what became of this worker
                last.append(("failed", _portable(error), self._unfit()))
            finally:
                ended.set()

        threading.Thread(target=run, daemon=True, name="task").start()
        while not ended.wait(_REPORT_SECONDS):
            if done := frames.take():
                yield "frames", done, None
        if done := frames.take():
            yield "frames", done, None
        yield last[0]

    def _run(
        self, function: Any, task: Any, progress: Callable[[int], None]
    ) -> tuple[Any, dict[str, bytes]]:
        """The task's result, and the files that it wrote by name, where they must be sent back."""
        resources = importlib.import_module("facepipe.workers.resources")
        try:
            if self._file_server is None or not hasattr(task, "for_remote"):
                return function(task, progress), {}
            with tempfile.TemporaryDirectory(prefix="facepipe-") as folder:
                remote = task.for_remote(self._file_server.address, Path(folder))
                result = function(remote, progress)
                files = sorted(path for path in Path(folder).rglob("*") if path.is_file())
                return result, {
                    path.relative_to(folder).as_posix(): path.read_bytes() for path in files
                }
        finally:
            resources.return_memory()

    def _try(self) -> Any:
        """What the function of the trial returned; None: there is no trial."""
        if self._trial is None:
            return None
        function, task = self._trial
        return self._run(function, task, lambda _: None)[0]

    def _unfit(self) -> Any:
        """Run the trial again: why this worker fails it, or what it returned."""
        try:
            return "passed", self._try()
        except BaseException as error:  # the worker or its node is to blame
            return "unfit", _portable(error)


class _Counter:
    """Frames done since they were last taken."""

    def __init__(self) -> None:
        self._frames = 0
        self._lock = threading.Lock()

    def add(self, frames: int) -> None:
        with self._lock:
            self._frames += frames

    def take(self) -> int:
        with self._lock:
            frames, self._frames = self._frames, 0
        return frames


def _portable(error: BaseException) -> BaseException:
    """The error, or one that says the same where it cannot travel."""
    try:
        pickle.loads(ray.cloudpickle.dumps(error))  # type: ignore[no-untyped-call]
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error
