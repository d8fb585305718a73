"""Ctrl-C at random lines of a run: does it end with 130, say so, and leave nothing partial?

    python benchmarks/stops.py --stops 500 [--workers 2]

Each run is forked from a process that has all loaded, and is sent SIGINT by itself before a random
one of the lines of Python that an undisturbed run goes through in its main thread, libraries'
lines included: so requests fall into finalizers, imports and files half closed, where chance alone
hardly ever brings one. Every tenth run that was stopped is run again and must end well.

Ends with 1 if a run went on, ended otherwise, showed a traceback or left something partial.
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
from pathlib import Path
from types import FrameType
from typing import Any

import cv2

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from facepipe.cli import main as cli
from facepipe.cli import signals as ending
from media import portraits

cv2.setNumThreads(1)  # before any are made: a fork does not bring them along
PATIENCE = 90.0
#: OpenVINO's threads do not live through a fork.
ASSIGNMENTS = ("span_seconds=0.4", "restore.runtime=onnxruntime", "output.preset=ultrafast")
#: Lines before which nobody answers yet, or the answer itself.
OURS = {ending.__file__, signal.__file__}
FIRST = 300


class Interruption:
    """Sends this process SIGINT before line number `line` of its main thread; 0 only counts."""

    def __init__(self, line: int) -> None:
        self.line, self.seen, self.place = line, 0, ""

    def __call__(self, frame: FrameType, event: str, _: Any) -> Any:
        file = frame.f_code.co_filename
        if file in OURS or file.endswith(".pyx"):
            return None
        if event == "line":
            self.seen += 1
            if self.seen == self.line:
                sys.settrace(None)
                self.place = f"{Path(file).name}:{frame.f_lineno} ({frame.f_code.co_name})"
                signal.raise_signal(signal.SIGINT)
        return self


def run(arguments: list[str], interruption: Interruption | None, told: Path) -> None:
    """In a process of its own: the command, then its end told in `told`; does not return."""
    errors = os.open(told, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    os.dup2(errors, 2)
    sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
    sys.argv = ["facepipe", *arguments]
    code = 0
    sys.settrace(interruption)
    try:
        cli.main()
    except SystemExit as end:
        code = int(end.code or 0)
    finally:
        sys.settrace(None)
        if interruption:
            told.with_suffix(".where").write_text(f"{interruption.seen} {interruption.place}")
    sys.stderr.flush()
    os._exit(code)


def ended(arguments: list[str], line: int | None, told: Path) -> tuple[int, str, str]:
    """Exit code of a run, what it wrote, and where it was met; None lets it run undisturbed."""
    child = os.fork()
    if child == 0:
        with suppress(BaseException):
            run(arguments, None if line is None else Interruption(line), told)
        os._exit(1)
    deadline = time.monotonic() + PATIENCE
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            break
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
        time.sleep(0.02)
    where = told.with_suffix(".where")
    return (
        os.waitstatus_to_exitcode(status),
        told.read_text(errors="replace"),
        where.read_text() if where.exists() else "",
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stops", type=int, default=500)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    chance = random.Random(options.seed)
    faults = met = again = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        film = portraits.film(folder / "film.mp4", pts=[3200 * n for n in range(12)])
        told, target = folder / "told.txt", folder / "made" / "out.mp4"
        command = ["run", str(film), "-o", str(target), "--quiet"]
        command += ["--workers", str(options.workers)]
        for assignment in ASSIGNMENTS:
            command += ["--set", assignment]

        def clear() -> None:
            shutil.rmtree(target.parent, ignore_errors=True)
            target.parent.mkdir()

        clear()
        code, said, where = ended(command, 0, told)
        lines = int(where.split()[0]) if where else 0
        print(f"undisturbed: {code}, {lines} lines", flush=True)
        if code or not lines:
            sys.exit(f"an undisturbed run did not end well: {said}")
        for _ in range(options.stops):
            clear()
            code, said, where = ended(command, chance.randrange(FIRST, lines), told)
            if code == 0 and len(where.split()) == 1:
                continue  # a run that took fewer lines than the first
            met += 1
            partial = [path.name for path in target.parent.rglob("*.partial*")]
            well = code == 130 and "goes on from there" in said
            if not well or partial or "Traceback" in said or "ignored" in said:
                faults += 1
                print(f"FAULT: {code} {where} {partial} {said[-600:]}", flush=True)
            elif met % 10 == 0:
                again += 1
                code, said, _ = ended(command, None, told)
                if code or not target.exists():
                    faults += 1
                    print(f"FAULT: not to be resumed after {where}: {code} {said[-600:]}")
    print(f"{met} runs met by a Ctrl-C, {again} of them resumed: {faults} faults")
    return int(faults > 0)


if __name__ == "__main__":
    sys.exit(main())
