"""Frames that come only once, kept in a temporary file to be read again."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from facepipe.errors import OutputError, UsageError


@dataclass(frozen=True)
class SpoolSettings:
    """Where frames are kept, None: in the system's folder for temporary files; and how many."""

    folder: Path | None = None
    gigabytes: float = 16.0  # 10^9 bytes


class Spool:
    """Arrays of many frames in one file, which goes when it is closed or the process ends.

    The arrays of all frames have the same shapes and types.
    """

    def __init__(self, settings: SpoolSettings) -> None:
        """Raises OutputError where no file can be made in the folder."""
        self._settings = settings
        self._shapes: list[tuple[tuple[int, ...], np.dtype[Any]]] = []
        self._frame_bytes = 0
        self._count = 0
        self._lock = Lock()
        try:
            self._file: IO[bytes] = tempfile.TemporaryFile(  # noqa: SIM115
                dir=settings.folder, prefix="facepipe-"
            )
        except OSError as error:
            raise OutputError(
                f"{settings.folder or tempfile.gettempdir()}: frames that come only once cannot be "
                f"kept there ({error.strerror or error}); name another folder with spool="
            ) from error

    def __len__(self) -> int:
        return self._count

    def append(self, arrays: Sequence[NDArray[Any]]) -> None:
        """Write a frame's C-contiguous arrays.

        Raises UsageError where the frames take more than they may, OutputError as the disk refuses.
        """
        if not self._shapes:
            self._shapes = [(array.shape, array.dtype) for array in arrays]
            self._frame_bytes = sum(array.nbytes for array in arrays)
        if (self._count + 1) * self._frame_bytes > self._settings.gigabytes * 1e9:
            raise UsageError(
                f"frames that come only once are kept until they are read again, and these take "
                f"more than the {self._settings.gigabytes:g} GB that spool_gigabytes allows; give "
                "a function that begins anew instead, or use live()"
            )
        try:
            with self._lock:
                self._file.seek(self._count * self._frame_bytes)
                for array in arrays:
                    self._file.write(array.data)
        except OSError as error:
            raise _refused(error) from error
        self._count += 1

    def read(self, number: int) -> list[NDArray[Any]]:
        """The arrays of frame `number`, new ones.

        Raises UsageError after `close`, OutputError as the disk refuses.
        """
        arrays = [np.empty(shape, dtype) for shape, dtype in self._shapes]
        with self._lock:
            if self._file.closed:
                raise UsageError("the FaceEnhancer that these frames belong to was closed")
            try:
                self._file.seek(number * self._frame_bytes)  # writes what waits
                for array in arrays:
                    self._file.readinto(array.data)  # type: ignore[attr-defined]
            except OSError as error:
                raise _refused(error) from error
        return arrays

    def close(self) -> None:
        """Delete the file."""
        with self._lock, suppress(OSError):  # what waits may find no room, and is wanted no more
            self._file.close()


def _refused(error: OSError) -> OutputError:
    return OutputError(
        f"frames that come only once cannot be kept ({error.strerror or error}); name a folder "
        "with more room with spool=, or give a function that begins anew"
    )
