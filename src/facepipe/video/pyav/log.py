"""Capture FFmpeg's error log, which alone says why something is refused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import RLock

import av

_ONE_AT_A_TIME = RLock()  # the level of the log is the whole process's


@dataclass
class CapturedLog:
    """Errors that FFmpeg logged, in pieces: the component that logged each one, and its text."""

    _pieces: list[tuple[str, str]] = field(default_factory=list)

    def lines(self, component: str | None = None) -> list[str]:
        """Lines as they came, of one component of FFmpeg (as "mov") where it is named."""
        text = "".join(text for name, text in self._pieces if component in (None, name))
        return [line.strip() for line in text.splitlines() if line.strip()]


@contextmanager
def captured_log() -> Iterator[CapturedLog]:
    """Capture what FFmpeg logs as errors, from any thread, and keep it from the user.

    The log can be read after the block.
    """
    captured = CapturedLog()
    with _ONE_AT_A_TIME:
        level, once = av.logging.get_level(), av.logging.get_skip_repeated()
        av.logging.set_level(av.logging.ERROR)
        av.logging.set_skip_repeated(False)
        try:
            with av.logging.Capture(local=False) as log:
                try:
                    yield captured
                finally:
                    captured._pieces += [(name, text) for _, name, text in log]
        finally:
            av.logging.set_level(level)
            av.logging.set_skip_repeated(once)
