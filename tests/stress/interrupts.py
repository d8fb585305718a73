"""Runs interrupted by SIGINT at random lines of Python: each ends with 130 and can be resumed.

    python tests/stress interrupts --stops 500 [--workers 2]

Each run is forked from a process that has everything loaded. It sends SIGINT to itself before a
random one of the lines of Python that its main thread goes through, lines of libraries included. So
interrupts fall into finalizers, imports and half-closed files, where a random time hardly ever
puts one. Every tenth interrupted run is run again and must complete.

Exit code 1 if a run ignored the interrupt, ended with another code, printed a traceback or left a
partial file.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import cv2

from facepipe.cli import signals
from facepipe.cli.main import main as run_command
from media import portraits

cv2.setNumThreads(1)  # before any thread is made: threads do not survive a fork
TIMEOUT_SECONDS = 90.0
#: OpenVINO's threads do not survive a fork.
ASSIGNMENTS = ("span_seconds=0.4", "restore.runtime=onnxruntime", "output.preset=ultrafast")
#: Files of the signal handler itself, whose lines are not interrupted.
SKIPPED_FILES = {signals.__file__, signal.__file__}
FIRST_LINE = 300  # before it, the handler is not installed yet


class Interruption:
    """Trace function: raises SIGINT before line number `line` of the main thread; 0 only counts."""

    def __init__(self, line: int) -> None:
        self.line, self.seen, self.place = line, 0, ""

    def __call__(self, frame: FrameType, event: str, _: Any) -> Any:
        file = frame.f_code.co_filename
        if file in SKIPPED_FILES or file.endswith(".pyx"):
            return None
        if event == "line":
            self.seen += 1
            if self.seen == self.line:
                sys.settrace(None)
                self.place = f"{Path(file).name}:{frame.f_lineno} ({frame.f_code.co_name})"
                signal.raise_signal(signal.SIGINT)
        return self


@dataclass(frozen=True)
class Ended:
    """How a run ended: its exit code, its stderr, the lines counted and the one interrupted."""

    code: int
    stderr: str
    lines: int
    place: str

    @property
    def well(self) -> bool:
        """Whether it ended as an interrupted run should."""
        resumable = self.code == 130 and "goes on from there" in self.stderr
        return resumable and "Traceback" not in self.stderr and "ignored" not in self.stderr

    def __str__(self) -> str:
        return f"exit code {self.code} at {self.place or 'no line'}: {self.stderr[-600:]}"


def run(arguments: list[str], interruption: Interruption | None, log: Path) -> None:
    """Run the command with its stderr in `log`, then exit the process; does not return."""
    errors = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    os.dup2(errors, 2)
    sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
    sys.argv = ["facepipe", *arguments]
    code = 0
    sys.settrace(interruption)
    try:
        run_command()
    except SystemExit as end:
        code = int(end.code or 0)
    finally:
        sys.settrace(None)
        if interruption:
            log.with_suffix(".lines").write_text(f"{interruption.seen} {interruption.place}")
    sys.stderr.flush()
    os._exit(code)


def run_forked(arguments: list[str], line: int | None, log: Path) -> Ended:
    """Run in a forked process, interrupted before that line; None runs it without a trace."""
    counted = log.with_suffix(".lines")
    counted.unlink(missing_ok=True)
    child = os.fork()
    if child == 0:
        with suppress(BaseException):
            run(arguments, None if line is None else Interruption(line), log)
        os._exit(1)
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            break
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
        time.sleep(0.02)
    lines, _, place = counted.read_text().partition(" ") if counted.exists() else ("0", "", "")
    code = os.waitstatus_to_exitcode(status)
    return Ended(code, log.read_text(errors="replace"), int(lines), place)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stops", type=int, default=500, help="runs to interrupt")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    faults = interrupted = resumed = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        video = portraits.video(folder / "video.mp4", pts=[3200 * n for n in range(12)])
        log, target = folder / "stderr.txt", folder / "made" / "out.mp4"
        command = ["run", str(video), "-o", str(target), "--quiet"]
        command += ["--workers", str(options.workers)]
        for assignment in ASSIGNMENTS:
            command += ["--set", assignment]
        target.parent.mkdir()
        whole = run_forked(command, 0, log)
        print(f"without an interrupt: exit code {whole.code}, {whole.lines} lines", flush=True)
        if whole.code or not whole.lines:
            sys.exit(f"a run without an interrupt failed: {whole}")
        for _ in range(options.stops):
            shutil.rmtree(target.parent)
            target.parent.mkdir()
            ended = run_forked(command, rng.randrange(FIRST_LINE, whole.lines), log)
            if ended.code == 0 and not ended.place:
                continue  # a run that took fewer lines than the first
            interrupted += 1
            partial = [path.name for path in target.parent.rglob("*.partial*")]
            if not ended.well or partial:
                faults += 1
                print(f"FAULT: {ended} {partial}", flush=True)
            elif interrupted % 10 == 0:
                resumed += 1
                again = run_forked(command, None, log)
                if again.code or not target.exists():
                    faults += 1
                    print(f"FAULT: not resumed after {ended.place}: {again}", flush=True)
    print(f"{interrupted} runs interrupted, {resumed} of them resumed: {faults} faults")
    sys.exit(faults > 0)
