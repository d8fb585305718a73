"""Uploads: a video that comes through the page becomes a file of the folder, or nothing does."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

from starlette.concurrency import run_in_threadpool

from facepipe._system.files import atomic_write
from facepipe._system.kinds import is_video
from facepipe.errors import OutputError, UsageError
from facepipe.ui.library import Library
from facepipe.video.containers import READ_SUFFIXES

#: Bytes of a video that is uploaded, at most; larger ones are put into the folder by hand.
MOST_BYTES = 8 * 2**30
#: Bytes that stay free on the disk.
_SPARE_BYTES = 2**30
#: Characters of a name, at most: what is made of it has a longer one.
_LONGEST_NAME = 150


class Uploads:
    """Takes videos into a folder. `most_bytes` is the size of the largest that is taken."""

    def __init__(self, library: Library, most_bytes: int = MOST_BYTES) -> None:
        self._library = library
        self.most_bytes = most_bytes

    async def take(self, name: str, length: str, pieces: AsyncIterator[bytes]) -> Path:
        """Write a video of `length` bytes into the folder, and give its path.

        UsageError: a name that no video has, one that is there already, a size that is not allowed
        or not as it was said, or no video by its first bytes. OutputError: the disk refuses.
        """
        target = self._checked(name, length)
        written = 0
        with atomic_write(target) as partial:
            with partial.open("wb") as file:
                async for piece in pieces:
                    written += len(piece)
                    if written > int(length):
                        raise UsageError(f"{name}: more bytes came than were announced")
                    await run_in_threadpool(file.write, piece)
            if written < int(length):
                raise UsageError(f"{name}: the upload was cut short")
            if not is_video(partial):
                raise UsageError(f"{name}: no video by its first bytes")
            if target.exists():
                raise UsageError(f"{name}: is there already")
        return target

    def _checked(self, name: str, length: str) -> Path:
        folder = self._library.folder
        if not name.isprintable() or any(c in name for c in '/\\:*?"<>|') or name[:1] in ("", "."):
            raise UsageError("the name of the file is none that a video here can have")
        if len(name) > _LONGEST_NAME or Path(name).suffix.lower() not in READ_SUFFIXES:
            raise UsageError(f"{name}: is not named like a video")
        if not (length.isascii() and length.isdigit()):
            raise UsageError(f"{name}: the size must be announced")
        if len(length) > 15 or int(length) > self.most_bytes:
            raise UsageError(
                f"{name}: larger than the {self.most_bytes // 2**20} MiB that can be uploaded; "
                f"put it into {folder} by hand"
            )
        if int(length) + _SPARE_BYTES > shutil.disk_usage(folder).free:
            raise OutputError(f"{name}: there is not enough room on the disk")
        if (folder / name).exists():
            raise UsageError(f"{name}: is there already; open it, or give the file another name")
        return folder / name
