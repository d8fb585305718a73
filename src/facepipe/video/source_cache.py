"""Read cache of one source: it is opened often, read once, and digested by the same reads.

A run opens its source several times: to probe it, to try the target's container, to copy streams.
Each time FFmpeg reads the header, the index and the first packets, and the digest needs every byte.
Within `read_once` all of them read through one `SourceCache`: the first and the last blocks stay in
memory, and the digest is worked out from what the probe reads anyway.
"""

from __future__ import annotations

import errno
import hashlib
import io
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

import av

from facepipe._system.files import FileVersion, remember_sha256, version_of
from facepipe.errors import InputError

#: Bytes that are read at once, and kept or forgotten together.
BLOCK_BYTES = 2**20
#: Blocks kept for good of either end, where containers have their index, and kept of the others:
#: those read last, for readers that go through a file side by side. 32 MiB at most.
HEAD_BLOCKS, TAIL_BLOCKS, RECENT_BLOCKS = 16, 4, 12


class SourceCache:
    """The blocks of one file that are in memory, and the digest of those read so far."""

    def __init__(self, path: Path) -> None:
        """Does not touch the file yet, which need not be there."""
        self.path = path
        self._ends: dict[int, bytes] = {}
        self._recent: OrderedDict[int, bytes] = OrderedDict()
        self._digest = hashlib.sha256()
        self._digested = 0  # blocks

    @cached_property
    def version(self) -> FileVersion:
        """The file's version when it was first opened. Errors: OSError as the disk does."""
        return version_of(self.path)

    @cached_property
    def blocks(self) -> int:
        """How many blocks the file has, of which the last may be shorter."""
        return -(-self.version.size // BLOCK_BYTES)

    def open(self) -> CachedFile:
        """A file object at the beginning. Errors: OSError where there is no such file."""
        return CachedFile(self, self.version.size)

    def kept(self, number: int) -> bytes | None:
        """Block `number` where it is in memory."""
        if number in self._recent:
            self._recent.move_to_end(number)
            return self._recent[number]
        return self._ends.get(number)

    def keep(self, number: int, data: bytes) -> None:
        """Take block `number` into memory and, once those before it are, into the digest."""
        if number < HEAD_BLOCKS or number >= self.blocks - TAIL_BLOCKS:
            self._ends[number] = data
        else:
            self._recent[number] = data
            if len(self._recent) > RECENT_BLOCKS:
                self._recent.popitem(last=False)
        while (next_one := self.kept(self._digested)) is not None:
            self._digest.update(next_one)
            self._digested += 1

    def sha256(self) -> str:
        """The file's SHA-256; only the blocks that nobody has asked for are read now.

        Raises InputError where the file has changed since it was first opened.
        """
        try:
            with self.open() as file:
                while self._digested < self.blocks and file.block(self._digested):
                    pass  # what is read is digested
            now = version_of(self.path)
        except OSError as error:
            raise InputError(f"{self.path} cannot be read: {error.strerror or error}") from error
        if now != self.version:
            raise InputError(f"{self.path} changed while it was read; nothing was written")
        digest = self._digest.hexdigest()
        remember_sha256(self.version, digest)
        return digest


class CachedFile(io.RawIOBase):
    """Seekable file object over a SourceCache, for FFmpeg to read from; `name` has the suffix.

    The disk is asked for blocks that are not in memory, and the file opened with the first of them.
    """

    def __init__(self, cache: SourceCache, size: int) -> None:
        super().__init__()
        self.name = str(cache.path.absolute())
        self._cache = cache
        self._size = size  # bytes
        self._file: BinaryIO | None = None
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        if at < 0:
            raise av.OSError(errno.EINVAL, "there is nothing before the beginning", self.name)
        self._at = at
        return at

    def readinto(self, buffer: Any) -> int:
        """Fill `buffer` up to the end of the file. Errors: FFmpeg's own kind, as it would raise."""
        view, done = memoryview(buffer).cast("B"), 0
        try:
            while done < len(view) and self._at < self._size:
                number, offset = divmod(self._at, BLOCK_BYTES)
                piece = memoryview(self.block(number))[offset : offset + len(view) - done]
                if not piece:  # the file has become shorter
                    break
                view[done : done + len(piece)] = piece
                done += len(piece)
                self._at += len(piece)
        except OSError as error:
            raise av.OSError(error.errno or errno.EIO, str(error.strerror), self.name) from error
        return done

    def block(self, number: int) -> bytes:
        """Block `number`, from memory or else from the disk."""
        data = self._cache.kept(number)
        if data is None:
            self._file = self._file or self._cache.path.open("rb")
            self._file.seek(number * BLOCK_BYTES)
            data = self._file.read(BLOCK_BYTES)
            self._cache.keep(number, data)
        return data

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
        super().close()


#: The code of functions that FFmpeg calls: what is raised there, and is no Exception, is lost.
#: `facepipe.cli.signals` waits until they have ended.
CALLED_BY_FFMPEG = frozenset(
    function.__code__ for function in (CachedFile.tell, CachedFile.seek, CachedFile.readinto)
)

_CURRENT: ContextVar[SourceCache | None] = ContextVar("source cache", default=None)


@contextmanager
def read_once(path: Path) -> Iterator[SourceCache]:
    """Context in which `open_source(path)` reads through the SourceCache that it gives.

    For one thread: the cache has no lock.
    """
    cache = SourceCache(path)
    token = _CURRENT.set(cache)
    try:
        yield cache
    finally:
        _CURRENT.reset(token)


def cached_file(path: Path) -> CachedFile | None:
    """A file object of the source that is read once; None for every other path."""
    cache = _CURRENT.get()
    return cache.open() if cache is not None and path == cache.path else None
