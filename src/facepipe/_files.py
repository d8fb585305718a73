"""Files: which are photographs, their digests, and how they appear whole or not at all."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from facepipe.errors import OutputError

#: Suffixes of the pictures that are read and written.
IMAGE_SUFFIXES = frozenset(
    [".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".avif", ".heic", ".heif"]
)


def is_picture(path: Path) -> bool:
    """Whether a file is a picture, by its name."""
    return path.suffix.lower() in IMAGE_SUFFIXES


def is_there(path: Path) -> bool:
    """Whether something has that name; one that no disk takes is none."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def write_whole(content: bytes, target: Path) -> None:
    """Write a file by a temporary name, and its folder where that is missing.

    Raises OutputError where the disk refuses; then what was there before is there still.
    """
    partial = target.with_name(f".{target.name}.partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            partial.write_bytes(content)
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{target}: cannot be written ({error.strerror or error})") from error


@cache
def _digest(path: Path, _size: int, _modified: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of(path: Path) -> str:
    """The file's SHA-256 as 64 hexadecimal digits; remembered while the file does not change."""
    status = path.stat()
    return _digest(path.resolve(), status.st_size, status.st_mtime_ns)


def is_address(name: str) -> bool:
    """Whether a source or a target is an address that fsspec knows, and no path."""
    return "://" in name
