"""Archives read as streams: checks what a reader finds, and names the place of every fault."""

from __future__ import annotations

import contextlib
import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from facepipe.batch.archives.members import Limits, Member, Refused
from facepipe.batch.archives.names import DUPLICATE, Names, safe_name, shown_name, too_big
from facepipe.batch.archives.tars import TarReader
from facepipe.batch.archives.zips import ZipReader
from facepipe.errors import InputError

#: Errors of the standard library for damaged data; zipfile raises NotImplementedError for features
#: that a flipped bit asks for.
_DAMAGE = (
    *(OSError, EOFError, ValueError, OverflowError, NotImplementedError, struct.error),
    *(zlib.error, lzma.LZMAError, zipfile.BadZipFile),
)


class Archive:
    """An open archive, from `open_archive`; members are read one at a time, best in their order.

    Going back in a compressed tar means unpacking it from its beginning again.
    """

    def __init__(self, path: Path, reader: ZipReader | TarReader) -> None:
        self._path, self._reader, self._limits = path, reader, Limits()

    def members(self, limits: Limits) -> Iterator[Member | Refused]:
        """The plain files in order, and the refused members; folders are skipped.

        Raises InputError where the archive is damaged, after the members before the damage, or
        holds more of them than allowed.
        """
        self._limits, names = limits, Names()
        with _naming_damage(self._path):
            for number, (found, fault) in enumerate(self._reader.entries(limits), 1):
                if number > limits.members:
                    raise InputError(f"{self._path}: it holds more than {limits.members} members")
                if found is None:
                    continue
                name, wrong = safe_name(found.stored, limits.name_length)
                wrong = wrong or fault or too_big(found, limits)
                if not wrong and not names.add(name):
                    wrong = DUPLICATE
                if wrong:
                    yield Refused(shown_name(found.stored), wrong)
                else:
                    yield replace(found, name=name)

    def read(self, member: Member, limits: Limits | None = None) -> bytes:
        """The uncompressed bytes; `limits` are by default those that `members` was given.

        Raises InputError where the member is damaged, too big, or unpacks to more than it declares.
        """
        limits = limits or self._limits
        with _naming_damage(self._path, shown_name(member.name)):
            if fault := too_big(member, limits):
                raise ValueError(fault)
            return self._reader.unpacked(member, limits)


@contextlib.contextmanager
def open_archive(path: Path) -> Iterator[Archive]:
    """Open an archive: a zip by its suffix, else a tar, whose compression its first bytes show.

    Raises InputError at once where it is no archive, is empty, or cannot be read.
    """
    with contextlib.ExitStack() as stack:
        with _naming_damage(path):
            if not path.is_file():
                raise InputError(f"{path}: there is no such file to read")
            file = stack.enter_context(path.open("rb"))
            if not file.read(1):
                raise InputError(f"{path}: the file is empty")
            kind = ZipReader if path.name.lower().endswith(".zip") else TarReader
            archive = Archive(path, kind(file))
        yield archive


@contextlib.contextmanager
def _naming_damage(path: Path, name: str = "") -> Iterator[None]:
    """Turn the errors of damaged data into InputError with the names of archive and member."""
    try:
        yield
    except _DAMAGE as error:
        what = getattr(error, "strerror", None) or str(error) or type(error).__name__
        where = f"{path}: {name}" if name else str(path)
        raise InputError(f"{where}: cannot be read ({what})") from error
