"""The command `doctor`: what this machine has for facepipe, found by trying it."""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from itertools import groupby
from pathlib import Path

import cv2
import typer
from packaging.requirements import Requirement

from facepipe import __version__
from facepipe._system.locks import knows_locks
from facepipe.cli.error_report import report_of_exit
from facepipe.cli.machine import note_error, note_result
from facepipe.cli.output import print_error
from facepipe.cli.streams import CLOSED
from facepipe.errors import MediaError
from facepipe.models.selftest import Fact, facts, weights
from facepipe.video.encoders.selftest import ENCODERS, Trial, devices, media_versions, try_all
from facepipe.workers.resources import (
    LONGEST_SOCKET_FOLDER,
    NO_SEMAPHORES,
    affordable_workers,
    free_memory,
    has_semaphores,
    usable_cores,
    worker_bytes,
)

#: Sections of what most machines have only a part of.
HARDWARE = ("encoders", "hardware decoders")
#: What closes a gap of the system, by the name of its row.
_REMEDIES = {
    "temporary files": "free some disk, or let TMPDIR name a folder on another one",
    "semaphores": "give the container a /dev/shm (docker run --shm-size=1g): all cores work then",
    "locks here": "work in a folder of a local disk",
    "sockets": "let TMPDIR name a folder with a shorter path",
}
#: What installs a runtime that is not here.
_EXTRA_OF_RUNTIME = {
    "onnxruntime": "onnxruntime",
    "OpenVINO": "openvino",
    "PyTorch": "'facepipe[torch]'",
}
_REINSTALL = "install facepipe again; if FACEPIPE_WEIGHTS is set, look into its folder"
_OTHER_PYAV = "pip install --force-reinstall av: other builds of PyAV may lack encoders"
#: Free disk, bytes, below which the row says no.
_LITTLE_DISK = 2**30


@dataclass(frozen=True)
class Row:
    """One thing of this machine: whether it works, and in `detail` how, or why not.

    `code` is the exit code with which `facepipe run` would end for its lack; 0: it runs without.
    `remedy` is what closes the gap where it does not work; empty where nothing has to.
    """

    section: str
    name: str
    works: bool
    detail: str
    code: int = 0
    remedy: str = ""


@dataclass(frozen=True)
class Health:
    """All rows, the exit code of a run here, and in one line why it is not 0."""

    rows: tuple[Row, ...]
    code: int
    reason: str | None


def doctor() -> Health:
    """Try what this machine has: encoders, devices, runtimes, weights, and whether run can work."""
    health = examine()
    _print_health(health)
    if health.reason is not None:
        print_error(health.reason)
        note_result(health)
        note_error(report_of_exit(health.code, health.reason))
        raise typer.Exit(health.code)
    return health


def _print_health(health: Health) -> None:
    """Print the verdict, a remedy for each gap, then all that was tried, by section."""
    rows = health.rows
    if health.reason is None:
        print("verdict: videos and photographs can be enhanced here")
    else:
        print(f"verdict: nothing can be enhanced here: {health.reason}")
    gaps = [row for row in rows if not row.works and row.remedy]
    if gaps:
        print("not here, and what brings it:")
    for row in gaps:
        print(f"  {row.section}, {row.name}: {row.remedy}")
    width = max(len(row.name) for row in rows)
    for section, members in groupby(rows, key=lambda row: row.section):
        here = list(members)
        print(f"{section}:")
        for row in here:
            if row.works or section not in HARDWARE:
                print(f"  {'yes' if row.works else 'no':3} {row.name:{width}}  {row.detail}")
        if section in HARDWARE:
            _print_absent([row for row in here if not row.works])


def _print_absent(rows: Sequence[Row]) -> None:
    """Print encoders and decoders that are not here, those of one reason in one line."""
    reasons: dict[str, list[str]] = {}
    for row in rows:
        reasons.setdefault(row.detail, []).append(row.name)
    if reasons:
        print("  not on this machine, which is no fault:")
    for reason, names in reasons.items():
        print(f"    {', '.join(names)}: {reason}")


def examine() -> Health:
    """Try what this machine has, all at once; what may crash or hang, in processes of its own."""
    parts: tuple[Callable[[], Iterator[Row]], ...] = (
        _system,
        _unusual,
        _encoders,
        _networks,
        _weights,
        _extras,
    )
    with ThreadPoolExecutor(len(parts)) as pool:
        rows = [row for part in pool.map(lambda part: list(part()), parts) for row in part]
    first = next((row for row in rows if row.code), None)
    if first is None:
        return Health(tuple(rows), 0, None)
    return Health(tuple(rows), first.code, f"{first.name}: {first.detail}")


def _system() -> Iterator[Row]:
    def row(name: str, detail: str, works: bool = True) -> Row:
        return Row("system", name, works, detail, remedy=_REMEDIES.get(name, ""))

    yield row("facepipe", __version__)
    yield row("Python", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    yield row("PyAV", media_versions())
    yield row("OpenCV", str(cv2.__version__))
    yield row("cores", str(usable_cores()))
    yield row("memory", f"{free_memory() / 2**30:.1f} GiB free")
    yield row("workers", f"{affordable_workers(worker_bytes())} for a video of 1920x1080")
    try:
        with tempfile.TemporaryFile():
            free = shutil.disk_usage(tempfile.gettempdir()).free
    except OSError as error:
        yield row("temporary files", f"cannot be written ({error.strerror or error})", works=False)
    else:
        detail = f"{free / 2**30:.1f} GiB free on their disk"
        yield row("temporary files", detail, works=free >= _LITTLE_DISK)


def _unusual() -> Iterator[Row]:
    """What this system may lack, and what facepipe does then."""

    def row(name: str, works: bool, detail: str) -> Row:
        return Row("system", name, works, detail, remedy=_REMEDIES.get(name, ""))

    if has_semaphores():
        yield row("semaphores", True, "worker processes can be used")
    else:
        yield row("semaphores", False, NO_SEMAPHORES)
    try:
        locks = knows_locks(Path.cwd())
    except OSError as error:
        yield row("locks here", False, f"{Path.cwd()} cannot be written ({error.strerror})")
    else:
        detail = "this folder's file system knows them"
        lacking = "this folder's file system knows none: a file stands for each (*.held)"
        yield row("locks here", locks, detail if locks else lacking)
    closed = [name for name in ("stdout", "stderr") if name in CLOSED]
    if closed:
        yield row("streams", False, f"{' and '.join(closed)} closed: what is said there is lost")
    else:
        yield row("streams", True, "standard output and error are open")
    folder = os.environ.get("RAY_TMPDIR") or tempfile.gettempdir()
    short = len(os.fsencode(os.path.realpath(folder))) <= LONGEST_SOCKET_FOLDER
    detail = f"{folder} has room for the names of sockets"
    lacking = f"{folder} is too long for sockets: workers begin slower, and Ray uses /tmp/ray"
    yield row("sockets", short, detail if short else lacking)


def _encoders() -> Iterator[Row]:
    trials = list(try_all([*ENCODERS, *(f"device:{kind}" for kind in devices())]))
    encoders = [trial for trial in trials if trial.kind == "encoder"]
    yield from (_tried("encoders", trial) for trial in encoders)
    yield from (_tried("hardware decoders", t) for t in trials if t.kind == "device")
    if not any(trial.works for trial in encoders):
        yield Row(
            "encoders", "all", False, "no encoder works here", MediaError.exit_code, _OTHER_PYAV
        )


def _tried(section: str, trial: Trial) -> Row:
    return Row(section, trial.name, trial.works, trial.detail if trial.works else trial.why)


def _networks() -> Iterator[Row]:
    for fact in facts():
        extra = _EXTRA_OF_RUNTIME.get(fact.name)
        yield _fact("networks", fact, f"pip install {extra}" if extra else _REINSTALL)


def _weights() -> Iterator[Row]:
    yield from (_fact("weights", fact, _REINSTALL) for fact in weights())


def _fact(section: str, fact: Fact, remedy: str) -> Row:
    return Row(section, fact.name, fact.works, fact.detail, fact.code, remedy)


def _extras() -> Iterator[Row]:
    try:
        extras = metadata("facepipe").get_all("Provides-Extra") or []
    except PackageNotFoundError:
        return
    for extra in extras:
        missing = sorted(_missing("facepipe", extra))
        detail = f"without {', '.join(missing)}" if missing else "installed"
        remedy = "" if extra == "test" else f"pip install 'facepipe[{extra}]'"
        yield Row("extras", extra, not missing, detail, remedy=remedy)


def _missing(package: str, extra: str) -> set[str]:
    """Find the packages of an extra, and of the extras that it names in turn, that are not here."""
    missing: set[str] = set()
    for requirement in map(Requirement, requires(package) or []):
        marker = requirement.marker
        if marker is None or marker.evaluate({"extra": ""}):
            continue  # the package itself needs it, with or without the extra
        if not marker.evaluate({"extra": extra}):
            continue
        try:
            version(requirement.name)
        except PackageNotFoundError:
            missing.add(requirement.name)
            continue
        for inner in requirement.extras:
            missing |= _missing(requirement.name, inner)
    return missing
