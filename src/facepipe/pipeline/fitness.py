"""Fitness of a cluster's worker: device, weights, sources and the folder of results, before work.

A worker that passes makes the same results as this process would, and where this process finds
them.
"""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from facepipe._system.files import is_address, write_text
from facepipe.configs.settings import DetectSettings, RestoreSettings, Settings
from facepipe.errors import InputError, ModelError, OutputError
from facepipe.models.detectors import create_detector
from facepipe.models.registry import find_model
from facepipe.models.restorers import choose_for, contract_of
from facepipe.workers.base import Trial

#: Bytes of a source that are compared.
_PROBE_BYTES = 65536
#: Prefix of the files by which this process and the workers find each other's folder.
_PREFIX = "trial-"
#: Seconds for which a worker's file is looked for: a network disk may be slow to show it.
_SHOWN_SECONDS, _LOOK_SECONDS = 3.0, 0.1
#: Libraries whose versions may change results.
_LIBRARIES = ("av", "numpy", "opencv-python-headless", "onnxruntime", "openvino", "pyvips", "torch")


@dataclass(frozen=True)
class Probe:
    """The beginning of a source, by which a worker shows that it reads the same file."""

    path: str
    sha256: str


@dataclass(frozen=True)
class FitnessTask:
    """Show that this worker is fit. `folder`: of the results; None: they are sent back.

    `token` is the content of a file that the driver has written there. `weights` are the digests of
    the driver's.
    """

    restore: RestoreSettings
    detect: DetectSettings
    probes: tuple[Probe, ...]
    folder: Path | None
    token: str
    weights: tuple[str, ...]

    @property
    def output_folder(self) -> None:
        """It writes where the driver sees it, or nothing."""
        return

    def for_remote(self, address: Callable[[str], str], folder: Path) -> FitnessTask:  # noqa: ARG002
        """The same for a machine that reads the sources at their addresses."""
        probes = tuple(replace(probe, path=address(probe.path)) for probe in self.probes)
        return replace(self, probes=probes, folder=None)


@dataclass(frozen=True)
class Fitness:
    """What a fit worker says: the file that it wrote, what runs on what, versions of libraries."""

    written: str
    runs_on: str
    libraries: tuple[tuple[str, str], ...]


def show_fitness(task: FitnessTask, progress: Callable[[int], None]) -> Fitness:  # noqa: ARG001
    """Show that this process can do a batch's tasks.

    Errors: InputError for a source that is not the driver's, OutputError for the folder of results,
    ModelError for weights, UsageError for a device that is not there.
    """
    for probe in task.probes:
        _read_probe(probe)
    create_detector(task.detect.detector, pack=task.detect.pack, threads=1)
    runs_on = "none"
    if task.restore.restorer != "bicubic":
        model = find_model(task.restore.restorer)
        contract_of(model)
        runs_on = " on ".join(
            reversed(choose_for(model, task.restore.device, task.restore.runtime))
        )
    if _weights(task.restore) != task.weights:
        raise ModelError(f"its weights of {task.restore.restorer} are others than the driver's")
    return Fitness(_write_proof(task), runs_on, _libraries())


def trial(settings: Settings, sources: Sequence[str], folder: Path | None) -> Trial:
    """The trial of workers that are to read `sources` and, where not None, write into `folder`."""
    token = uuid.uuid4().hex
    if folder is not None:
        write_text(token, folder / f"{_PREFIX}{token}")
    probes = tuple(Probe(source, _digest(source)) for source in sources)
    weights = _weights(settings.restore)
    task = FitnessTask(settings.restore, settings.detect, probes, folder, token, weights)
    return Trial(show_fitness, task, partial(_check, folder, token, _libraries()))


@contextmanager
def cleared(folder: Path) -> Iterator[None]:
    """Remove what trials leave in a folder, before the block and after it."""
    try:
        _clear(folder)
        yield
    finally:
        _clear(folder)


def _clear(folder: Path) -> None:
    for path in folder.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            path.unlink()


def _check(
    folder: Path | None, token: str, libraries: Sequence[tuple[str, str]], shown: Fitness
) -> str | None:
    """Raise OutputError where a worker's file is not here; a note on how the worker differs."""
    if folder is not None:
        path, until = folder / shown.written, time.monotonic() + _SHOWN_SECONDS
        while not _holds(path, token):
            if time.monotonic() > until:
                raise OutputError(f"what it writes into {folder} does not arrive here")
            time.sleep(_LOOK_SECONDS)
        with suppress(OSError):
            path.unlink()
    mine = dict(libraries)
    others = [
        f"{name} {theirs} (here {mine.get(name) or 'none'})"
        for name, theirs in shown.libraries
        if theirs != mine.get(name)
    ]
    return f"results may differ a little: it has {', '.join(others)}" if others else None


def _write_proof(task: FitnessTask) -> str:
    """Read the driver's file and write another one; its name, empty where nothing is written."""
    if task.folder is None:
        return ""
    if not _holds(task.folder / f"{_PREFIX}{task.token}", task.token):
        raise OutputError(f"{task.folder} is another folder there: the driver's file is not in it")
    name = f"{_PREFIX}{task.token}-{uuid.uuid4().hex}"
    write_text(task.token, task.folder / name)
    return name


def _holds(path: Path, token: str) -> bool:
    try:
        return path.read_text(encoding="utf-8") == token
    except OSError:
        return False


def _read_probe(probe: Probe) -> None:
    if _digest(probe.path) != probe.sha256:
        raise InputError(f"{probe.path} has another content there than at the driver")


def _digest(source: str) -> str:
    """SHA-256 of a file's beginning. InputError where it cannot be read."""
    try:
        if is_address(source):
            import fsspec  # a tenth of a second, which no run on this machine needs

            with fsspec.open(source, "rb") as file:
                head = bytes(file.read(_PROBE_BYTES))
        else:
            with Path(source).open("rb") as file:
                head = file.read(_PROBE_BYTES)
    except OSError as error:
        raise InputError(f"{source}: cannot be read ({error.strerror or error})") from error
    return hashlib.sha256(head).hexdigest()


def _weights(restore: RestoreSettings) -> tuple[str, ...]:
    return () if restore.restorer == "bicubic" else tuple(find_model(restore.restorer).sha256)


def _libraries() -> tuple[tuple[str, str], ...]:
    """The versions of the libraries that may change results; empty where one is missing."""

    def found(name: str) -> str:
        try:
            return version(name)
        except PackageNotFoundError:
            return ""

    return tuple((name, found(name)) for name in _LIBRARIES)
