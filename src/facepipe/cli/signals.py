"""End this process in good order when it is asked to; the request holds until it is met."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

#: What asks for an end: Ctrl-C, a request to end, a terminal that closes.
_ENDINGS = [signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if sys.platform != "win32" else [])]

#: Seconds after which a request that was lost is made again.
_PATIENCE = 1.0


class Interrupted(BaseException):
    """A signal asked for the end; no KeyboardInterrupt, which the command line would swallow."""

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.exit_code = 128 + signum


@contextmanager
def graceful_shutdown() -> Iterator[None]:
    """Raise Interrupted in what runs within, in the main thread, when this process is asked to end.

    An exception that comes from nowhere may get lost: a finalizer's are dropped, and where clearing
    up fails in its turn, its error takes the place. So it is raised again, each second, until it
    has left here, but never in the midst of clearing up after it; and an error that took its place
    leaves here as Interrupted.

    Once this is left, signals do what they did before; after a request they are ignored, as the
    process is about to end.
    """
    asked: list[int] = []

    def answer(signum: int, _frame: FrameType | None) -> None:
        if not asked:
            asked.append(signum)
            sys.unraisablehook = lambda _: None  # what finalizers meet when all is broken off
            if hasattr(signal, "setitimer"):
                signal.signal(signal.SIGALRM, answer)
                signal.setitimer(signal.ITIMER_REAL, _PATIENCE, _PATIENCE)
        if not _clearing_up(sys.exception()):
            raise Interrupted(asked[0])

    before = {kind: signal.getsignal(kind) for kind in _ENDINGS}
    try:
        for kind, handler in before.items():
            # Under nohup a closed terminal is to be ignored.
            if kind in _ENDINGS[:2] or handler is not signal.SIG_IGN:
                signal.signal(kind, answer)
        yield
    except BaseException as error:
        if isinstance(error, Interrupted) or not asked or not _clearing_up(error):
            raise
        raise Interrupted(asked[0]) from error
    finally:
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, 0)
        for kind, handler in before.items():
            signal.signal(kind, signal.SIG_IGN if asked else handler)


def _clearing_up(error: BaseException | None) -> bool:
    """Whether `error` is handled because of a Interrupted, or ends a generator, as one may."""
    while error is not None:
        if isinstance(error, (Interrupted, GeneratorExit)):
            return True
        error = error.__context__
    return False
