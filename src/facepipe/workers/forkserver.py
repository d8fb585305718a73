"""Worker processes forked from one process that has imported what they need (a fork server).

So each starts at once and shares those pages, and the imports run in parallel to this process's
own. A program has one fork server, so only facepipe's own command line starts it. In other
programs, and on systems whose libraries do not survive a fork, each worker is spawned.
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

#: Modules that the fork server imports: all that workers need, but for what is heavy and rare.
_PRELOAD = ("facepipe.pipeline.tasks", "facepipe.models.detectors.yunet")
#: Read when these libraries are first imported. Their threads would be many, and die in a fork.
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")


_started = False


def contexts() -> Iterator[BaseContext]:
    """Start methods for a worker process, the preferred one first."""
    if _started and prepare():  # starts it again if it was killed
        yield multiprocessing.get_context("forkserver")
    yield multiprocessing.get_context("spawn")


def prepare() -> bool:
    """Start the fork server, which imports what workers need and ends with this process.

    For facepipe's own programs. Returns whether it runs; one that runs already is left alone.
    Workers have the environment of the first call.
    """
    global _started
    if sys.platform != "linux":
        return False
    multiprocessing.get_context("forkserver").set_forkserver_preload(list(_PRELOAD))
    try:
        resource_tracker.ensure_running()  # started below, it would unblock SIGINT too early
        with _single_threaded(), _sigint_blocked():
            forkserver.ensure_running()
    except OSError:  # a socket is needed in the folder for temporary files, and memory
        return False
    _started = True
    return True


@contextmanager
def _single_threaded() -> Iterator[None]:
    added = [name for name in _THREAD_VARIABLES if name not in os.environ]
    os.environ.update(dict.fromkeys(added, "1"))
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]


@contextmanager
def _sigint_blocked() -> Iterator[None]:
    """Start processes that ignore Ctrl-C: it reaches the whole group, and this process answers."""
    if sys.platform == "win32":  # which has no fork server
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
