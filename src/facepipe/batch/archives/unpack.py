"""Streams that decompress no more at a time than asked for, and refuse bombs."""

from __future__ import annotations

import bz2
import io
import lzma
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import IO, Protocol

from facepipe.batch.archives.members import Limits

STEP = 2**20  # bytes unpacked at a time; smaller contents are not checked for their ratio
_INPUT = 2**14  # compressed bytes read at a time
_UNKNOWN = 2**63
_LZMA_MEMORY = 2**28  # bytes; `xz -9` wants a quarter of it


class _Stream(Protocol):
    """Bytes in order, and the number of the archive's bytes that were read for them."""

    @property
    def taken(self) -> int: ...
    def read(self, size: int, /) -> bytes: ...


class _Decompressor(Protocol):
    """The interface of bz2's and lzma's decompressors, which unpack no more than asked for."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _Inflate:
    """zlib as a _Decompressor; `wbits` is -15 for a bare stream, 31 for gzip."""

    def __init__(self, wbits: int) -> None:
        self._decompressor = zlib.decompressobj(wbits)

    @property
    def eof(self) -> bool:
        return self._decompressor.eof

    @property
    def needs_input(self) -> bool:
        return not self._decompressor.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._decompressor.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._decompressor.decompress(self._decompressor.unconsumed_tail + data, max_length)


class Window:
    """`length` bytes of a file from `start` on."""

    def __init__(self, file: IO[bytes], start: int, length: int) -> None:
        file.seek(start)
        self._file, self._length, self.taken = file, length, 0

    def read(self, size: int) -> bytes:
        """`size` bytes, fewer only at the end."""
        data = self._file.read(max(0, min(size, self._length - self.taken)))
        self.taken += len(data)
        return data


class _DecompressedStream:
    """A decompressed stream; another one that matches `next_head` may follow it."""

    def __init__(
        self,
        source: Window,
        next_head: re.Pattern[bytes] | None,
        start: Callable[[], _Decompressor],
        *,
        first: bytes = b"",
    ) -> None:
        self._source, self._start, self._next_head, self._pending = source, start, next_head, first
        self._decompressor = start()

    @property
    def taken(self) -> int:
        return self._source.taken

    def read(self, size: int) -> bytes:
        """`size` bytes, fewer only at the end; EOFError where the compressed bytes run out."""
        parts = []
        while size > 0 and (not self._decompressor.eof or self._start_next()):
            data, needs_input = b"", self._decompressor.needs_input
            if needs_input:
                data, self._pending = self._pending or self._source.read(_INPUT), b""
            part = self._decompressor.decompress(data, size)
            if needs_input and not data and not part and not self._decompressor.eof:
                raise EOFError("cut short")
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def _start_next(self) -> bool:
        """Start the stream that follows in the same file, after any zeros in between."""
        if self._next_head is None:
            return False
        rest = self._decompressor.unused_data.lstrip(b"\0")
        while len(rest) < 10 and (more := self._source.read(_INPUT)):
            rest = (rest + more).lstrip(b"\0")
        if not self._next_head.match(rest):
            self._next_head = None
            return False
        self._decompressor, self._pending = self._start(), rest
        return True


class TarStream:
    """The bytes of a tar; going back in a compressed one unpacks it from its start."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._length = file, file.seek(0, io.SEEK_END)
        file.seek(0)
        head = file.read(10)
        self._kind = next((kind for kind in _KINDS if kind[0].match(head)), None)
        self._at, self._bytes = 0, self._reopened()

    @property
    def taken(self) -> int:
        return self._bytes.taken

    def read(self, size: int) -> bytes:
        """The next `size` bytes, fewer only at the end; EOFError where it is cut short."""
        at, self._at = self._at, _UNKNOWN  # so that a failed read leaves no position
        data = self._bytes.read(size)
        self._at = at + len(data)
        return data

    def expect(self, end: int) -> None:
        """Raise EOFError where an uncompressed tar is known to end before byte `end`."""
        if self._kind is None and end > self._length:
            raise EOFError(f"cut short: {self._length} bytes of {end} or more")

    def seek(self, at: int, limits: Limits) -> None:
        """Let `read` continue at byte `at`; EOFError where there is none."""
        if self._kind is None:
            self._bytes, self._at = Window(self._file, at, self._length - at), at
            return
        if at < self._at:
            self._at, self._bytes = 0, self._reopened()
        free = max(STEP, limits.member_bytes)
        for _ in steps(self, at - self._at, ratio=limits.ratio, free=free):
            pass

    def _reopened(self) -> _Stream:
        window = Window(self._file, 0, self._length)
        return window if self._kind is None else _DecompressedStream(window, *self._kind)


_KINDS: tuple[tuple[re.Pattern[bytes], Callable[[], _Decompressor]], ...] = (
    (re.compile(rb"\x1f\x8b"), lambda: _Inflate(31)),
    (re.compile(rb"BZh[1-9]1AY&SY"), bz2.BZ2Decompressor),
    (re.compile(rb"\xfd7zXZ\0"), lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, _LZMA_MEMORY)),
)


def zip_stream(window: Window, method: int) -> _Stream:
    """Decompress what a zip stores in `window` by one of zipfile's methods; ValueError: unknown."""
    if method == zipfile.ZIP_STORED:
        return window
    if method == zipfile.ZIP_DEFLATED:
        return _DecompressedStream(window, None, lambda: _Inflate(-15))
    if method == zipfile.ZIP_BZIP2:
        return _DecompressedStream(window, None, bz2.BZ2Decompressor)
    if method != zipfile.ZIP_LZMA:
        raise ValueError(f"the compression method {method} is not known here")
    # A zip stores LZMA's five bytes of properties after a header of its own.
    if window.read(4)[2:] != b"\5\0":
        raise ValueError("its LZMA header is damaged")
    first = window.read(5) + b"\xff" * 8
    return _DecompressedStream(
        window, None, lambda: lzma.LZMADecompressor(lzma.FORMAT_ALONE, _LZMA_MEMORY), first=first
    )


def steps(stream: _Stream, size: int, *, ratio: float, free: int) -> Iterator[bytes]:
    """The next `size` bytes in parts; beyond `free` bytes, at most `ratio` times the packed ones.

    Raises EOFError where they run out, and ValueError for a bomb.
    """
    start, done = stream.taken, 0
    while done < size:
        part = stream.read(min(STEP, size - done))
        if not part:
            raise EOFError(f"cut short: {done} bytes of {size}")
        done += len(part)
        packed = stream.taken - start + _INPUT  # what was taken before may not be used up yet
        if done > free and done > ratio * packed:
            raise ValueError(f"a bomb: {done} bytes, and more to come, of {packed} in the archive")
        yield part
