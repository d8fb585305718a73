"""How often this process opens a file, and how many bytes it reads from it."""

from __future__ import annotations

import builtins
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import pytest


@dataclass
class Reads:
    """What was counted of one file."""

    path: Path
    opens: int = 0
    count: int = 0  # bytes

    @property
    def sizes(self) -> float:
        """The bytes read, in sizes of the file."""
        return self.count / self.path.stat().st_size

    def __str__(self) -> str:
        return f"{self.path.name}: opened {self.opens} times, {self.sizes:.2f} times its size read"


@contextmanager
def counted(path: Path) -> Iterator[Reads]:
    """Within, count the opens and reads of a file by this process, be it in Python or in FFmpeg.

    FFmpeg's own reads raise no audit event, so it is given a Python file in place of the name.
    """
    reads, same = Reads(path), path.absolute()
    python_open, av_open = io.open, av.open

    class Counting(io.FileIO):
        def __init__(self) -> None:
            super().__init__(same)
            reads.opens += 1

        def read(self, size: int | None = -1) -> bytes:
            data = super().read(-1 if size is None else size)
            reads.count += len(data)
            return data

        def readall(self) -> bytes:
            data = super().readall()
            reads.count += len(data)
            return data

        def readinto(self, buffer: Any) -> int:
            size = super().readinto(buffer)
            reads.count += size
            return size

    def is_same(file: Any) -> bool:
        return isinstance(file, str | Path) and Path(file).absolute() == same

    def opened(file: Any, mode: str = "r", buffering: int = -1, *rest: Any, **more: Any) -> Any:
        if is_same(file) and mode == "rb":
            return Counting() if buffering == 0 else io.BufferedReader(Counting())
        return python_open(file, mode, buffering, *rest, **more)

    def av_opened(file: Any, *rest: Any, **more: Any) -> Any:
        return av_open(Counting() if is_same(file) else file, *rest, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(io, "open", opened)
        patch.setattr(builtins, "open", opened)
        patch.setattr(av, "open", av_opened)
        yield reads
