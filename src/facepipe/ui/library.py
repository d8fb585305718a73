"""The folder that the page works in: names of files in it become paths, and nothing else does."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from facepipe._system.kinds import is_video
from facepipe.errors import InputError, UsageError, printable
from facepipe.pipeline.sidecar import sidecar_path
from facepipe.video.containers import GENERAL_SUFFIX, READ_SUFFIXES, WRITTEN_SUFFIXES

#: Files that are looked at and videos that are listed, at most.
_MOST_FILES, _MOST_VIDEOS = 20_000, 1_000
#: What a result is called: the name of its video, and this.
_MADE = "-enhanced"
_PAGE_SUFFIX = ".html"


class NotFoundError(Exception):
    """There is no such file, or it is not in the folder."""


@dataclass(frozen=True)
class Listed:
    """A video in the folder: its name there, its size in bytes, whether facepipe has made it."""

    name: str
    size: int
    is_result: bool


class Library:
    """A folder that was named, or one video of it with what is made of that video.

    Names are relative to the folder, with `/`. Hidden files have none, nor has what a link leads to
    outside the folder. Raises InputError where there is no such folder or file.
    """

    def __init__(self, named: Path) -> None:
        try:
            named = named.resolve(strict=True)
        except (OSError, ValueError) as error:
            raise InputError(f"{named}: no such video or folder") from error
        self.only = None if named.is_dir() else named
        self.folder = named if self.only is None else named.parent
        if not self.folder.is_dir() or not os.access(self.folder, os.R_OK | os.W_OK | os.X_OK):
            raise UsageError(f"{self.folder}: the page needs to read and write in this folder")

    def find(self, name: str) -> Path:
        """The path of a file in the folder. Raises NotFoundError for everything else."""
        parts = name.split("/")
        if not name or "\0" in name or "\\" in name or any(p[:1] in ("", ".") for p in parts):
            raise NotFoundError
        try:
            path = self.folder.joinpath(*parts).resolve(strict=True)
        except (OSError, ValueError, RuntimeError) as error:
            raise NotFoundError from error
        if not path.is_relative_to(self.folder) or not path.is_file() or not self._belongs(path):
            raise NotFoundError
        if any(part.startswith(".") for part in path.relative_to(self.folder).parts):
            raise NotFoundError
        return path

    def find_video(self, name: str) -> Path:
        """The path of a video in the folder. Raises NotFoundError for everything else."""
        path = self.find(name)
        if not _looks_like_video(path):
            raise NotFoundError
        return path

    def find_result(self, name: str) -> Path:
        """The path of a video or of a page on it that facepipe made. Raises NotFoundError."""
        path = self.find(name)
        video = path
        if path.suffix == _PAGE_SUFFIX:
            video = next((one for one in _videos_of(path) if one.is_file()), path)
        if not sidecar_path(video).is_file():
            raise NotFoundError
        return path

    def name_of(self, path: Path) -> str:
        """What a file of the folder is called in it."""
        return path.relative_to(self.folder).as_posix()

    def videos(self) -> list[Listed]:
        """The videos of the folder, by name."""
        listed: list[Listed] = []
        for path in self._files():
            if len(listed) == _MOST_VIDEOS:
                break
            name = self.name_of(path)
            if printable(name) == name and _looks_like_video(path) and self._belongs(path):
                size = path.stat().st_size
                listed.append(Listed(name, size, sidecar_path(path).is_file()))
        return listed

    def _files(self) -> Iterator[Path]:
        seen = 0
        for folder, folders, names in os.walk(self.folder):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(names):
                seen += 1
                if seen > _MOST_FILES:
                    return
                path = Path(folder, name)
                if not name.startswith(".") and path.is_file():
                    yield path

    def _belongs(self, path: Path) -> bool:
        """Whether a file of the folder is what was named, or was made of it."""
        return self.only is None or path == self.only or _is_made_of(path, self.only)


def _looks_like_video(path: Path) -> bool:
    suffix = path.suffix.lower()
    return suffix in WRITTEN_SUFFIXES or suffix in READ_SUFFIXES or is_video(path)


def _is_made_of(path: Path, video: Path) -> bool:
    return path.parent == video.parent and path.name.startswith(video.stem + _MADE)


def _videos_of(page: Path) -> Iterator[Path]:
    return (page.with_suffix(suffix) for suffix in WRITTEN_SUFFIXES)


def analysis_path(video: Path) -> Path:
    """Where the analysis of a video lies: beside it."""
    return video.with_name(f"{video.name}.analysis.json")


def settings_path(video: Path) -> Path:
    """Where the settings for a video lie: beside it."""
    return video.with_name(f"{video.name}.settings.toml")


def page_path(target: Path) -> Path:
    """Where the page on a result lies: beside it."""
    return target.with_suffix(_PAGE_SUFFIX)


def is_target(target: Path, video: Path) -> bool:
    """Whether a result of a video may lie there."""
    stem = re.escape(video.stem + _MADE)
    return (
        target.parent == video.parent
        and target.suffix == _target_suffix(video)
        and re.fullmatch(rf"{stem}(-[0-9]+)?", target.stem) is not None
    )


def _target_suffix(video: Path) -> str:
    return video.suffix if video.suffix.lower() in WRITTEN_SUFFIXES else GENERAL_SUFFIX


def new_target(video: Path, taken: set[Path]) -> Path:
    """Where the next result of a video is to lie: beside it, under a name that nothing has."""
    number = 1
    while True:
        end = _MADE if number == 1 else f"{_MADE}-{number}"
        target = video.with_name(f"{video.stem}{end}{_target_suffix(video)}")
        if target not in taken and not any(
            path.exists() for path in (target, page_path(target), sidecar_path(target))
        ):
            return target
        number += 1
