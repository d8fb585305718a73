"""Files: which are photographs, their digests, and how they appear whole or not at all."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

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


class FileVersion(NamedTuple):
    """A file as it is now: any write gives it another version.

    A copy over it with the same size and a forged modification time changes `changed_ns`, which no
    call sets (Windows keeps the creation time there, and notices the modification time alone).
    """

    path: Path
    device: int
    inode: int
    size: int  # bytes
    modified_ns: int
    changed_ns: int


_SHA256: dict[FileVersion, str] = {}


def version_of(path: Path) -> FileVersion:
    """The version of a file, without reading it. Errors: OSError as the disk does."""
    status = path.stat()
    return FileVersion(
        path=path.resolve(),
        device=status.st_dev,
        inode=status.st_ino,
        size=status.st_size,
        modified_ns=status.st_mtime_ns,
        changed_ns=status.st_ctime_ns,
    )


def sha256_of(path: Path) -> str:
    """The file's SHA-256 as 64 hexadecimal digits; read again only where its version changed."""
    version = version_of(path)
    if version not in _SHA256:
        with path.open("rb") as file:
            _SHA256[version] = hashlib.file_digest(file, "sha256").hexdigest()
    return _SHA256[version]


def remember_sha256(version: FileVersion, digest: str) -> None:
    """Save `sha256_of` the reading: `digest` was worked out while the file was read."""
    _SHA256[version] = digest


def is_address(name: str) -> bool:
    """Whether a source or a target is an address that fsspec knows, and no path."""
    return "://" in name
