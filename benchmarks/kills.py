"""Runs killed at random moments: is the target absent or complete every time, and does it go on?

    python benchmarks/kills.py --kills 1000 --by-command 50

Each round takes a short film of another container, kills `facepipe.enhance` again and again with
SIGKILL, looks after every kill at what is there, and lets the same call end at last on what is
kept. A kill falls after a random one of the steps that a first, undisturbed run took on the disk
(files made, renamed and removed, frames told of), by a random share of the time to the next; so
every stage is hit, however short. Runs are forked from a process that has all loaded, with the
in-process executor; a part of the kills, --by-command, hits `facepipe run` with two workers at a
random time, after which no process of it may be left.

Ends with 1 if a target was neither absent nor whole, a source changed, a run did not go on, or a
process outlived its parent.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import random
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import cv2
import psutil

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from facepipe import enhance
from facepipe.configs.settings import Settings, load_settings
from facepipe.pipeline import tasks as spans
from facepipe.pipeline.passes import Event
from facepipe.workers.local import LocalExecutor
from media import portraits, synthetic

#: Steps on the disk: audit events of the interpreter, and which of their arguments is the path.
WATCHED = {"open": 0, "os.rename": 1, "os.remove": 0, "os.mkdir": 0, "os.rmdir": 0}
cv2.setNumThreads(1)  # before any are made: a fork does not bring them along
ASSIGNMENTS = (
    *("workers=1", "output.preset=ultrafast", "span_seconds=0.4"),
    "restore.runtime=onnxruntime",  # OpenVINO's threads do not live through a fork
)


def films(folder: Path) -> list[tuple[Path, str]]:
    """Short films in several containers, each with the name of its target."""
    slow = [3200 * number for number in range(12)]  # 4 frames a second: three spans of a second
    shown: dict[str, Any] = {"pts": slow, "options": {"g": "4"}}
    late = [time + 9999 for time in slow]
    made = [
        (portraits.film(folder / "faces.mp4", **shown), "made.mp4"),
        (portraits.film(folder / "faces.mkv", **shown), "made.mkv"),
        (portraits.film(folder / "faces.mov", **(shown | {"pts": late})), "made.mov"),
        (synthetic.film(folder / "two.mp4", audio=2, chapters=True, **shown), "made.mp4"),
        (synthetic.transport_stream(folder / "plain.ts"), "made.ts"),
        (synthetic.subtitled(folder / "subtitled.mp4"), "made.mp4"),
        (synthetic.vp9(folder / "plain.webm"), "made.mkv"),
        (synthetic.gray(folder / "gray.mkv"), "made.nut"),
    ]
    return made


@dataclass
class Tally:
    """What was found after each kill, and where the kills fell."""

    kills: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    @property
    def hits(self) -> int:
        """Kills that met a run alive; others do not count."""
        return sum(self.kills.values()) - self.kills["too late"]

    def fault(self, what: str) -> None:
        self.faults.append(what)
        print(f"FAULT: {what}", flush=True)


@dataclass(frozen=True)
class Whole:
    """An undisturbed run: its steps as (seconds, stage), and what it made."""

    steps: tuple[tuple[float, str], ...]
    frames: int
    sha256: str


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def frames_of(path: Path) -> int:
    """Frames of the film's video; -1 where it does not decode to its end."""
    try:
        with av.open(str(path)) as film:
            return sum(1 for _ in film.decode(video=0))
    except av.FFmpegError:
        return -1


def settings() -> Settings:
    return load_settings(assignments=ASSIGNMENTS)


# --- runs forked from this process ---------------------------------------------------------------


def fork(source: Path, target: Path, tell: int) -> int:
    """The id of a process that enhances `source`; it writes a line to `tell` for every step."""
    number = os.fork()
    if number:
        return number
    code = 1
    try:
        os.close(1)
        folder, stage = str(target.parent), "begin"

        def step(what: str) -> None:
            os.write(tell, f"{time.monotonic()} {what}\n".encode())

        def hook(event: str, arguments: tuple[object, ...]) -> None:
            nonlocal stage
            at = WATCHED.get(event)
            if at is None:
                return
            path = arguments[at]
            if not isinstance(path, str | os.PathLike) or not str(path).startswith(folder):
                return
            name = Path(path).name
            if "part-" in name:
                stage = "render"
            if event == "os.rename" and name == target.name:
                stage = "clear up"
            elif name.startswith(("whole-", ".whole-")) or name.endswith("facepipe.json"):
                stage = "finish"
            step(stage)

        def told(event: Event) -> None:
            nonlocal stage
            stage = event.stage
            step("mux" if stage == "render" and event.done == event.total else stage)

        sys.addaudithook(hook)
        with LocalExecutor(1) as executor:
            enhance(source, target, settings(), executor=executor, on_event=told)
        code = 0
    except BaseException as error:  # noqa: BLE001 (the parent is told of it)
        os.write(tell, f"{time.monotonic()} !{type(error).__name__}: {error}\n".encode())
    finally:
        os._exit(code)
    return 0


def run_on(source: Path, target: Path) -> tuple[int, list[tuple[float, str]]]:
    """Let a forked run come to its end; its exit code and steps."""
    ear, mouth = os.pipe()
    began = time.monotonic()
    child = fork(source, target, mouth)
    os.close(mouth)
    with os.fdopen(ear) as lines:
        said = [line.rstrip("\n").split(" ", 1) for line in lines]
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), [(float(at) - began, what) for at, what in said]


def killed_at(source: Path, target: Path, steps: int, later: float) -> tuple[bool, str]:
    """Kill a forked run `later` seconds after that many steps; whether it was alive, and where."""
    ear, mouth = os.pipe()
    child = fork(source, target, mouth)
    os.close(mouth)
    heard, stage, rest = 0, "begin", b""
    while heard < steps:
        said = os.read(ear, 1 << 16)
        if not said:
            break
        *lines, rest = (rest + said).split(b"\n")
        heard += len(lines)
        stage = lines[-1].split(b" ", 1)[1].decode() if lines else stage
    else:
        select.select([], [], [], later)
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    os.close(ear)
    return os.waitstatus_to_exitcode(status) == -signal.SIGKILL, stage


def undisturbed(source: Path, target: Path) -> Whole:
    code, steps = run_on(source, target)
    if code:
        sys.exit(f"{source.name} does not come through undisturbed: {steps[-1:]}")
    made = Whole(tuple(steps), frames_of(target), digest(target))
    clear(target)
    return made


def clear(target: Path) -> None:
    target.unlink(missing_ok=True)
    target.with_name(f"{target.name}.facepipe.json").unlink(missing_ok=True)


def look(source: Path, mark: str, target: Path, whole: Whole, tally: Tally, where: str) -> None:
    """What is there after a kill."""
    if digest(source) != mark:
        tally.fault(f"{where}: the source changed")
    if not target.exists():
        tally.found["absent"] += 1
    elif digest(target) == whole.sha256 or frames_of(target) == whole.frames:
        tally.found["complete"] += 1
    else:
        tally.fault(f"{where}: the target has {frames_of(target)} of {whole.frames} frames")
    known = {target.name, f"{target.name}.facepipe.json", f".{target.name}.facepipe"}
    known.add(f".{target.name}.facepipe.partial.json")
    stray = {path.name for path in target.parent.iterdir()} - known
    if stray:
        tally.fault(f"{where}: left behind {sorted(stray)}")


def ends(source: Path, target: Path, whole: Whole, tally: Tally, where: str) -> None:
    """Let the same call end: with the whole film, or saying that it is there already."""
    complete = target.exists()
    code, steps = run_on(source, target)
    told = steps[-1][1] if steps else ""
    if code and not (complete and "exists already" in told):
        tally.fault(f"{where}: the last run ended with {code}: {told}")
    tally.found["ended, as it was there" if code else "ended"] += 1
    if not target.exists() or frames_of(target) != whole.frames:
        tally.fault(f"{where}: the last run left no whole film")
    elif digest(target) != whole.sha256:
        tally.found["ended, other bytes"] += 1
    if not target.with_name(f"{target.name}.facepipe.json").exists():
        tally.fault(f"{where}: there is no report")
    folder = target.parent / f".{target.name}.facepipe"
    if folder.exists():
        left = sorted(path.name for path in folder.iterdir())
        if left:
            tally.fault(f"{where}: the job's folder is left with {left}")
        else:
            tally.found["an empty folder left"] += 1
            folder.rmdir()


def by_fork(asked: argparse.Namespace, clips: list[tuple[Path, str]], out: Path) -> Tally:
    tally, rng = Tally(), random.Random(asked.seed)
    detect = settings().detect
    spans._detector(detect.detector, detect.pack)
    spans.restorer_of(settings().restore)
    wholes = {}
    for number, (source, name) in enumerate(clips):
        (out / str(number)).mkdir()
        wholes[number] = undisturbed(source, out / str(number) / name)
    while tally.hits < asked.kills - asked.by_command:
        number = rng.randrange(len(clips))
        source, name = clips[number]
        target, whole, mark = out / str(number) / name, wholes[number], digest(source)
        for _ in range(rng.randrange(1, 5)):
            steps = whole.steps
            at = rng.randrange(len(steps))
            later = (steps[at + 1][0] - steps[at][0]) * rng.random() if at + 1 < len(steps) else 0
            if rng.random() < 0.25:
                later = 0.0
            alive, stage = killed_at(source, target, at + 1, later)
            where = f"{source.name}, {stage}, kill {sum(tally.kills.values())}"
            tally.kills[stage if alive else "too late"] += 1
            if tally.hits % 100 == 0:
                print(f"{tally.hits} kills", file=sys.stderr, flush=True)
            look(source, mark, target, whole, tally, where)
            if not alive or target.exists():
                break
        ends(source, target, whole, tally, where)
        clear(target)
    return tally


# --- the command, with two workers ---------------------------------------------------------------


def by_command(asked: argparse.Namespace, out: Path) -> Tally:
    tally, rng = Tally(), random.Random(asked.seed + 1)
    source = portraits.film(out / "longer.mp4", frames=60, options={"g": "10"})
    target, mark = out / "command" / "made.mp4", digest(source)
    target.parent.mkdir()
    command = [
        sys.executable,
        "-m",
        "facepipe",
        "run",
        str(source),
        "-o",
        str(target),
        "-q",
    ]
    command += ["--workers", "2", "--preset", "ultrafast", "--set", "span_seconds=0.4"]
    began = time.monotonic()
    subprocess.run(command, check=True)
    lasting = time.monotonic() - began
    whole = Whole((), frames_of(target), digest(target))
    clear(target)
    while tally.hits < asked.by_command:
        running = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        time.sleep(lasting * rng.uniform(0.1, 1.0))
        family: list[psutil.Process] = []
        with contextlib.suppress(psutil.Error):
            family = psutil.Process(running.pid).children(recursive=True)
        running.kill()
        _, told = running.communicate()
        where = f"the command, kill {tally.hits}"
        gone = running.returncode == -signal.SIGKILL
        tally.kills["with workers" if family and gone else "alone" if gone else "too late"] += 1
        _, alive = psutil.wait_procs(family, timeout=20)
        if alive:
            tally.fault(f"{where}: {len(alive)} processes outlived it")
        if running.returncode > 0 and "exists already" not in told:
            tally.fault(f"{where}: exit code {running.returncode}: {told}")
        look(source, mark, target, whole, tally, where)
        if target.exists() or rng.random() < 0.3 or tally.hits == asked.by_command:
            complete = target.exists()
            last = subprocess.run(command, capture_output=True, text=True, check=False)
            if last.returncode and not (complete and "exists already" in last.stderr):
                tally.fault(f"{where}: the last run ended with {last.returncode}: {last.stderr}")
            if frames_of(target) != whole.frames:
                tally.fault(f"{where}: the last run left no whole film")
            tally.found["ended"] += 1
            clear(target)
    return tally


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--by-command", type=int, default=50, help="of them, of the whole command")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        (sources := Path(made) / "in").mkdir()
        (out := Path(made) / "out").mkdir()
        clips = films(sources)
        tallies = {"forked runs": by_fork(asked, clips, out)}
        if asked.by_command:
            tallies["the command with two workers"] = by_command(asked, out)
    for name, tally in tallies.items():
        print(f"{name}: {tally.hits} kills, {len(tally.faults)} faults")
        for title, counts in (("where", tally.kills), ("found", tally.found)):
            told = ", ".join(f"{what} {count}" for what, count in sorted(counts.items()))
            print(f"  {title}: {told}")
    sys.exit(1 if any(tally.faults for tally in tallies.values()) else 0)


if __name__ == "__main__":
    main()
