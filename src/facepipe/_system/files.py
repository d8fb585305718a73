"""Files: the atomic writer, digests, and what a name says of a file."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import shutil
import time
from collections import OrderedDict
from collections.abc import Container, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import NamedTuple

from facepipe.errors import OutputError, WorkerError

#: Suffixes of the image files that are read and written.
IMAGE_SUFFIXES = frozenset(
    ".jpg .jpeg .jfif .jpe .mpo .png .webp .tif .tiff .bmp .dib .avif .heic .heif".split()  # noqa: SIM905
)


def is_image(path: Path) -> bool:
    """Whether a file is an image, by its suffix."""
    return path.suffix.lower() in IMAGE_SUFFIXES


def is_there(path: Path) -> bool:
    """Whether a path exists; False for a name that no disk takes."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


@contextmanager
def atomic_write(target: Path) -> Iterator[Path]:
    """Write a file atomically: gives a hidden path in the target's folder, renamed at a clean end.

    The path is `.STEM.XXXXXXXX.partial.SUFFIX`, so that a writer which goes by suffixes writes the
    right format; no two writers have the same, as the one that is given up may live on somewhere.
    The content reaches the disk (fsync) before the rename and the folder's entry after it:
    a kill or a power cut at any moment leaves the old file or the whole new one. After an exception
    the old file is still there and the partial one is gone; what a kill leaves, `remove_partials`
    removes.
    Raises OutputError for every OSError within.
    """
    partial = target.with_name(f".{target.stem}.{secrets.token_hex(4)}.partial{target.suffix}")
    try:
        yield partial
        with partial.open("rb+") as written:
            os.fsync(written.fileno())
        durable_rename(partial, target)
    except OSError as error:
        raise OutputError(f"{target}: cannot be written ({error.strerror or error})") from error
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


#: Names of partial files: stem and suffix of what they were to be.
_PARTIAL = re.compile(r"\.(.+)\.[0-9a-f]{8}\.partial(\.[^.]*)?", re.DOTALL)


def remove_partials(folder: Path, targets: Container[str]) -> None:
    """Remove the partial files that kills have left of `targets`, names in a folder."""
    with suppress(OSError):
        for entry in os.scandir(folder):
            found = _PARTIAL.fullmatch(entry.name) if entry.name.startswith(".") else None
            if found and (found[1] + (found[2] or "")) in targets:
                with suppress(OSError):
                    Path(entry.path).unlink()


def write_bytes(content: bytes, target: Path, *, modified_ns: int | None = None) -> None:
    """Write a file atomically, and make its folder where that is missing; see `atomic_write`.

    `modified_ns` is the date that it gets, in nanoseconds since 1970; None: now.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{target}: cannot be written ({error.strerror or error})") from error
    with atomic_write(target) as partial:
        partial.write_bytes(content)
        if modified_ns is not None:
            set_date(partial, modified_ns)


def date_of(path: Path) -> int | None:
    """When a file was last changed, in nanoseconds since 1970; None: the disk does not tell."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return None


def set_date(path: Path, modified_ns: int) -> None:
    """Say of a file when it was last changed, where its disk can."""
    with suppress(OSError, OverflowError):  # some network disks keep no dates
        os.utime(path, ns=(time.time_ns(), modified_ns))


def write_text(text: str, target: Path) -> None:
    """Write a text file atomically, in UTF-8 and with line ends as they are; see `write_bytes`."""
    write_bytes(text.encode(), target)


def durable_rename(source: Path, target: Path) -> None:
    """Rename a file within one disk, and wait until the target's folder has it on the disk."""
    source.replace(target)
    with suppress(OSError):  # Windows opens no folders, and some network disks do not sync them
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def move_file(source: Path, target: Path) -> Path:
    """Move a file to `target`, or to the next number where that is taken: `clip~2.mp4`.

    Nothing is replaced, not even what another process writes there meanwhile. A move on one disk
    that a kill cut short is finished by the next call. One to another disk begins anew, at the next
    number, and may leave an empty file or a whole copy. Returns where the file is now; raises
    OutputError.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        for number in count(1):
            name = f"{target.stem}~{number}{target.suffix}" if number > 1 else target.name
            place = target.with_name(name)
            if _moved(source, place):
                return place
    except OSError as error:
        raise OutputError(
            f"{source}: cannot be moved to {target} ({error.strerror or error})"
        ) from error
    raise AssertionError("numbers do not end")


def _moved(source: Path, place: Path) -> bool:
    """Move a file to a free place; False: it is taken. Errors: OSError, OutputError."""
    try:
        os.link(source, place, follow_symlinks=False)
    except FileExistsError:
        if not (place.samefile(source) and not source.is_symlink()):
            return False
    except (OSError, NotImplementedError):  # another disk, or one without links
        try:
            place.touch(exist_ok=False)
        except FileExistsError:
            return False
        try:
            _move_over(source, place)
        except BaseException:
            place.unlink(missing_ok=True)
            raise
        return True
    source.unlink()
    return True


def _move_over(source: Path, place: Path) -> None:
    """Move a file over an empty one, also from another disk. Errors: OSError, OutputError."""
    try:
        durable_rename(source, place)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        with atomic_write(place) as partial:
            shutil.copy2(source, partial)
        source.unlink()


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


#: Digests of the files last read; a long batch reads very many.
_SHA256: OrderedDict[FileVersion, str] = OrderedDict()
_MAX_DIGESTS = 1000


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
            remember_sha256(version, hashlib.file_digest(file, "sha256").hexdigest())
    return _SHA256[version]


def remember_sha256(version: FileVersion, digest: str) -> None:
    """Store the SHA-256 of a file version, so that `sha256_of` need not read it."""
    _SHA256[version] = digest
    while len(_SHA256) > _MAX_DIGESTS:
        _SHA256.popitem(last=False)


def check_written(path: Path, size: int, sha256: str | None = None) -> None:
    """Raise WorkerError unless a file is there with its size and, where given, its SHA-256."""
    try:
        found = path.stat().st_size
        whole = found == size and (sha256 is None or _sha256_now(path) == sha256)
    except OSError as error:
        raise WorkerError(
            f"{path} was reported as written and is not there ({error.strerror or error})"
        ) from error
    if not whole:
        raise WorkerError(f"{path} has another content than was reported as written")


def _sha256_now(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_address(name: str) -> bool:
    """Whether a source or a target is an address of fsspec (scheme://...) and no path."""
    return "://" in name
