"""Files lent to workers that do not see this machine's disk: read in blocks through Ray.

A worker that decodes a span reads the file's head and the bytes of that span, and little more.
Importing this makes fsspec know the addresses.
"""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import fsspec
import ray
from fsspec.spec import AbstractBufferedFile, AbstractFileSystem
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

_SCHEME = "facepipe-lent"


class _Librarian:
    """Reads files of the machine that it runs on."""

    def size(self, path: str) -> int:
        return Path(path).stat().st_size

    def read(self, path: str, start: int, stop: int) -> bytes:
        with Path(path).open("rb") as file:
            file.seek(start)
            return file.read(stop - start)


class Library:
    """What lends this machine's files to a cluster's workers; to be sent to each of them."""

    def __init__(self) -> None:
        here = NodeAffinitySchedulingStrategy(
            node_id=ray.get_runtime_context().get_node_id(), soft=False
        )
        actor: Any = ray.remote(_Librarian)
        self.key = uuid.uuid4().hex
        self._librarian = actor.options(
            num_cpus=0,
            max_restarts=-1,
            max_task_retries=-1,
            max_concurrency=8,
            scheduling_strategy=here,
        ).remote()

    def address(self, path: str) -> str:
        """Under what a worker that called `enter` opens the file `path`."""
        return f"{_SCHEME}://{self.key}{Path(path).absolute()}"

    def enter(self) -> None:
        """Let this process read the addresses of this library."""
        _entered[self.key] = self._librarian


_entered: dict[str, Any] = {}


class _LentFiles(AbstractFileSystem):  # type: ignore[misc]
    """Files of another machine by their addresses; they can be read, and nothing else."""

    protocol = _SCHEME
    cachable = False

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        librarian, there = _found(self._strip_protocol(path))
        try:
            size = ray.get(librarian.size.remote(there))
        except ray.exceptions.RayTaskError as error:
            raise FileNotFoundError(there) from error
        return {"name": path, "size": size, "type": "file"}

    def _open(self, path: str, mode: str = "rb", **how: Any) -> _LentFile:
        how.pop("autocommit", None)
        return _LentFile(self, path, mode, **how)


class _LentFile(AbstractBufferedFile):  # type: ignore[misc]
    def _fetch_range(self, start: int, end: int) -> bytes:
        librarian, there = _found(self.path)
        return bytes(ray.get(librarian.read.remote(there, start, end)))


def _found(address: str) -> tuple[Any, str]:
    key, _, path = address.partition("/")
    return _entered[key], f"/{path}"


fsspec.register_implementation(_SCHEME, _LentFiles, clobber=True)
