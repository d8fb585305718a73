"""Compressed bytes unpacked in a stream: never more at a time than asked for, and no bombs."""

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

STEP = 2**20  # bytes unpacked at a time; no ratio is judged below that
_SIP = 2**14  # compressed bytes taken at a time
_NOWHERE = 2**63
_LZMA_MEMORY = 2**28  # bytes; `xz -9` wants a quarter of it


class _Stream(Protocol):
    """Bytes in order, and how many bytes of the archive were taken for them."""

    @property
    def taken(self) -> int: ...
    def read(self, size: int, /) -> bytes: ...


class _Engine(Protocol):
    """What bz2 and lzma have to unpack no more than asked for."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _Inflate:
    """zlib as an _Engine; `wbits` is -15 for a bare stream, 31 for gzip."""

    def __init__(self, wbits: int) -> None:
        self._engine = zlib.decompressobj(wbits)

    @property
    def eof(self) -> bool:
        return self._engine.eof

    @property
    def needs_input(self) -> bool:
        return not self._engine.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._engine.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._engine.decompress(self._engine.unconsumed_tail + data, max_length)


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


class _Unpacked:
    """What comes out of compressed bytes; a stream that matches `again` may follow the first."""

    def __init__(
        self,
        source: Window,
        again: re.Pattern[bytes] | None,
        begin: Callable[[], _Engine],
        *,
        first: bytes = b"",
    ) -> None:
        self._source, self._begin, self._again, self._pending = source, begin, again, first
        self._engine = begin()

    @property
    def taken(self) -> int:
        return self._source.taken

    def read(self, size: int) -> bytes:
        """`size` bytes, fewer only at the end; EOFError where the compressed bytes run out."""
        parts = []
        while size > 0 and (not self._engine.eof or self._goes_on()):
            data, hungry = b"", self._engine.needs_input
            if hungry:
                data, self._pending = self._pending or self._source.read(_SIP), b""
            part = self._engine.decompress(data, size)
            if hungry and not data and not part and not self._engine.eof:
                raise EOFError("cut short")
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def _goes_on(self) -> bool:
        """Begin the stream that follows in the same file, after any zeros between them."""
        if self._again is None:
            return False
        rest = self._engine.unused_data.lstrip(b"\0")
        while len(rest) < 10 and (more := self._source.read(_SIP)):
            rest = (rest + more).lstrip(b"\0")
        if not self._again.match(rest):
            self._again = None
            return False
        self._engine, self._pending = self._begin(), rest
        return True


class TarStream:
    """The bytes of a tar; to go back in a compressed one it is unpacked from the beginning."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._length = file, file.seek(0, io.SEEK_END)
        file.seek(0)
        head = file.read(10)
        self._kind = next((kind for kind in _KINDS if kind[0].match(head)), None)
        self._at, self._bytes = 0, self._begun()

    @property
    def taken(self) -> int:
        return self._bytes.taken

    def read(self, size: int) -> bytes:
        """The next `size` bytes, fewer only at the end; EOFError where it is cut short."""
        at, self._at = self._at, _NOWHERE  # where a fault leaves it
        data = self._bytes.read(size)
        self._at = at + len(data)
        return data

    def expect(self, end: int) -> None:
        """Raise EOFError where an uncompressed tar is known to end before byte `end`."""
        if self._kind is None and end > self._length:
            raise EOFError(f"cut short: {self._length} bytes of {end} or more")

    def goto(self, at: int, limits: Limits) -> None:
        """Have `read` give the bytes from `at` on; EOFError where there are none."""
        if self._kind is None:
            self._bytes, self._at = Window(self._file, at, self._length - at), at
            return
        if at < self._at:
            self._at, self._bytes = 0, self._begun()
        free = max(STEP, limits.member_bytes)
        for _ in steps(self, at - self._at, ratio=limits.ratio, free=free):
            pass

    def _begun(self) -> _Stream:
        window = Window(self._file, 0, self._length)
        return window if self._kind is None else _Unpacked(window, *self._kind)


_KINDS: tuple[tuple[re.Pattern[bytes], Callable[[], _Engine]], ...] = (
    (re.compile(rb"\x1f\x8b"), lambda: _Inflate(31)),
    (re.compile(rb"BZh[1-9]1AY&SY"), bz2.BZ2Decompressor),
    (re.compile(rb"\xfd7zXZ\0"), lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, _LZMA_MEMORY)),
)


def zip_stream(window: Window, method: int) -> _Stream:
    """What a zip keeps in `window` by a method of zipfile's; ValueError for one not known."""
    if method == zipfile.ZIP_STORED:
        return window
    if method == zipfile.ZIP_DEFLATED:
        return _Unpacked(window, None, lambda: _Inflate(-15))
    if method == zipfile.ZIP_BZIP2:
        return _Unpacked(window, None, bz2.BZ2Decompressor)
    if method != zipfile.ZIP_LZMA:
        raise ValueError(f"the compression method {method} is not known here")
    # A zip has the five bytes of properties behind a header of its own; here goes lzma's.
    if window.read(4)[2:] != b"\5\0":
        raise ValueError("its LZMA header is damaged")
    first = window.read(5) + b"\xff" * 8
    return _Unpacked(
        window, None, lambda: lzma.LZMADecompressor(lzma.FORMAT_ALONE, _LZMA_MEMORY), first=first
    )


def steps(stream: _Stream, size: int, *, ratio: float, free: int) -> Iterator[bytes]:
    """The next `size` bytes in parts; more than `free` must not come of too few in the archive.

    Raises EOFError where they run out, and ValueError for a bomb.
    """
    begun, done = stream.taken, 0
    while done < size:
        part = stream.read(min(STEP, size - done))
        if not part:
            raise EOFError(f"cut short: {done} bytes of {size}")
        done += len(part)
        packed = stream.taken - begun + _SIP  # what was taken before may not be used up yet
        if done > free and done > ratio * packed:
            raise ValueError(f"a bomb: {done} bytes, and more to come, of {packed} in the archive")
        yield part
