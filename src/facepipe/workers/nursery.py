"""Where worker processes come from: one process imports what they need, and they are its forks.

So each starts at once, shares those pages, and the imports run beside this process's own. Systems
whose libraries do not outlast a fork start each worker afresh instead.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import forkserver, resource_tracker
from multiprocessing.context import BaseContext

#: What every worker imports sooner or later, but for what is heavy and seldom needed.
_NEEDED = ("facepipe.pipeline.spans", "facepipe.models.detectors.yunet")
#: Read when these libraries are first imported: their threads would be many, and die in a fork.
_SINGLE = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def context() -> BaseContext:
    """How worker processes are started here."""
    return multiprocessing.get_context("forkserver" if prepare() else "spawn")


def prepare() -> bool:
    """Begin to import what workers will need, in a process that ends with this one.

    Gives whether there is such a process now; one that has begun before is not begun again.
    """
    if sys.platform != "linux":
        return False
    multiprocessing.get_context("forkserver").set_forkserver_preload(list(_NEEDED))
    try:
        resource_tracker.ensure_running()  # begun by the other, it would make that one hear again
        with _single_threaded(), _deaf():
            forkserver.ensure_running()
    except OSError:  # a socket is needed in the folder for temporary files, and memory
        return False
    return True


@contextmanager
def _single_threaded() -> Iterator[None]:
    before = {name: os.environ.get(name) for name in _SINGLE}
    os.environ.update(dict.fromkeys(_SINGLE, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _deaf() -> Iterator[None]:
    """What is started here never hears Ctrl-C, which reaches the group; this process answers it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
