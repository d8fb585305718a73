"""What this machine has for facepipe, found by trying it: rows for a table, and a verdict."""

from __future__ import annotations

import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version

import cv2

from facepipe import __version__
from facepipe.errors import MediaError
from facepipe.models.selftest import Fact, facts, weights
from facepipe.video.encoders.selftest import ENCODERS, Trial, devices, media_versions, try_all
from facepipe.workers.resources import affordable_workers, free_memory, usable_cores, worker_bytes

#: Free disk below which it is told, bytes.
_LITTLE_DISK = 2**30


@dataclass(frozen=True)
class Row:
    """One thing of this machine: `works` False where it is missing or broken, `told` how or why.

    `code` is the exit code with which `facepipe run` would end for it, 0: it runs without.
    """

    section: str
    name: str
    works: bool
    told: str
    code: int = 0


@dataclass(frozen=True)
class Health:
    """All rows, the exit code of a run here, and in one line why it is not 0."""

    rows: tuple[Row, ...]
    code: int
    reason: str | None


def examine() -> Health:
    """Look at this machine: what may crash or hang is tried in other processes, at once."""
    parts: tuple[Callable[[], Iterator[Row]], ...] = (
        _system,
        _encoders,
        _networks,
        _weights,
        _extras,
    )
    with ThreadPoolExecutor(len(parts)) as pool:
        rows = [row for part in pool.map(lambda part: list(part()), parts) for row in part]
    worst = next((row for row in rows if row.code), None)
    if worst is None:
        return Health(tuple(rows), 0, None)
    return Health(tuple(rows), worst.code, f"{worst.name}: {worst.told}")


def _system() -> Iterator[Row]:
    def row(name: str, told: str, works: bool = True) -> Row:
        return Row("system", name, works, told)

    yield row("facepipe", __version__)
    yield row("Python", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    yield row("PyAV", media_versions())
    yield row("OpenCV", str(cv2.__version__))
    yield row("cores", str(usable_cores()))
    yield row("memory", f"{free_memory() / 2**30:.1f} GiB free")
    yield row("workers", f"{affordable_workers(worker_bytes())} for a film of 1920x1080")
    try:
        with tempfile.TemporaryFile():
            free = shutil.disk_usage(tempfile.gettempdir()).free
    except OSError as error:
        yield row("temporary files", f"cannot be written ({error.strerror or error})", works=False)
    else:
        told = f"{free / 2**30:.1f} GiB free on their disk"
        yield row("temporary files", told, works=free >= _LITTLE_DISK)


def _encoders() -> Iterator[Row]:
    trials = list(try_all([*ENCODERS, *(f"device:{kind}" for kind in devices())]))
    encoders = [trial for trial in trials if trial.kind == "encoder"]
    yield from (_tried("encoders", trial) for trial in encoders)
    yield from (_tried("hardware decoders", t) for t in trials if t.kind == "device")
    if not any(trial.works for trial in encoders):
        yield Row("encoders", "all", False, "no encoder works here", MediaError.exit_code)


def _tried(section: str, trial: Trial) -> Row:
    return Row(section, trial.name, trial.works, trial.detail if trial.works else trial.why)


def _networks() -> Iterator[Row]:
    yield from (_fact("networks", fact) for fact in facts())


def _weights() -> Iterator[Row]:
    yield from (_fact("weights", fact) for fact in weights())


def _fact(section: str, fact: Fact) -> Row:
    return Row(section, fact.name, fact.works, fact.told, fact.code)


def _extras() -> Iterator[Row]:
    for extra in _extras_of("facepipe"):
        missing = sorted(_missing("facepipe", extra))
        told = f"without {', '.join(missing)}" if missing else "installed"
        yield Row("extras", extra, not missing, told)


def _extras_of(package: str) -> list[str]:
    """The names of a package's extras, in order, as its metadata gives them."""
    try:
        needed = requires(package) or []
    except PackageNotFoundError:
        return []
    return list(dict.fromkeys(extra for item in needed if (extra := _extra(item))))


def _missing(package: str, extra: str) -> set[str]:
    """The packages of an extra, and of the extras that it names in turn, that are not here."""
    missing: set[str] = set()
    for item in requires(package) or []:
        if _extra(item) != extra or not _meant_for_this(item):
            continue
        named = re.match(r"([\w.-]+)(?:\[([\w,. -]*)\])?", item)
        assert named is not None
        name, further = named[1], named[2] or ""
        try:
            version(name)
        except PackageNotFoundError:
            missing.add(name)
            continue
        for inner in filter(None, re.split(r"[,\s]+", further)):
            missing |= _missing(name, inner)
    return missing


def _extra(requirement: str) -> str | None:
    found = re.search(r"""extra\s*==\s*['"]([\w.-]+)['"]""", requirement)
    return found[1] if found else None


def _meant_for_this(requirement: str) -> bool:
    """Whether a requirement is for this system, as far as it says so simply."""
    told = re.search(r"""sys_platform\s*(==|!=)\s*['"](\w+)['"]""", requirement)
    return told is None or (told[1] == "==") == (sys.platform == told[2])
