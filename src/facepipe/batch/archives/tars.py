"""Reader of tars, header by header: tarfile keeps all members and ignores damage."""

from __future__ import annotations

import contextlib
import math
import tarfile
from collections.abc import Iterator, Mapping
from typing import IO

from facepipe.batch.archives.members import Limits, Member
from facepipe.batch.archives.unpack import STEP, TarStream, steps

_BLOCK = tarfile.BLOCKSIZE
_MAX_HEADER = 2**20  # bytes of a tar's long name or PAX header
_MAX_HEADERS = 64  # of those before one member
_SPECIAL_FILES = {
    tarfile.SYMTYPE: "a symbolic link",
    tarfile.LNKTYPE: "a hard link",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.FIFOTYPE: "a FIFO",
    tarfile.GNUTYPE_SPARSE: "a sparse file",
}
_PAX = (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE)
_HEADERS = (*_PAX, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)


class TarReader:
    """The members of a tar, and their content; ValueError at once for a file that is no tar."""

    def __init__(self, file: IO[bytes]) -> None:
        self._stream = TarStream(file)
        self._header(0, Limits())

    def entries(self, limits: Limits) -> Iterator[tuple[Member | None, str]]:
        """Each member, its name not checked yet, and why it is refused; None for a folder."""
        at, headers, fault = 0, 0, ""
        extended: dict[str, str] = {}  # from the headers before a member's own
        while (info := self._header(at, limits)) is not None:
            at += _BLOCK
            if info.type in _HEADERS:
                headers += 1
                if headers > _MAX_HEADERS:
                    raise ValueError(f"more than {_MAX_HEADERS} headers for one member")
                fault = fault or self._extend(extended, info, at, limits)
                at += _padded(info.size)
                continue
            size = _size_of(info, extended, at)
            if info.type == tarfile.GNUTYPE_SPARSE:
                at = self._after_map(at, limits)
            holds = info.isreg() or info.type not in tarfile.SUPPORTED_TYPES
            held = size if holds else 0
            self._stream.expect(at + held)
            stored = extended.get("path", info.name)
            if _is_folder(info, stored, size):
                yield None, ""
            else:
                fault = fault or _kind_refusal(info, extended)
                modified = _seconds(extended.get("mtime", info.mtime))
                yield Member("", stored, size, at, modified), fault
            at += _padded(held)
            extended, headers, fault = {}, 0, ""

    def _header(self, at: int, limits: Limits) -> tarfile.TarInfo | None:
        """The header at a byte; None: the end mark. ValueError for anything else."""
        self._stream.seek(at, limits)
        block = self._stream.read(_BLOCK)
        if block == bytes(_BLOCK):
            rest = self._stream.read(STEP)
            if any(rest[n + 257 : n + 262] == b"ustar" for n in range(0, len(rest), _BLOCK)):
                raise ValueError(f"more members follow the end mark at byte {at}")
            return None
        if not block:
            raise EOFError(f"cut short: no end mark at byte {at}")
        try:
            info = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except tarfile.HeaderError as error:
            what = f"damaged or cut short at byte {at}" if at else "no tar archive"
            raise ValueError(f"{what}: {error}") from error
        if info.size < 0:
            raise ValueError(f"a negative size at byte {at}")
        return info

    def _extend(
        self, extended: dict[str, str], info: tarfile.TarInfo, at: int, limits: Limits
    ) -> str:
        """Read an extension header of the next member; why that is refused (empty: it is not)."""
        if info.size > _MAX_HEADER:
            return f"a header of {info.size} bytes goes before it"
        self._stream.seek(at, limits)
        body = self._stream.read(info.size)
        if len(body) < info.size:
            raise EOFError(f"cut short at byte {at}")
        if info.type == tarfile.GNUTYPE_LONGNAME:
            extended["path"] = body.partition(b"\0")[0].decode("utf-8", "surrogateescape")
        elif info.type in _PAX:
            try:
                extended |= _pax_records(body)
            except ValueError:
                return "its PAX header is damaged"
        return ""

    def _after_map(self, at: int, limits: Limits) -> int:
        """Offset of a sparse file's data: its map may continue after the header."""
        self._stream.seek(at - _BLOCK, limits)
        more = self._stream.read(_BLOCK)[482]
        while more:
            block = self._stream.read(_BLOCK)
            if len(block) < _BLOCK:
                raise EOFError(f"cut short at byte {at}")
            at, more = at + _BLOCK, block[504]
        return at

    def unpacked(self, member: Member, limits: Limits) -> bytes:
        """The content of a member."""
        if member.packing is not None:
            raise ValueError("no member of a tar")
        self._stream.seek(member.offset, limits)
        return b"".join(steps(self._stream, member.size, ratio=limits.ratio, free=STEP))


def _pax_records(body: bytes) -> dict[str, str]:
    """Path, size and mtime from a PAX header, and whether the file is sparse; else ValueError."""
    records, at = {}, 0
    while at < len(body):
        space = body.index(b" ", at, at + 20)
        end = at + int(body[at:space])
        key, equals, value = body[space + 1 : end - 1].partition(b"=")
        if not equals or not space < end <= len(body):
            raise ValueError("no record of a PAX header")
        if key in (b"path", b"size", b"mtime"):
            records[key.decode()] = value.decode("utf-8", "surrogateescape")
        elif key.startswith(b"GNU.sparse."):
            records["sparse"] = ""
        at = end
    return records


def _size_of(info: tarfile.TarInfo, extended: Mapping[str, str], at: int) -> int:
    """Bytes of a member, by its headers up to byte `at`."""
    size = int(extended.get("size", info.size))
    if size < 0:
        raise ValueError(f"a negative size at byte {at}")
    return size


def _is_folder(info: tarfile.TarInfo, stored: str, size: int) -> bool:
    """Whether it is one, also by the rule of old tars: an empty file whose name ends in a slash."""
    return info.isdir() or (info.isreg() and stored.endswith("/") and not size)


def _kind_refusal(info: tarfile.TarInfo, extended: Mapping[str, str]) -> str:
    """Why a member of its kind is refused; empty: it is not."""
    if info.type in _SPECIAL_FILES:
        return _SPECIAL_FILES[info.type]
    if "sparse" in extended:
        return "a sparse file"
    return "" if info.isreg() else f"of an unknown kind ({info.type!r})"


def _padded(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK


def _seconds(value: str | float) -> float | None:
    with contextlib.suppress(ValueError, OverflowError):
        return seconds if math.isfinite(seconds := float(value)) else None
    return None
