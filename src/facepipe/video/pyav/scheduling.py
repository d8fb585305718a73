"""Restore the scheduling policy that SVT-AV1 changes to real-time where root runs it.

It gives its threads and the one that opens it the real-time policy SCHED_FIFO at the highest
priority, for good. Whatever else runs on the machine then waits: other workers, Ray's heartbeats,
the terminal. PyAV has no option against it; this goes when SVT-AV1 no longer does that.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_THREADS = Path("/proc/self/task")


@contextmanager
def kept_scheduling() -> Iterator[None]:
    """Context for opening an encoder: new real-time threads get the caller's policy back."""
    try:
        policy, priority = os.sched_getscheduler(0), os.sched_getparam(0)
    except (AttributeError, OSError):  # not Linux, or a system that does not say
        yield
        return
    before = real_time_threads()
    try:
        yield
    finally:
        for thread in real_time_threads() - before:
            with suppress(OSError):  # it may have ended meanwhile
                os.sched_setscheduler(thread, policy, priority)


def real_time_threads() -> set[int]:
    """The threads of this process, by the system's numbers, that have a real-time policy."""
    found: set[int] = set()
    if sys.platform != "linux":
        return found
    with suppress(OSError):  # where there is no /proc, nothing is known and nothing is changed
        for thread in (int(task.name) for task in _THREADS.iterdir()):
            with suppress(OSError):
                policy = os.sched_getscheduler(thread) & ~os.SCHED_RESET_ON_FORK
                if policy in (os.SCHED_FIFO, os.SCHED_RR):
                    found.add(thread)
    return found
