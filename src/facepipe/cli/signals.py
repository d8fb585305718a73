"""Graceful shutdown: a signal raises an exception, again and again until the work has ended."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

#: The signals that ask for an end: Ctrl-C, a request to end, a terminal that closes.
_SIGNALS = [signal.SIGINT, signal.SIGTERM]
if sys.platform != "win32":
    _SIGNALS.append(signal.SIGHUP)

#: Seconds after which the exception is raised again where it was lost.
_RETRY_SECONDS = 1.0


class Interrupted(BaseException):
    """A signal asked for the end; no KeyboardInterrupt, which typer would swallow."""

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.exit_code = 128 + signum


@contextmanager
def graceful_shutdown() -> Iterator[None]:
    """Raise Interrupted in the body, in the main thread, when a signal asks this process to end.

    An exception raised by a signal can get lost: Python drops those of finalizers, and an error
    during cleanup takes its place. So it is raised again each second until it leaves the body, but
    never during the cleanup after it; and an error that took its place leaves as Interrupted.

    Afterwards signals do what they did before; after a request to end they are ignored, as the
    process is about to end.
    """
    received: list[int] = []

    def handle(signum: int, _frame: FrameType | None) -> None:
        if not received:
            received.append(signum)
            sys.unraisablehook = lambda _: None  # finalizers may fail while all is torn down
            if sys.platform != "win32":
                signal.signal(signal.SIGALRM, handle)
            _alarm_every(_RETRY_SECONDS)
        if not _cleaning_up(sys.exception()):
            raise Interrupted(received[0])

    before = {kind: signal.getsignal(kind) for kind in _SIGNALS}
    try:
        for kind, handler in before.items():
            if not _is_to_be_ignored(kind, handler):
                signal.signal(kind, handle)
        yield
    except BaseException as error:
        if isinstance(error, Interrupted) or not received or not _cleaning_up(error):
            raise
        raise Interrupted(received[0]) from error
    finally:
        _alarm_every(0)
        for kind, handler in before.items():
            signal.signal(kind, signal.SIG_IGN if received else handler)


def _is_to_be_ignored(kind: signal.Signals, handler: object) -> bool:
    """Whether the caller asked for that: under nohup a closed terminal is to be ignored."""
    return kind not in _SIGNALS[:2] and handler is signal.SIG_IGN


def _alarm_every(seconds: float) -> None:
    """Send SIGALRM every so many seconds, 0: no more. Windows has no such timer."""
    if sys.platform != "win32":
        signal.setitimer(signal.ITIMER_REAL, seconds, seconds)


def _cleaning_up(error: BaseException | None) -> bool:
    """Whether `error` comes from an Interrupted, or closes a generator, as an Interrupted may."""
    while error is not None:
        if isinstance(error, (Interrupted, GeneratorExit)):
            return True
        error = error.__context__
    return False
