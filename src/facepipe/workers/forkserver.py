"""Where worker processes come from: one process imports what they need, and they are its forks.

So each starts at once, shares those pages, and the imports run beside this process's own. There is
one such process to a program, Python's fork server, so only a program that is facepipe begins it;
in others, and on systems whose libraries do not outlast a fork, each worker starts afresh.
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
_NEEDED = ("facepipe.pipeline.tasks", "facepipe.models.detectors.yunet")
#: Read when these libraries are first imported: their threads would be many, and die in a fork.
_SINGLE = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")


_begun = False


def contexts() -> Iterator[BaseContext]:
    """How a worker process is to be started here, and how where that fails."""
    if _begun and prepare():  # begun again, should it have been killed
        yield multiprocessing.get_context("forkserver")
    yield multiprocessing.get_context("spawn")


def prepare() -> bool:
    """Begin to import what workers will need, in a process that ends with this one.

    To be called by programs of facepipe's own. Gives whether there is such a process now; one that
    has begun before is not begun again. Workers have the environment of the first call.
    """
    global _begun
    if sys.platform != "linux":
        return False
    multiprocessing.get_context("forkserver").set_forkserver_preload(list(_NEEDED))
    try:
        resource_tracker.ensure_running()  # begun by the other, it would make that one hear again
        with _single_threaded(), _deaf():
            forkserver.ensure_running()
    except OSError:  # a socket is needed in the folder for temporary files, and memory
        return False
    _begun = True
    return True


@contextmanager
def _single_threaded() -> Iterator[None]:
    ours = [name for name in _SINGLE if name not in os.environ]
    os.environ.update(dict.fromkeys(ours, "1"))
    try:
        yield
    finally:
        for name in ours:
            del os.environ[name]


@contextmanager
def _deaf() -> Iterator[None]:
    """What is started here never hears Ctrl-C, which reaches the group; this process answers it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
