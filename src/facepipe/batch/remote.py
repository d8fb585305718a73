"""Remote sources and results, as addresses of fsspec: s3://, gs://, http(s)://, ...

A video is downloaded before it is enhanced, because it is read several times. A result is uploaded
when it is complete, and the local copy is removed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import fsspec

from facepipe.errors import InputError, OutputError, UsageError

Found = TypeVar("Found")


def list_files(address: str) -> Iterator[tuple[str, str, int, int]]:
    """The files at or below an address: address, relative path, bytes and version of each.

    The version is a number that changes with the file, as far as the storage shows it. Raises
    InputError where there is no file, UsageError where this storage needs another package.
    """

    def find() -> tuple[Any, str, dict[str, Any]]:
        system, root = fsspec.core.url_to_fs(address)
        if system.isfile(root):
            return system, root.rpartition("/")[0], {root: system.info(root)}
        return system, root, system.find(root, detail=True)

    system, root, found = _read(address, find)
    if not found:
        raise InputError(f"{address}: there is no file")
    for name, info in sorted(found.items()):
        place = name[len(root) :].lstrip("/")
        yield system.unstrip_protocol(name), place, int(info.get("size") or 0), _version(info)


def download(address: str) -> bytes:
    """Download the content of an address. Raises as `list_files`."""

    def read() -> bytes:
        with fsspec.open(address, "rb") as file:
            return bytes(file.read())

    return _read(address, read)


@contextmanager
def downloaded(address: str, folder: Path) -> Iterator[Path]:
    """Download a temporary copy into `folder`; removed at the end. Raises as `list_files`."""
    folder.mkdir(parents=True, exist_ok=True)
    suffix = Path(address.rpartition("/")[2]).suffix
    copy = folder / (hashlib.sha256(address.encode()).hexdigest()[:16] + suffix)

    def get() -> None:
        system, path = fsspec.core.url_to_fs(address)
        system.get_file(path, str(copy))

    try:
        _read(address, get)
        yield copy
    finally:
        copy.unlink(missing_ok=True)


def upload(path: Path, address: str, *, keep: bool = False) -> None:
    """Upload a file to an address and remove it here, unless it is to be kept.

    Raises OutputError where that is refused.
    """
    try:
        system, target = fsspec.core.url_to_fs(address)
        system.makedirs(target.rpartition("/")[0], exist_ok=True)
        system.put_file(str(path), target)
    except Exception as error:  # each storage has its own
        raise OutputError(f"{address}: cannot be written ({error})") from error
    if not keep:
        path.unlink()


def check_address(address: str) -> None:
    """Raise UsageError where no installed package knows this kind of address."""
    try:
        fsspec.core.url_to_fs(address)
    except (ImportError, ValueError) as error:
        raise UsageError(f"{address}: {error}; pip install 'facepipe[remote]'") from error
    except Exception as error:  # as above
        raise UsageError(f"{address}: cannot be reached ({error})") from error


def _read(address: str, read: Callable[[], Found]) -> Found:
    check_address(address)
    try:
        return read()
    except Exception as error:  # each storage has its own
        raise InputError(
            f"{address}: cannot be read ({str(error) or type(error).__name__})"
        ) from error


def _version(info: dict[str, Any]) -> int:
    for key in ("mtime", "ETag", "etag", "LastModified", "last_modified", "updated", "created"):
        if info.get(key) is not None:
            return int(hashlib.sha256(str(info[key]).encode()).hexdigest()[:15], 16)
    return 0
