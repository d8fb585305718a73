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

#: Seconds after which the exception is raised where a callback had to end first.
_CALLBACK_SECONDS = 0.01


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
    Nor is it raised in a function that FFmpeg calls: what it raises there is printed and dropped,
    and FFmpeg takes the read that failed for the end of the file.

    Afterwards signals do what they did before; after a request to end they are ignored, as the
    process is about to end.
    """
    received: list[int] = []

    def handle(signum: int, frame: FrameType | None) -> None:
        if not received:
            received.append(signum)
            sys.unraisablehook = lambda _: None  # finalizers may fail while all is torn down
            if sys.platform != "win32":
                signal.signal(signal.SIGALRM, handle)
        in_callback = _in_callback(frame)
        _alarm_after(_CALLBACK_SECONDS if in_callback else _RETRY_SECONDS)
        if not in_callback and not _cleaning_up(sys.exception()):
            raise Interrupted(received[0])

    before = {kind: signal.getsignal(kind) for kind in _SIGNALS}
    try:
        for kind in _heeded():
            signal.signal(kind, handle)
        yield
    except BaseException as error:
        if isinstance(error, Interrupted) or not received or not _cleaning_up(error):
            raise
        raise Interrupted(received[0]) from error
    finally:
        _alarm_after(0)
        for kind, handler in before.items():
            signal.signal(kind, signal.SIG_IGN if received else handler)


def _heeded() -> list[signal.Signals]:
    """The signals that end this process; a closed terminal is to be ignored under nohup."""
    always = _SIGNALS[:2]
    return [k for k in _SIGNALS if k in always or signal.getsignal(k) != signal.SIG_IGN]


def _alarm_after(seconds: float) -> None:
    """Send SIGALRM after `seconds`, then each second; 0: no more. Windows has no such timer."""
    if sys.platform != "win32":
        signal.setitimer(signal.ITIMER_REAL, seconds, _RETRY_SECONDS)


def _in_callback(frame: FrameType | None) -> bool:
    """Whether FFmpeg called `frame`, or what called it: a module names such code CALLED_BY_FFMPEG.

    Never on Windows, where no alarm would raise the exception later.
    """
    while frame is not None and sys.platform != "win32":
        if frame.f_code in frame.f_globals.get("CALLED_BY_FFMPEG", ()):
            return True
        frame = frame.f_back
    return False


def _cleaning_up(error: BaseException | None) -> bool:
    """Whether `error` comes from an Interrupted, or closes a generator, as an Interrupted may."""
    while error is not None:
        if isinstance(error, (Interrupted, GeneratorExit)):
            return True
        error = error.__context__
    return False
