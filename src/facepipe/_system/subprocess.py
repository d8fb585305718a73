"""Run a module of facepipe in a process of its own, and read the lines that it reports.

For what may crash or hang: it takes that process with it and no other.
"""

from __future__ import annotations

import queue
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence

from facepipe._system.clock import RunningClock

#: Seconds after which the clock is read again.
_POLL_SECONDS = 0.25
_MARK = "facepipe reports: "


def report_line(line: str) -> None:
    """Report a line, without a line break, to the process that reads this one's output."""
    sys.stdout.write(f"\n{_MARK}{line}\n")
    sys.stdout.flush()


def reported_lines(module: str, arguments: Sequence[str], *, patience: float) -> Iterator[str]:
    """Yield the lines that `python -m module arguments...` reports, until it ends, however it does.

    It is killed when it reports nothing for `patience` seconds, in which this process was not
    suspended, and when this iterator is closed.
    Whatever drivers and libraries write is left out. No module comes from the current folder.
    """
    with subprocess.Popen(
        [sys.executable, "-P", "-m", module, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        encoding="utf-8",
        errors="replace",
    ) as process:
        lines: queue.Queue[str | None] = queue.Queue()

        def read() -> None:
            for line in process.stdout or ():
                if line.startswith(_MARK) and line.endswith("\n"):
                    lines.put(line.removeprefix(_MARK).rstrip("\n"))
            lines.put(None)

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        try:
            while (line := _next(lines, patience)) is not None:
                yield line
        except queue.Empty:
            return
        finally:
            process.kill()
            reader.join()


def _next(lines: queue.Queue[str | None], patience: float) -> str | None:
    """The next of `lines`; queue.Empty where none comes for so many seconds."""
    clock = RunningClock()
    while True:
        try:
            return lines.get(timeout=min(patience, _POLL_SECONDS))
        except queue.Empty:
            if clock.seconds() >= patience:
                raise
