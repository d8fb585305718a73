"""Reader of zips: zipfile reads the directory; members are unpacked here, within limits."""

from __future__ import annotations

import contextlib
import stat
import struct
import zipfile
import zlib
from bisect import bisect_right
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import IO

from facepipe.batch.archives.members import Limits, Member, Packing
from facepipe.batch.archives.unpack import STEP, Window, steps, zip_stream

_LOCAL_HEADER = 30  # bytes of a zip's local header without name and extra fields
_ENCRYPTED, _PATCHED, _MARKED_UTF8 = 0x2041, 0x20, 0x800  # flags of a zip's member
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)


class ZipReader:
    """The members of a zip, and their content."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        with zipfile.ZipFile(file) as directory:
            self._infos, self._end = directory.filelist, directory.start_dir
        self._starts = sorted(info.header_offset for info in self._infos)

    def entries(self, _: Limits) -> Iterator[tuple[Member | None, str]]:
        """Each member, its name not checked yet, and why it is refused; None for a folder."""
        for info in self._infos:
            kind = stat.S_IFMT(info.external_attr >> 16)
            folder = kind == stat.S_IFDIR or info.orig_filename.endswith(("/", "\\"))
            if folder and not info.file_size:
                yield None, ""
                continue
            fault = "a folder that holds data" if folder else self._fault(info, kind)
            packing = Packing(info.compress_size, info.compress_type, info.CRC)
            stored, modified, at = _zip_name(info), _zip_seconds(info), info.header_offset
            yield Member("", stored, info.file_size, at, modified, packing), fault

    def _fault(self, info: zipfile.ZipInfo, kind: int) -> str:
        if kind not in (0, stat.S_IFREG):
            return "a symbolic link" if kind == stat.S_IFLNK else "a device or another special file"
        if info.flag_bits & _ENCRYPTED:
            return "encrypted"
        if info.compress_type not in _METHODS or info.flag_bits & _PATCHED:
            return f"compressed by a method that is not known here ({info.compress_type})"
        return "it overlaps another member or the archive's directory" if self._laps(info) else ""

    def _laps(self, info: zipfile.ZipInfo) -> bool:
        """Whether a member overlaps another one or the directory.

        Members that share bytes make a small zip unpack to more than any ratio shows.
        """
        after = bisect_right(self._starts, info.header_offset)
        end = self._starts[after] if after < len(self._starts) else self._end
        least = _LOCAL_HEADER + len(info.orig_filename) + info.compress_size
        twice = after > 1 and self._starts[after - 2] == info.header_offset
        return twice or info.header_offset < 0 or info.header_offset + least > end

    def unpacked(self, member: Member, limits: Limits) -> bytes:
        """The content of a member, at most as many bytes as it declares."""
        if member.packing is None:
            raise ValueError("no member of a zip")
        self._file.seek(member.offset)
        header = self._file.read(_LOCAL_HEADER)
        if len(header) < _LOCAL_HEADER or not header.startswith(b"PK\3\4"):
            raise ValueError("its header is damaged")
        start = member.offset + _LOCAL_HEADER + sum(struct.unpack("<HH", header[26:]))
        stream = zip_stream(Window(self._file, start, member.packing.size), member.packing.method)
        data = b"".join(steps(stream, member.size, ratio=limits.ratio, free=STEP))
        with contextlib.suppress(EOFError):  # LZMA may lack an end mark; the checksum decides
            if stream.read(1):
                raise ValueError(f"it unpacks to more than the {member.size} bytes it declares")
        if zlib.crc32(data) != member.packing.crc:
            raise ValueError("its checksum is wrong: it is damaged")
        return data


def _zip_name(info: zipfile.ZipInfo) -> str:
    """The stored name; macOS and Info-ZIP write UTF-8 but mark it as code page 437."""
    if not info.flag_bits & _MARKED_UTF8:
        with contextlib.suppress(ValueError):
            return info.orig_filename.encode("cp437").decode("utf-8")
    return info.orig_filename


def _zip_seconds(info: zipfile.ZipInfo) -> float | None:
    with contextlib.suppress(ValueError):  # a month 0
        return datetime(*info.date_time, tzinfo=UTC).timestamp()
    return None
