"""A clock that stands still while this process does: patience with others is measured by it."""

from __future__ import annotations

import time
from collections.abc import Callable

#: Seconds between two readings that count at most. Whoever waits reads the clock far more often, so
#: a longer time is one in which this process was suspended, frozen, or held up elsewhere.
LONGEST_STEP = 1.0


class RunningClock:
    """Seconds that this process spent waiting, of those that have passed.

    A suspended process (Ctrl-Z, a frozen container, a paused machine) sees no sign of life of
    others, and is most often suspended together with them: that time says nothing about them. So
    the time between two readings counts LONGEST_STEP at most. For one thread.
    """

    def __init__(self, source: Callable[[], float] = time.monotonic) -> None:
        """Begin at 0; `source` gives seconds and never goes back."""
        self._source = source
        self._last = source()
        self._seconds = 0.0

    def seconds(self) -> float:
        """Read the clock, which a wait must do more often than each LONGEST_STEP seconds."""
        now = self._source()
        self._seconds += min(now - self._last, LONGEST_STEP)
        self._last = now
        return self._seconds
