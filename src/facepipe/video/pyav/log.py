"""FFmpeg's log, which alone says why something is refused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import RLock

import av

_ONE_AT_A_TIME = RLock()  # the level of the log is the whole process's


@dataclass
class Heard:
    """What FFmpeg called an error: who said it, and what."""

    _pieces: list[tuple[str, str]] = field(default_factory=list)

    def lines(self, speaker: str | None = None) -> list[str]:
        """Lines as they came, of one part of FFmpeg (as "mov") where it is named."""
        said = "".join(text for name, text in self._pieces if speaker in (None, name))
        return [line.strip() for line in said.splitlines() if line.strip()]


@contextmanager
def listening() -> Iterator[Heard]:
    """Hear what FFmpeg's log calls errors, from whatever thread, and keep it from the user."""
    heard = Heard()
    with _ONE_AT_A_TIME:
        level, once = av.logging.get_level(), av.logging.get_skip_repeated()
        av.logging.set_level(av.logging.ERROR)
        av.logging.set_skip_repeated(False)
        try:
            with av.logging.Capture(local=False) as log:
                try:
                    yield heard
                finally:
                    heard._pieces += [(name, text) for _, name, text in log]
        finally:
            av.logging.set_level(level)
            av.logging.set_skip_repeated(once)
