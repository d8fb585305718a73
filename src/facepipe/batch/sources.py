"""What a batch is given: folders, globs, manifests and archives become items, one after another."""

from __future__ import annotations

import glob
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path, PurePosixPath

from pydantic import BaseModel, ConfigDict, ValidationError

from facepipe._files import IMAGE_SUFFIXES, is_address
from facepipe.batch.archives import Limits, Refused, is_archive_name, opened
from facepipe.batch.remote import listed
from facepipe.errors import InputError, UsageError
from facepipe.video.containers import WRITTEN_SUFFIXES

FILM_SUFFIXES = WRITTEN_SUFFIXES | {
    *(".mts", ".avi", ".flv", ".wmv", ".asf", ".mpg", ".mpeg", ".vob", ".mxf", ".ogv", ".3gp"),
    *(".3g2", ".dv", ".rm", ".wtv", ".y4m", ".ivf"),
}
_OF_NO_USE = "neither a film nor a picture, nor an archive, by its name"
#: Characters of a line of a manifest.
_LONGEST_LINE = 100_000
_NOT_TEXT = "a name that is not UTF-8: rename it, or give it to `facepipe run`"
_MANIFEST_SUFFIXES = frozenset((".txt", ".jsonl"))


@dataclass(frozen=True)
class Item:
    """A film, a picture, or a picture in an archive.

    `source` is the absolute path of a file, or its address; `member` its name within that archive.
    `place` is where the result goes, relative to the output folder, with `/`. `size` in bytes and
    `modified` (ns, or a version of what lies elsewhere) tell whether it changed.
    """

    source: str
    member: str | None
    kind: str  # "film" or "picture"
    place: str
    size: int
    modified: int


@dataclass(frozen=True)
class Skipped:
    """What is there and is not taken, and why."""

    source: str
    reason: str


class _Entry(BaseModel):
    """One JSON object of a manifest."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str
    output: str | None = None


def items(sources: Sequence[str], limits: Limits, *, but: Path) -> Iterator[Item | Skipped]:
    """Every film and picture of the sources, in a fixed order; each source's own shape is kept.

    A folder is searched with all below it; hidden files and the folder `but` are passed over. Files
    of other kinds in it are skipped; one that was named itself must be a film, a picture, an
    archive or a manifest.
    Raises InputError for what does not exist, UsageError for what nobody can mean.
    """
    several = len(sources) > 1
    for source in sources:
        for found in _of_source(source, several, limits, os.path.realpath(but)):
            yield found if _is_text(found) else Skipped(_escaped(found.source), _NOT_TEXT)


def _is_text(found: Item | Skipped) -> bool:
    """Whether its names can be written to the ledger and to reports, which are UTF-8."""
    names = (found.source, found.place) if isinstance(found, Item) else (found.source,)
    try:
        "".join(names).encode()
    except UnicodeEncodeError:
        return False
    return True


def _escaped(name: str) -> str:
    return name.encode(errors="backslashreplace").decode()


def _of_source(source: str, several: bool, limits: Limits, but: str) -> Iterator[Item | Skipped]:
    path = Path(source)
    if is_address(source):
        yield from _of_address(source, several)
    elif path.is_dir():
        root = path.resolve()
        yield from _of_folder(str(root), f"{root.name}/" if several else "", limits, but)
    elif path.exists():
        if path.suffix.lower() in _MANIFEST_SUFFIXES:
            yield from _of_manifest(path, limits)
        else:
            yield from _of_named(path, path.name, limits)
    elif glob.has_magic(source):
        found = sorted(glob.glob(source, recursive=True))  # noqa: PTH207 (Path has no "**" first)
        if not found:
            raise InputError(f"{source}: no file has such a name")
        base = Path(os.path.commonpath([Path(one).parent for one in found]))
        for one in found:
            if Path(one).is_file():
                place = Path(one).relative_to(base).as_posix()
                yield from _of_file(str(Path(one).absolute()), place, limits)
    else:
        raise InputError(
            f"{source} does not exist; give folders, files, patterns such as 'in/**/*.jpg', "
            "archives (.zip, .tar) or a manifest (.txt, .jsonl)"
        )


def _of_address(address: str, several: bool) -> Iterator[Item | Skipped]:
    root = f"{address.rstrip('/').rpartition('/')[2]}/" if several else ""
    for source, inside, size, version in listed(address):
        place = root + inside if inside != root.rstrip("/") else inside
        found = _kind_of(place)
        if found is None or ".." in PurePosixPath(place).parts:
            yield Skipped(source, _OF_NO_USE)
        elif is_archive_name(place):
            yield Skipped(source, "an archive elsewhere: fetch it first")
        else:
            yield Item(source, None, *found, size, version)


def _kind_of(place: str) -> tuple[str, str] | None:
    """A file's kind by its name, and its place; None: it is of no use."""
    stem, suffix = os.path.splitext(place)  # noqa: PTH122 (a million times)
    suffix = suffix.lower()
    if suffix in IMAGE_SUFFIXES:
        return "picture", place
    if suffix in WRITTEN_SUFFIXES:
        return "film", place
    # Matroska holds whatever the containers do that are not written here.
    return ("film", f"{stem}.mkv") if suffix in FILM_SUFFIXES else None


def _of_folder(folder: str, place: str, limits: Limits, but: str) -> Iterator[Item | Skipped]:
    """A folder's own, by name; in strings, as there may be millions."""
    try:
        with os.scandir(folder) as entries:
            inside = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        yield Skipped(folder, f"cannot be read ({error.strerror})")
        return
    for entry in inside:
        if entry.name.startswith("."):
            continue
        if entry.is_dir(follow_symlinks=False):
            if entry.path != but:
                yield from _of_folder(entry.path, f"{place}{entry.name}/", limits, but)
        elif entry.is_file():
            yield from _of_file(entry.path, place + entry.name, limits, entry.stat())
        else:
            yield Skipped(entry.path, "no regular file")


def _of_named(path: Path, place: str, limits: Limits) -> Iterator[Item | Skipped]:
    """A file that was named itself: that it is of no use is the user's mistake."""
    for found in _of_file(str(path.absolute()), place, limits):
        if isinstance(found, Skipped) and found.source == str(path.absolute()):
            raise UsageError(f"{path}: {found.reason}")
        yield found


def _of_file(
    path: str, place: str, limits: Limits, known: os.stat_result | None = None
) -> Iterator[Item | Skipped]:
    """What the file at an absolute path is."""
    if is_archive_name(place):
        yield from _of_archive(Path(path), place, limits)
        return
    found = _kind_of(place)
    if found is None:
        yield Skipped(path, _OF_NO_USE)
        return
    try:
        status = known or Path(path).stat()
    except OSError as error:
        yield Skipped(path, f"cannot be read ({error.strerror})")
        return
    yield Item(path, None, *found, status.st_size, status.st_mtime_ns)


def _of_archive(path: Path, place: str, limits: Limits) -> Iterator[Item | Skipped]:
    modified, source = path.stat().st_mtime_ns, str(path.absolute())
    try:
        with opened(path) as archive:
            for member in archive.members(limits):
                if isinstance(member, Refused):
                    yield Skipped(f"{path}: {member.stored}", member.reason)
                    continue
                suffix = PurePosixPath(member.name).suffix.lower()
                if suffix in IMAGE_SUFFIXES:
                    inside = f"{place}/{member.name}"
                    yield Item(source, member.name, "picture", inside, member.size, modified)
                elif suffix in FILM_SUFFIXES:
                    yield Skipped(f"{path}: {member.name}", "a film in an archive: unpack it first")
                else:
                    yield Skipped(f"{path}: {member.name}", "no picture by its name")
    except InputError as error:
        yield Skipped(str(path), str(error).removeprefix(f"{path}: "))


def _of_manifest(path: Path, limits: Limits) -> Iterator[Item | Skipped]:
    """One path a line, or one JSON object with `source` and perhaps `output`, relative to it."""
    try:
        with path.open(encoding="utf-8") as lines:
            for number in count(1):
                line = lines.readline(_LONGEST_LINE + 1)
                if not line:
                    return
                if len(line) > _LONGEST_LINE:
                    raise InputError(f"{path}, line {number}: more than {_LONGEST_LINE} characters")
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
