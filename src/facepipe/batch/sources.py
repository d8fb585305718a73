"""Sources of a batch: folders, globs, manifests and archives, expanded into items one by one."""

from __future__ import annotations

import glob
import json
import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path, PurePosixPath

from pydantic import BaseModel, ConfigDict, ValidationError

from facepipe._system.files import IMAGE_SUFFIXES, is_address
from facepipe._system.kinds import is_video
from facepipe.batch.archives import Limits, Refused, is_archive_name, open_archive
from facepipe.batch.remote import list_files
from facepipe.errors import InputError, UsageError
from facepipe.pipeline.sidecar import REPORT_SUFFIX
from facepipe.video.containers import (
    GENERAL_SUFFIX,
    OTHER_SUFFIXES,
    READ_SUFFIXES,
    WRITTEN_SUFFIXES,
)

_NOT_USABLE = "neither a video nor an image, nor an archive, by its name and its first bytes"
#: How the reasons begin for what cannot be read.
UNREAD = "cannot be read"
_RESULT = "made by facepipe, as the report beside it says; give it by its name to enhance it again"
#: Most characters of a line of a manifest.
_MAX_LINE = 100_000
_NOT_TEXT = "a name that is not UTF-8: rename it, or give it to `facepipe run`"
_MANIFEST_SUFFIXES = frozenset((".txt", ".jsonl"))


@dataclass(frozen=True)
class Item:
    """A video, an image, or an image in an archive.

    `source` is the absolute path of a file, or its address; `member` the name within that archive.
    `place` is the path of the result, relative to the output folder, with `/`. `size` in bytes and
    `modified` (ns, or a version where it is remote) show whether it changed.
    """

    source: str
    member: str | None
    kind: str  # "video" or "image"
    place: str
    size: int
    modified: int


@dataclass(frozen=True)
class Skipped:
    """Something that was found and is no item, and why."""

    source: str
    reason: str


class _Entry(BaseModel):
    """One JSON object of a manifest."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str
    output: str | None = None


def find_items(
    sources: Sequence[str],
    limits: Limits,
    *,
    exclude: Path,
    only: Collection[str] | None = None,
) -> Iterator[Item | Skipped]:
    """Find every video and image of the sources, in a fixed order; subfolders are kept.

    A folder is searched recursively, but for hidden files and the folder `exclude`. Files of other
    kinds in it are skipped; a file that is named itself must be a video, an image, an archive or a
    manifest. Of the files in folders, those of `only` are taken, by their whole paths; None: all.
    Raises InputError for sources that do not exist, UsageError for those that cannot be meant.
    """
    several = len(sources) > 1
    for source in sources:
        for found in _of_source(source, several, limits, os.path.realpath(exclude), only):
            yield found if _is_text(found) else Skipped(_escaped(found.source), _NOT_TEXT)


def _is_text(found: Item | Skipped) -> bool:
    """Whether its names can be stored in the ledger and in reports, which are UTF-8."""
    names = (found.source, found.place) if isinstance(found, Item) else (found.source,)
    try:
        "".join(names).encode()
    except UnicodeEncodeError:
        return False
    return True


def _escaped(name: str) -> str:
    return name.encode(errors="backslashreplace").decode()


def _of_source(
    source: str, several: bool, limits: Limits, exclude: str, only: Collection[str] | None
) -> Iterator[Item | Skipped]:
    path = Path(source)
    if is_address(source):
        yield from _of_address(source, several)
    elif path.is_dir():
        root = path.resolve()
        place = f"{root.name}/" if several else ""
        yield from _of_folder(str(root), place, limits, exclude, only)
    elif path.exists():
        if path.suffix.lower() in _MANIFEST_SUFFIXES:
            yield from _of_manifest(path, limits)
        else:
            yield from _of_named(path, path.name, limits)
    elif glob.has_magic(source):
        yield from _of_pattern(source, limits)
    else:
        raise InputError(
            f"{source} does not exist; give folders, files, patterns such as 'in/**/*.jpg', "
            "archives (.zip, .tar) or a manifest (.txt, .jsonl)"
        )


def _of_pattern(pattern: str, limits: Limits) -> Iterator[Item | Skipped]:
    found = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 (Path has no "**" first)
    if not found:
        raise InputError(f"{pattern}: no file has such a name")
    base = Path(os.path.commonpath([Path(one).parent for one in found]))
    for one in found:
        if Path(one).is_file():
            place = Path(one).relative_to(base).as_posix()
            yield from _of_file(str(Path(one).absolute()), place, limits)


def _of_address(address: str, several: bool) -> Iterator[Item | Skipped]:
    root = f"{address.rstrip('/').rpartition('/')[2]}/" if several else ""
    for source, inside, size, version in list_files(address):
        place = root + inside if inside != root.rstrip("/") else inside
        found = _kind_of(place)
        if found is None or ".." in PurePosixPath(place).parts:
            yield Skipped(source, _NOT_USABLE)
        elif is_archive_name(place):
            yield Skipped(source, "a remote archive: download it first")
        else:
            yield Item(source, None, *found, size, version)


def _kind_of(place: str) -> tuple[str, str] | None:
    """A file's kind by its name, and its place; None: neither video nor image."""
    stem, suffix = os.path.splitext(place)  # noqa: PTH122 (a million times)
    suffix = suffix.lower()
    if suffix in IMAGE_SUFFIXES:
        return "image", place
    if suffix in WRITTEN_SUFFIXES:
        return "video", place
    return ("video", f"{stem}{GENERAL_SUFFIX}") if suffix in READ_SUFFIXES else None


def _kind_by_content(path: str, place: str) -> tuple[str, str] | None:
    """The kind of a local file by its first bytes, and its place; None: no video."""
    stem, suffix = os.path.splitext(place)  # noqa: PTH122 (a million times)
    if suffix.lower() in OTHER_SUFFIXES or not is_video(Path(path)):
        return None
    return "video", f"{stem if suffix else place}{GENERAL_SUFFIX}"


def _of_folder(
    folder: str, place: str, limits: Limits, exclude: str, only: Collection[str] | None
) -> Iterator[Item | Skipped]:
    """The items of a folder, sorted by name; in strings, as there may be millions."""
    try:
        with os.scandir(folder) as entries:
            inside = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        yield Skipped(folder, f"{UNREAD} ({error.strerror})")
        return
    names = {entry.name for entry in inside}
    for entry in inside:
        if entry.name.startswith(".") or not _is_wanted(entry, only):
            continue
        if f"{entry.name}{REPORT_SUFFIX}" in names:
            yield Skipped(entry.path, _RESULT)
            continue
        if entry.is_dir(follow_symlinks=False):
            if entry.path != exclude:
                yield from _of_folder(entry.path, f"{place}{entry.name}/", limits, exclude, only)
        elif entry.is_file():
            yield from _of_file(entry.path, place + entry.name, limits, entry.stat())
        else:
            yield Skipped(entry.path, "no regular file")


def _is_wanted(entry: os.DirEntry[str], only: Collection[str] | None) -> bool:
    return only is None or entry.path in only or entry.is_dir(follow_symlinks=False)


def _of_named(path: Path, place: str, limits: Limits) -> Iterator[Item | Skipped]:
    """The items of a file that was named itself; UsageError where it is not usable."""
    for found in _of_file(str(path.absolute()), place, limits):
        if isinstance(found, Skipped) and found.source == str(path.absolute()):
            raise UsageError(f"{path}: {found.reason}")
        yield found


def _of_file(
    path: str, place: str, limits: Limits, known: os.stat_result | None = None
) -> Iterator[Item | Skipped]:
    """The items of the file at an absolute path."""
    if is_archive_name(place):
        yield from _of_archive(Path(path), place, limits)
        return
    found = _kind_of(place) or _kind_by_content(path, place)
    if found is None:
        yield Skipped(path, _NOT_USABLE)
        return
    try:
        status = known or Path(path).stat()
    except OSError as error:
        yield Skipped(path, f"{UNREAD} ({error.strerror})")
        return
    yield Item(path, None, *found, status.st_size, status.st_mtime_ns)


def _of_archive(path: Path, place: str, limits: Limits) -> Iterator[Item | Skipped]:
    modified, source = path.stat().st_mtime_ns, str(path.absolute())
    try:
        with open_archive(path) as archive:
            for member in archive.members(limits):
                if isinstance(member, Refused):
                    yield Skipped(f"{path}: {member.stored}", member.reason)
                    continue
                suffix = PurePosixPath(member.name).suffix.lower()
                if suffix in IMAGE_SUFFIXES:
                    inside = f"{place}/{member.name}"
                    yield Item(source, member.name, "image", inside, member.size, modified)
                elif suffix in READ_SUFFIXES:
                    yield Skipped(
                        f"{path}: {member.name}", "a video in an archive: unpack it first"
                    )
                else:
                    yield Skipped(f"{path}: {member.name}", "no image by its name")
    except InputError as error:
        yield Skipped(str(path), str(error).removeprefix(f"{path}: "))


def _of_manifest(path: Path, limits: Limits) -> Iterator[Item | Skipped]:
    """The items of a manifest. A line is a path, or JSON with `source` and perhaps `output`."""
    try:
        with path.open(encoding="utf-8") as lines:
            for number in count(1):
                line = lines.readline(_MAX_LINE + 1)
                if not line:
                    return
                if len(line) > _MAX_LINE:
                    raise InputError(f"{path}, line {number}: more than {_MAX_LINE} characters")
                text = line.strip()
                if not text or text.startswith("#"):
                    continue
                entry = _entry(text, f"{path}, line {number}")
                if is_address(entry.source):
                    yield from _of_address(entry.source, several=False)
                    continue
                source = path.parent / entry.source
                place = _safe_place(entry.output or source.name, f"{path}, line {number}")
                if source.is_file():
                    yield from _of_file(str(source.absolute()), place, limits)
                else:
                    yield Skipped(str(source), "does not exist")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: this manifest cannot be read ({error})") from error


def _entry(text: str, where: str) -> _Entry:
    if not text.startswith("{"):
        return _Entry(source=text)
    try:
        return _Entry.model_validate(json.loads(text))
    except (ValueError, RecursionError) as error:  # of which ValidationError is one
        first = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        raise InputError(
            f'{where}: {first}; allowed is a path, or {{"source": "a.mp4", "output": "b/a.mp4"}}'
        ) from error


def _safe_place(name: str, where: str) -> str:
    place = PurePosixPath(name)
    if place.is_absolute() or ".." in place.parts or not place.name or "\0" in name:
        raise InputError(f"{where}: output {name!r} must lie within the output folder")
    return str(place)
