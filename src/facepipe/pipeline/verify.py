"""Verification: is an output still what was delivered? Digests, report, manifest, mark, source.

Each check says what holds, what does not, and what could not be checked, with the reason.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from facepipe._system.files import is_image, is_there, sha256_of
from facepipe.errors import FacepipeError, InputError
from facepipe.images.still import read_image
from facepipe.marking.manifest import (
    MANIFEST_SUFFIX,
    ManifestCheck,
    is_embeddable,
    manifest_path,
    read_manifest,
)
from facepipe.marking.xmp import SOURCE_TYPE, source_type_of
from facepipe.pipeline.report_seal import content_sha256, is_intact
from facepipe.pipeline.sidecar import REPORT_SUFFIX, sidecar_path
from facepipe.video import told_source_type

State = Literal["ok", "failed", "unchecked"]
_LARGEST_REPORT = 2**30  # bytes that are read


@dataclass(frozen=True)
class Check:
    """One thing that was looked at: what, whether it holds, and the finding in words."""

    what: str
    state: State
    words: str


@dataclass(frozen=True)
class Verification:
    """All checks of one file, or of one folder."""

    path: Path
    checks: tuple[Check, ...]

    @property
    def verdict(self) -> Literal["intact", "changed", "nothing to check"]:
        """`intact`: at least one check holds, and none fails."""
        states = {check.state for check in self.checks}
        if "failed" in states:
            return "changed"
        return "intact" if "ok" in states else "nothing to check"


def verify_output(
    path: Path, *, source: Path | None = None, trust: Path | None = None
) -> Verification:
    """Check an output, named itself or by its report or manifest, against all that is beside it.

    `source` None: it is looked for beside the output. `trust` is a file of certificates (PEM) whose
    signatures are trusted. Raises InputError where there is no such file.
    """
    for suffix in (REPORT_SUFFIX, MANIFEST_SUFFIX):
        if path.name.endswith(suffix):
            path = path.with_name(path.name[: -len(suffix)])
    for named in (path, *filter(None, (source, trust))):
        if not is_there(named) or not named.is_file():
            raise InputError(f"{named}: there is no such file")
    report, checks = _report(sidecar_path(path))
    told = report or {}
    checks += _output(path, told)
    checks += _manifest(path, told, None if trust is None else trust.read_bytes())
    checks.append(_mark(path))
    checks.append(_source(path, told, source))
    return Verification(path, tuple(checks))


def _report(path: Path) -> tuple[dict[str, Any] | None, list[Check]]:
    """The report's JSON, and whether its bytes are those that were written."""
    if not is_there(path):
        return None, [Check("report", "unchecked", f"there is none beside it ({path.name})")]
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST_REPORT)
        report = json.loads(content)
    except (OSError, ValueError, RecursionError) as error:
        return None, [Check("report", "failed", f"{path.name} cannot be read: {error}")]
    intact = is_intact(content)
    if not isinstance(report, dict) or not isinstance(report.get("output"), dict):
        return None, [Check("report", "failed", f"{path.name} is no report of an output")]
    if intact:
        return report, [Check("report", "ok", "its bytes are those that its seal names")]
    if intact is False or "report_sha256" in report:
        return report, [Check("report", "failed", f"{path.name} was changed: its seal is another")]
    why = "it has no seal: an earlier version wrote it, or the seal was removed"
    return report, [Check("report", "unchecked", why)]


def _output(path: Path, report: dict[str, Any]) -> Iterator[Check]:
    if not report:
        yield Check("output", "unchecked", "no report names its SHA-256")
        return
    same = sha256_of(path) == report["output"].get("sha256")
    words = "its SHA-256 is the one in the report"
    yield (
        Check("output", "ok", words)
        if same
        else Check(
            "output", "failed", f"{path.name} was changed: its SHA-256 is not the one in the report"
        )
    )


def _manifest(path: Path, report: dict[str, Any], trust: bytes | None) -> Iterator[Check]:
    """Checks of the signed manifest, in the file or beside it."""
    beside, stated = manifest_path(path), report.get("output", {}).get("manifest")
    own = is_there(beside)
    if isinstance(stated, dict) and stated.get("sha256") and own:
        same = sha256_of(beside) == stated["sha256"]
        words = "its SHA-256 is the one in the report"
        yield (
            Check("manifest file", "ok", words)
            if same
            else Check(
                "manifest file", "failed", f"{beside.name} was changed: its SHA-256 is another"
            )
        )
    if not (own or stated or is_embeddable(path.name)):
        yield Check("manifest", "unchecked", _unsigned(path))
        return
    try:
        with path.open("rb") as file:
            content = beside.read_bytes() if own else None
            found = read_manifest(file, path.name, content, trust=trust)
    except ModuleNotFoundError:
        why = "reading manifests needs another package: pip install 'facepipe[c2pa]'"
        yield Check("manifest", "unchecked", why)
        return
    if found is None:
        missing = Check("manifest", "failed", "the report names one, and there is none")
        yield missing if stated else Check("manifest", "unchecked", _unsigned(path))
        return
    yield from _read(found, report)


def _unsigned(path: Path) -> str:
    return (
        f"{path.name} is not signed: whoever can change it could have made its report anew; "
        "compare its SHA-256 with a note that was kept elsewhere"
    )


def _read(found: ManifestCheck, report: dict[str, Any]) -> Iterator[Check]:
    if found.state == "invalid":
        yield Check("manifest", "failed", f"it does not fit the file: {', '.join(found.failures)}")
    else:
        yield Check("manifest", "ok", f"it fits the file; signed by {found.signer}")
    if found.state == "trusted":
        yield Check("signer", "ok", f"{found.signer} is on the list of trust")
    elif found.state == "valid":
        words = f"nobody here vouches for {found.signer}: --trust FILE.pem names who is trusted"
        yield Check("signer", "unchecked", words)
    if not report or found.report_sha256 is None:
        words = "no report beside it" if not report else "the manifest names no report"
        yield Check("report, as signed", "unchecked", words)
        return
    same = found.report_sha256 == content_sha256(report)
    words = "what it says is what was signed" if same else "it says something else than was signed"
    yield Check("report, as signed", "ok" if same else "failed", words)


def _mark(path: Path) -> Check:
    """Whether the file itself says that a network made a part of it."""
    try:
        told = _told(path)
    except (FacepipeError, OSError) as error:
        return Check("mark", "unchecked", f"the file cannot be read: {error}")
    if told is not None and SOURCE_TYPE.rpartition("/")[2] in told:
        return Check("mark", "ok", "it says that a network made a part of it")
    if told is not None:
        return Check("mark", "unchecked", f"its digital source type is another: {told}")
    return Check("mark", "unchecked", "the file has no digital source type")


def _told(path: Path) -> str | None:
    if is_image(path):
        return source_type_of(read_image(path.read_bytes(), path.name).details.xmp)
    return told_source_type(path)


def _source(path: Path, report: dict[str, Any], source: Path | None) -> Check:
    stated = report.get("source")
    if not isinstance(stated, dict):
        return Check("source", "unchecked", "no report names its SHA-256")
    name = str(stated.get("name", ""))
    if source is None:
        beside = path.with_name(name) if name and Path(name).name == name else path
        if beside == path or not is_there(beside) or not beside.is_file():
            words = f"{name} is not here: --source FILE names it"
            return Check("source", "unchecked", words)
        source = beside
    if sha256_of(source) == stated.get("sha256"):
        return Check("source", "ok", f"{source.name} is the file that was enhanced")
    return Check("source", "failed", f"{source.name} is another file than was enhanced")
