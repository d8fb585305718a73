"""Archives written in a stream and atomically."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import lzma
import math
import stat
import tarfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from facepipe._system.files import atomic_write
from facepipe.batch.archives.members import Limits
from facepipe.batch.archives.names import (
    ARCHIVE_SUFFIXES,
    DUPLICATE,
    Names,
    is_archive_name,
    safe_name,
    shown_name,
)
from facepipe.errors import OutputError

_BLOCK = tarfile.BLOCKSIZE
_FIRST_ZIP_TIME, _LAST_ZIP_TIME = 315532800, 4354819198  # seconds: 1980 to 2107
_NOT_DEFLATED = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".avif", ".heic", ".jxl", ".zip", ".gz")


def _add_to_zip(archive: zipfile.ZipFile, name: str, data: bytes, modified: float) -> None:
    seconds = min(max(modified, _FIRST_ZIP_TIME), _LAST_ZIP_TIME)
    entry = zipfile.ZipInfo(name, time.gmtime(seconds)[:6])
    entry.create_system, entry.external_attr = 3, (stat.S_IFREG | 0o644) << 16
    stored = name.lower().endswith(_NOT_DEFLATED)
    archive.writestr(entry, data, zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED)


def _add_to_tar(file: io.BufferedIOBase, name: str, data: bytes, modified: float) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    info.mtime = int(modified) if modified == int(modified) else modified
    file.write(info.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict"))
    file.write(data)
    file.write(bytes(-len(data) % _BLOCK))


class ArchiveWriter:
    """Writes an archive of the kind that the target's suffix names, atomically.

    `with ArchiveWriter(target) as archive: archive.add(...)`: at a clean end the archive takes the
    target's place, otherwise nothing is left of it (`atomic_write`). The same members in the same
    order give the same bytes. Raises OutputError for a suffix that is none of ARCHIVE_SUFFIXES and
    where the disk refuses; once it was refused, so is everything after.
    """

    def __init__(self, target: Path) -> None:
        if not is_archive_name(target.name):
            raise OutputError(f"{target}: an archive ends in {', '.join(ARCHIVE_SUFFIXES)}")
        self._target = target
        self._names = Names()
        self._atomic = atomic_write(target)
        self._streams = contextlib.ExitStack()
        self._zip: zipfile.ZipFile | None = None
        self._given_up = False

    def __enter__(self) -> Self:
        suffix, enter = self._target.suffix.lower(), self._streams.enter_context
        with self._writing():
            file = enter(self._atomic.__enter__().open("xb"))
            self._file: io.BufferedIOBase = file
            if suffix == ".zip":
                self._zip = enter(zipfile.ZipFile(file, "w"))
            elif suffix in (".gz", ".tgz"):
                self._file = enter(gzip.GzipFile("", "wb", 6, file, mtime=0))
            elif suffix == ".bz2":
                self._file = enter(bz2.BZ2File(file, "wb"))
            elif suffix == ".xz":
                self._file = enter(lzma.LZMAFile(file, "wb", preset=1))
        return self

    def add(self, name: str, data: bytes, modified: float | None = None) -> None:
        """Append a file; `modified` in seconds since 1970, a fixed time where it is None.

        Raises OutputError for a name that `Archive.members` would refuse or that was added before.
        """
        safe, fault = safe_name(name, Limits.name_length)
        if not fault and (safe != name or not self._names.add(name)):
            fault = DUPLICATE if safe == name else "a name that is not in its plain form"
        if fault:
            raise OutputError(f"{self._target}: {shown_name(name)}: {fault}")
        known = modified if modified is not None and math.isfinite(modified) else 0
        with self._writing():
            if self._zip is not None:
                _add_to_zip(self._zip, name, data, known)
            else:
                _add_to_tar(self._file, name, data, known)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            self._abandon(error)
            return
        with self._writing():
            if self._zip is None:
                self._file.write(bytes(2 * _BLOCK))
            self._streams.close()
            self._atomic.__exit__(None, None, None)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        if self._given_up:
            raise OutputError(f"{self._target}: was given up when it could not be written")
        try:
            yield
        except BaseException as error:
            self._abandon(error)
            raise

    def _abandon(self, error: BaseException) -> None:
        """Close all without a result. Raises OutputError where `error` is the disk's."""
        self._given_up = True
        with contextlib.suppress(OSError, ValueError):
            self._streams.close()
        self._atomic.__exit__(type(error), error, error.__traceback__)
