"""What a reader is: another program that opens a video, and says and shows what it sees."""

from __future__ import annotations

import os
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

#: (height, width) uint8: how bright a frame is.
Shown = NDArray[np.uint8]
Facts = Mapping[str, str]
#: Seconds that a program may take for one video before it counts as hanging.
PATIENCE = 60
CONTAINERS = frozenset([".mp4", ".m4v", ".mov", ".mkv", ".webm", ".ts", ".m2ts"])


class ReaderError(Exception):
    """A reader does not open a video, or does not show it."""


class Reader(ABC):
    """One program. What it does not do, it answers with nothing."""

    name: str
    #: Suffixes of the videos that are shown to it.
    suffixes: frozenset[str] = CONTAINERS
    #: Frames by which its seeks may be off.
    near = 0

    @abstractmethod
    def version(self) -> str | None:
        """Its version; None: it is not installed."""

    def facts(self, path: Path) -> Facts:
        """Tags, durations, rates, languages and flags as it sees them; ReaderError."""
        return {}

    def frames(self, path: Path, times: Sequence[float]) -> Sequence[Shown | None] | None:
        """The frames that it shows after a seek to each time; None for one: it shows nothing.

        Seconds count from the first frame. None: it shows no frames. ReaderError: it does not open
        the video.
        """
        return None

    def complaints(self, path: Path) -> Sequence[str]:
        """What it finds wrong with a video."""
        return ()


def output_of(*command: str | Path, wanted: int | None = 0, stdin: str = "") -> str:
    """What a program prints; ReaderError: it is missing, hangs, or does not end with `wanted`."""
    try:
        done = subprocess.run(
            list(map(str, command)),
            capture_output=True,
            timeout=PATIENCE,
            check=False,
            input=stdin.encode(),
            env=os.environ | {"LC_ALL": "C.UTF-8", "GST_DEBUG_NO_COLOR": "1"},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ReaderError(str(error)) from error
    if wanted is not None and done.returncode != wanted:
        said = (done.stderr or done.stdout).decode(errors="replace").strip().splitlines()
        raise ReaderError(said[-1] if said else f"exit code {done.returncode}")
    return done.stdout.decode(errors="replace")


def first_line(*command: str) -> str | None:
    """The first line that a program prints of its version; None: it is not installed."""
    try:
        lines = output_of(*command, wanted=None).splitlines()
    except ReaderError:
        return None
    return lines[0].strip() if lines else ""


def seconds(value: object) -> str:
    """A time to a hundredth of a second, in which readers agree with themselves."""
    return f"{float(str(value)):.2f} s"
