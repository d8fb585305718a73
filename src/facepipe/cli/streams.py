"""Standard streams that end no command: closed ones, full disks, terminals that have gone."""

from __future__ import annotations

import os
import sys
from typing import Any, TextIO

#: Names of the standard streams that were closed when this program began.
CLOSED: list[str] = []


def reopen_closed() -> None:
    """Give closed standard streams the null device, before any other file gets their numbers.

    What libraries write to standard error would go into that file.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            CLOSED.append(name)
            # The lowest number that is free, and those below are taken.
            os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(number, True)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115


class SturdyStream:
    """A text stream that raises no OSError: after the first one, all goes to the null device.

    Everything else is the stream's own.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.error: OSError | None = None  # the first one

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write a text, or drop it where the stream cannot be written."""
        try:
            return self._stream.write(text)
        except OSError as error:
            self._fail(error)
        return len(text)

    def writelines(self, lines: Any) -> None:
        """Write several texts."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Write out what waits, or drop it."""
        try:
            self._stream.flush()
        except OSError as error:
            self._fail(error)

    def _fail(self, error: OSError) -> None:
        self.error = self.error or error
        null = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(null, self._stream.fileno())
        finally:
            os.close(null)
        self._stream.flush()  # what waits goes there too


def make_sturdy() -> None:
    """Make standard output and error such streams."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if not isinstance(stream, SturdyStream):
            setattr(sys, name, SturdyStream(stream))


def lost_output() -> OSError | None:
    """Why standard output could not be written, all of it; None: it was.

    A reader that has read enough (`| head`) is no fault.
    """
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    error = getattr(sys.stdout, "error", None)
    return None if isinstance(error, BrokenPipeError) else error
