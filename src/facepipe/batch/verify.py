"""Verification of a batch: its log, and each file that the log names."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path, PureWindowsPath
from typing import Any

from facepipe._system.files import is_there, sha256_of
from facepipe.batch.proof_log import LOG
from facepipe.batch.report import NAME
from facepipe.errors import InputError
from facepipe.marking.chain import read_chain
from facepipe.marking.manifest import manifest_path
from facepipe.pipeline.sidecar import sidecar_path
from facepipe.pipeline.verify import Check, Verification


def verify_batch(folder: Path) -> Verification:
    """Check the log of a batch, and each file that it names. InputError where there is no log."""
    log = folder / LOG
    if not is_there(log):
        raise InputError(f"{folder}: there is no log of a batch in it ({LOG})")
    last: dict[str, dict[str, Any]] = {}
    entries, head = 0, ""
    try:
        for entry in read_chain(log):
            entries, head = entries + 1, entry["sha256"]
            if entry.get("kind") == "item":
                last[str(entry.get("output"))] = entry
    except InputError as error:
        return Verification(folder, (Check("log", "failed", str(error)),))
    words = f"{entries} entries, none changed; the last one is {head}"
    checks = [Check("log", "ok", words), *_end_of_log(folder, entries, head)]
    for place, entry in last.items():
        if _is_within(place):
            checks += _files(folder / place, place, entry)
        else:
            checks.append(Check(place, "unchecked", "it is no place in this folder"))
    return Verification(folder, tuple(checks))


def _is_within(place: str) -> bool:
    """Whether a log's name of an output is a file below the folder, on any system."""
    path = PureWindowsPath(place)
    return bool(path.name) and not path.anchor and ".." not in path.parts


def _end_of_log(folder: Path, entries: int, head: str) -> Iterator[Check]:
    """Whether the log has as many entries as the batch's report says."""
    report = folder / f"{NAME}.json"
    try:
        stated = json.loads(report.read_bytes())["log"]
        same = (stated["entries"], stated["sha256"]) == (entries, head)
    except (OSError, ValueError, LookupError, TypeError):
        yield Check("end of the log", "unchecked", f"{report.name} does not tell it")
        return
    words = f"{report.name} names the same last entry"
    yield (
        Check("end of the log", "ok", words)
        if same
        else Check(
            "end of the log",
            "failed",
            f"{report.name} names another last entry: {stated['sha256']}",
        )
    )


def _files(target: Path, place: str, entry: dict[str, Any]) -> Iterator[Check]:
    """Checks of one item's files against its last entry."""
    if "output_sha256" not in entry:
        yield Check(place, "unchecked", f"nothing was written: it is {entry.get('state')}")
        return
    named = {
        place: (target, "output_sha256"),
        sidecar_path(Path(place)).as_posix(): (sidecar_path(target), "report_file_sha256"),
        manifest_path(Path(place)).as_posix(): (manifest_path(target), "manifest_file_sha256"),
    }
    for name, (path, key) in named.items():
        if key not in entry:
            continue
        if not path.is_file():
            yield Check(name, "unchecked", "it is not here")
        elif sha256_of(path) == entry[key]:
            yield Check(name, "ok", "its SHA-256 is the one in the log")
        else:
            yield Check(name, "failed", "it was changed: its SHA-256 is not the one in the log")
