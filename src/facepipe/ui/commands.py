"""The commands that the page runs: facepipe's own, each in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from facepipe.errors import printable
from facepipe.ui.library import analysis_path, page_path, settings_path

Kind = Literal["analyze", "render"]

#: Seconds for which frames are counted before it is said how long the rest will take.
_MEASURED_SECONDS = 2.0
#: Seconds over which the rate is averaged.
_WINDOW_SECONDS = 60.0
#: Lines and characters of what a command printed that are kept.
_LINES, _LONGEST = 12, 400


def arguments(kind: Kind, video: Path, target: Path) -> list[str]:
    """The command, without progress, that does a job: what one would type."""
    settings = settings_path(video)
    config = [f"--config={settings}"] if settings.is_file() else []
    if kind == "analyze":
        return ["analyze", f"--output={target}", "--overwrite", *config, "--", str(video)]
    report = f"--report={page_path(target)}"
    analysis = str(analysis_path(video))
    return ["render", f"--output={target}", report, *config, "--", str(video), analysis]


class Command:
    """A running command. Errors: OSError where it cannot be started."""

    def __init__(self, words: list[str], folder: Path) -> None:
        separator = words.index("--")
        options = [*words[:separator], "--progress=jsonl"]
        # Ctrl-C is for the server, which passes it on.
        own_group = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
        self._process = subprocess.Popen(
            # -P: no module is taken from the folder, which holds what others made.
            [sys.executable, "-P", "-m", "facepipe", *options, *words[separator:]],
            cwd=folder,
            env=os.environ | {"PYTHONIOENCODING": "utf-8", "NO_COLOR": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            creationflags=own_group,
            start_new_session=not own_group,
        )

    def wait(self, on_progress: Callable[[int, int], None]) -> tuple[int, str]:
        """Wait for the end: its exit code, and the lines that it printed.

        `on_progress` is called with the frames that are done and those that there are.
        """
        printed: deque[str] = deque(maxlen=_LINES)
        faults: deque[str] = deque(maxlen=_LINES)
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        out = self._process.stdout
        reader = threading.Thread(target=lambda: printed.extend(out), daemon=True)
        reader.start()
        for line in self._process.stderr:
            counted = _progress_of(line)
            if counted is None:
                faults.append(line.removeprefix("facepipe: "))
            else:
                on_progress(*counted)
        code = self._process.wait()
        reader.join()
        lines = [*faults, *printed] if code == 0 else [*faults]
        shown = (printable(line.strip(), longest=_LONGEST) for line in lines)
        return code, "\n".join(line for line in shown if line)

    def interrupt(self) -> None:
        """Ask it to end; what it has finished is kept."""
        self._process.send_signal(getattr(signal, "CTRL_BREAK_EVENT", signal.SIGINT))


class Progress:
    """How long the rest takes, by the frames that were done in the last minute."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def seconds_left(self, done: int, total: int, now: float) -> float | None:
        """Seconds until `total`; None: it is too early to say."""
        if self._seen and done < self._seen[-1][1]:  # another pass has begun
            self._seen.clear()
        self._seen.append((now, done))
        while now - self._seen[0][0] > _WINDOW_SECONDS and len(self._seen) > 2:
            self._seen.popleft()
        began, before = self._seen[0]
        if now - began < _MEASURED_SECONDS or done <= before:
            return None
        return (total - done) * (now - began) / (done - before)


def _progress_of(line: str) -> tuple[int, int] | None:
    """The frames that a line of progress counts; None: it is another line."""
    if not line.startswith("{"):
        return None
    try:
        event = json.loads(line)
        return int(event["done"]), int(event["total"])
    except (ValueError, KeyError, TypeError):
        return None
