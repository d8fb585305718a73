"""Run a module of ours in a process of its own, and hear what it tells line by line.

For what may crash or hang: it takes that process with it and no other.
"""

from __future__ import annotations

import queue
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence

_MARK = "facepipe tells: "


def report_line(line: str) -> None:
    """Tell the process that hears this one; `line` holds no line break."""
    sys.stdout.write(f"\n{_MARK}{line}\n")
    sys.stdout.flush()


def reported_lines(module: str, arguments: Sequence[str], *, patience: float) -> Iterator[str]:
    """The lines that `python -m module arguments...` tells, until it ends, however it does.

    It is ended when it tells nothing for `patience` seconds, or when nobody listens any more. What
    drivers and libraries write besides is left out.
    """
    with subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        encoding="utf-8",
        errors="replace",
    ) as process:
        told: queue.Queue[str | None] = queue.Queue()

        def listen() -> None:
            for line in process.stdout or ():
                if line.startswith(_MARK) and line.endswith("\n"):
                    told.put(line.removeprefix(_MARK).rstrip("\n"))
            told.put(None)

        listener = threading.Thread(target=listen, daemon=True)
        listener.start()
        try:
            while (line := told.get(timeout=patience)) is not None:
                yield line
        except queue.Empty:
            return
        finally:
            process.kill()
            listener.join()
