"""Sources and results that lie elsewhere, as addresses of fsspec: s3://, gs://, http(s)://, ...

A film is fetched before it is worked on, for it is read several times; a result is delivered when
it is whole, and what was kept of it here is removed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import fsspec

from facepipe.errors import InputError, OutputError, UsageError

Made = TypeVar("Made")


def listed(address: str) -> Iterator[tuple[str, str, int, int]]:
    """The files at or below an address: each one's own, its place, its bytes, and its version.

    The version is a number that changes when the file does, as far as the storage tells. Raises
    InputError where nothing is there, UsageError where this storage needs another package.
    """

    def find() -> tuple[Any, str, dict[str, Any]]:
        system, root = fsspec.core.url_to_fs(address)
        if system.isfile(root):
            return system, root.rpartition("/")[0], {root: system.info(root)}
        return system, root, system.find(root, detail=True)

    system, root, found = _reached(address, find)
    if not found:
        raise InputError(f"{address}: nothing is there")
    for name, info in sorted(found.items()):
        place = name[len(root) :].lstrip("/")
        yield system.unstrip_protocol(name), place, int(info.get("size") or 0), _version(info)


def fetch(address: str) -> bytes:
    """All that lies at an address. Raises as `listed`."""

    def read() -> bytes:
        with fsspec.open(address, "rb") as file:
            return bytes(file.read())

    return _reached(address, read)


@contextmanager
def fetched(address: str, folder: Path) -> Iterator[Path]:
    """A copy of what lies at an address, in `folder` and while it is needed. Raises as `listed`."""
    folder.mkdir(parents=True, exist_ok=True)
    suffix = Path(address.rpartition("/")[2]).suffix
    copy = folder / (hashlib.sha256(address.encode()).hexdigest()[:16] + suffix)

    def download() -> None:
        system, path = fsspec.core.url_to_fs(address)
        system.get_file(path, str(copy))

    try:
        _reached(address, download)
        yield copy
    finally:
        copy.unlink(missing_ok=True)


def deliver(path: Path, address: str, *, keep: bool = False) -> None:
    """Bring a file to an address and remove it here, unless it is to be kept.

    Raises OutputError where it is refused.
    """
    try:
        system, there = fsspec.core.url_to_fs(address)
        system.makedirs(there.rpartition("/")[0], exist_ok=True)
        system.put_file(str(path), there)
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


def _reached(address: str, how: Callable[[], Made]) -> Made:
    check_address(address)
    try:
        return how()
    except Exception as error:  # each storage has its own
        raise InputError(
            f"{address}: cannot be read ({str(error) or type(error).__name__})"
        ) from error


def _version(info: dict[str, Any]) -> int:
    for key in ("mtime", "ETag", "etag", "LastModified", "last_modified", "updated", "created"):
        if info.get(key) is not None:
            return int(hashlib.sha256(str(info[key]).encode()).hexdigest()[:15], 16)
    return 0
