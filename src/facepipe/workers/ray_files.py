"""A file server on Ray: workers read files of the driver's disk that they cannot see, in blocks.

A worker that decodes a span reads the file's head and the bytes of that span, and little more.
Importing this module registers the addresses with fsspec.
"""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import fsspec
import ray
from fsspec.spec import AbstractBufferedFile, AbstractFileSystem
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

_SCHEME = "facepipe-remote"


class _FileReader:
    """An actor that reads files of the node that it runs on."""

    def size(self, path: str) -> int:
        return Path(path).stat().st_size

    def read(self, path: str, start: int, stop: int) -> bytes:
        with Path(path).open("rb") as file:
            file.seek(start)
            return file.read(stop - start)


class FileServer:
    """Serves the files of this machine to a cluster's workers; it is sent to each of them."""

    def __init__(self) -> None:
        this_node = NodeAffinitySchedulingStrategy(
            node_id=ray.get_runtime_context().get_node_id(), soft=False
        )
        actor: Any = ray.remote(_FileReader)
        self.key = uuid.uuid4().hex
        self._reader = actor.options(
            num_cpus=0,
            max_restarts=-1,
            max_task_retries=-1,
            max_concurrency=8,
            scheduling_strategy=this_node,
        ).remote()

    def address(self, path: str) -> str:
        """The address under which a connected worker opens the file `path`."""
        return f"{_SCHEME}://{self.key}{Path(path).absolute()}"

    def connect(self) -> None:
        """Let this process open the server's addresses."""
        _connected[self.key] = self._reader


#: The readers of the servers that this process is connected to, by the server's key.
_connected: dict[str, Any] = {}


class _RemoteFileSystem(AbstractFileSystem):  # type: ignore[misc]
    """The files of the file servers by their addresses, for reading alone."""

    protocol = _SCHEME
    cachable = False

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        reader, remote_path = _resolve(self._strip_protocol(path))
        try:
            size = ray.get(reader.size.remote(remote_path))
        except ray.exceptions.RayTaskError as error:
            raise FileNotFoundError(remote_path) from error
        return {"name": path, "size": size, "type": "file"}

    def _open(self, path: str, mode: str = "rb", **options: Any) -> _RemoteFile:
        options.pop("autocommit", None)
        return _RemoteFile(self, path, mode, **options)


class _RemoteFile(AbstractBufferedFile):  # type: ignore[misc]
    def _fetch_range(self, start: int, end: int) -> bytes:
        reader, remote_path = _resolve(self.path)
        return bytes(ray.get(reader.read.remote(remote_path, start, end)))


def _resolve(address: str) -> tuple[Any, str]:
    """The reader of an address, and the path on its machine."""
    key, _, path = address.partition("/")
    return _connected[key], f"/{path}"


fsspec.register_implementation(_SCHEME, _RemoteFileSystem, clobber=True)
