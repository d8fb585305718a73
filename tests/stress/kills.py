"""Runs killed by SIGKILL at random moments: each target is absent or complete, each run resumes.

    python tests/stress kills --kills 1000 --by-command 50

Each round takes a short video in one of several containers and kills `facepipe.enhance` several
times with SIGKILL. The files are checked after each kill. Then the same call runs to its end and
resumes from what was kept. A first run that is not killed records its steps: files made, renamed
and removed, and frames reported. A kill comes after a random step, delayed by a random share of the
time to the next step, so every stage is hit, however short. Runs are forked from a process that has
everything loaded, with the in-process executor. A part of the kills (--by-command) hits
`facepipe run` with two workers at a random time; no process of it may be left.

Exit code 1 if a target was neither absent nor complete, a source changed, a run did not resume, or
a process outlived its parent.
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

from facepipe import enhance
from facepipe.configs.settings import Settings, load_settings
from facepipe.pipeline import tasks as spans
from facepipe.pipeline.passes import Event
from facepipe.workers.local import LocalExecutor
from media import portraits, synthetic

#: Audit events of the interpreter that count as steps, and the index of their path argument.
WATCHED = {"open": 0, "os.rename": 1, "os.remove": 0, "os.mkdir": 0, "os.rmdir": 0}
cv2.setNumThreads(1)  # before any thread is made: threads do not survive a fork
ASSIGNMENTS = (
    *("workers=1", "output.preset=ultrafast", "span_seconds=0.4"),
    "restore.runtime=onnxruntime",  # OpenVINO's threads do not survive a fork
)


def make_clips(folder: Path) -> list[tuple[Path, str]]:
    """Make short videos in several containers; each comes with the file name of its target."""
    slow = [3200 * number for number in range(12)]  # 4 frames a second: three spans of a second
    shown: dict[str, Any] = {"pts": slow, "options": {"g": "4"}}
    late = [time + 9999 for time in slow]
    made = [
        (portraits.video(folder / "faces.mp4", **shown), "made.mp4"),
        (portraits.video(folder / "faces.mkv", **shown), "made.mkv"),
        (portraits.video(folder / "faces.mov", **(shown | {"pts": late})), "made.mov"),
        (synthetic.video(folder / "two.mp4", audio=2, chapters=True, **shown), "made.mp4"),
        (synthetic.transport_stream(folder / "plain.ts"), "made.ts"),
        (synthetic.subtitled(folder / "subtitled.mp4"), "made.mp4"),
        (synthetic.vp9(folder / "plain.webm"), "made.mkv"),
        (synthetic.gray(folder / "gray.mkv"), "made.nut"),
    ]
    return made


@dataclass
class Tally:
    """Results of the kills: the stage of each, what was found after it, and the faults."""

    kills: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    @property
    def hits(self) -> int:
        """Kills that met a running process; others do not count."""
        return sum(self.kills.values()) - self.kills["too late"]

    def fault(self, what: str) -> None:
        self.faults.append(what)
        print(f"FAULT: {what}", flush=True)


@dataclass(frozen=True)
class Reference:
    """A run that was not killed: its steps as (seconds, stage), and its result."""

    steps: tuple[tuple[float, str], ...]
    frames: int
    sha256: str


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def frames_of(path: Path) -> int:
    """Count the frames of the video; -1 where it does not decode to its end."""
    try:
        with av.open(str(path)) as video:
            return sum(1 for _ in video.decode(video=0))
    except av.FFmpegError:
        return -1


def settings() -> Settings:
    return load_settings(assignments=ASSIGNMENTS)


# --- runs forked from this process ---------------------------------------------------------------


def fork(source: Path, target: Path, pipe: int) -> int:
    """Fork a process that enhances `source` and writes a line to `pipe` for every step; its pid."""
    number = os.fork()
    if number:
        return number
    code = 1
    try:
        os.close(1)
        folder, stage = str(target.parent), "begin"

        def step(what: str) -> None:
            os.write(pipe, f"{time.monotonic()} {what}\n".encode())

        def on_audit(event: str, arguments: tuple[object, ...]) -> None:
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

        def on_event(event: Event) -> None:
            nonlocal stage
            stage = event.stage
            step("mux" if stage == "render" and event.done == event.total else stage)

        sys.addaudithook(on_audit)
        with LocalExecutor(1) as executor:
            enhance(source, target, settings(), executor=executor, on_event=on_event)
        code = 0
    except BaseException as error:  # noqa: BLE001 (it is reported to the parent)
        os.write(pipe, f"{time.monotonic()} !{type(error).__name__}: {error}\n".encode())
    finally:
        os._exit(code)
    return 0


def run_on(source: Path, target: Path) -> tuple[int, list[tuple[float, str]]]:
    """Run to the end in a forked process; its exit code and steps."""
    reader, writer = os.pipe()
    began = time.monotonic()
    child = fork(source, target, writer)
    os.close(writer)
    with os.fdopen(reader) as stream:
        lines_read = [line.rstrip("\n").split(" ", 1) for line in stream]
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), [(float(at) - began, what) for at, what in lines_read]


def kill_after(source: Path, target: Path, steps: int, delay: float) -> tuple[bool, str]:
    """Kill a forked run `delay` seconds after so many steps; whether it ran, and its stage."""
    reader, writer = os.pipe()
    child = fork(source, target, writer)
    os.close(writer)
    steps_done, stage, rest = 0, "begin", b""
    while steps_done < steps:
        chunk = os.read(reader, 1 << 16)
        if not chunk:
            break
        *lines, rest = (rest + chunk).split(b"\n")
        steps_done += len(lines)
        stage = lines[-1].split(b" ", 1)[1].decode() if lines else stage
    else:
        select.select([], [], [], delay)
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    os.close(reader)
    return os.waitstatus_to_exitcode(status) == -signal.SIGKILL, stage


def reference_run(source: Path, target: Path) -> Reference:
    code, steps = run_on(source, target)
    if code:
        sys.exit(f"{source.name} fails without being killed: {steps[-1:]}")
    made = Reference(tuple(steps), frames_of(target), digest(target))
    remove_target(target)
    return made


def remove_target(target: Path) -> None:
    target.unlink(missing_ok=True)
    target.with_name(f"{target.name}.facepipe.json").unlink(missing_ok=True)


def check_files(
    source: Path, source_sha256: str, target: Path, reference: Reference, tally: Tally, where: str
) -> None:
    """Check the files after a kill."""
    if digest(source) != source_sha256:
        tally.fault(f"{where}: the source changed")
    if not target.exists():
        tally.found["absent"] += 1
    elif digest(target) == reference.sha256 or frames_of(target) == reference.frames:
        tally.found["complete"] += 1
    else:
        tally.fault(f"{where}: the target has {frames_of(target)} of {reference.frames} frames")
    known = {target.name, f"{target.name}.facepipe.json", f".{target.name}.facepipe"}
    known.add(f".{target.name}.facepipe.partial.json")
    stray = {path.name for path in target.parent.iterdir()} - known
    if stray:
        tally.fault(f"{where}: left behind {sorted(stray)}")


def check_resume(
    source: Path, target: Path, reference: Reference, tally: Tally, where: str
) -> None:
    """Run the same call to its end: it completes the video, or reports that it exists."""
    complete = target.exists()
    code, steps = run_on(source, target)
    message = steps[-1][1] if steps else ""
    if code and not (complete and "exists already" in message):
        tally.fault(f"{where}: the last run ended with {code}: {message}")
    tally.found["ended, as it was there" if code else "ended"] += 1
    if not target.exists() or frames_of(target) != reference.frames:
        tally.fault(f"{where}: the last run left no complete video")
    elif digest(target) != reference.sha256:
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


def by_fork(options: argparse.Namespace, clips: list[tuple[Path, str]], out: Path) -> Tally:
    tally, rng = Tally(), random.Random(options.seed)
    detect = settings().detect
    spans.PROCESS.detector(detect.detector, detect.pack)
    spans.restorer_of(settings().restore)
    references = {}
    for number, (source, name) in enumerate(clips):
        (out / str(number)).mkdir()
        references[number] = reference_run(source, out / str(number) / name)
    while tally.hits < options.kills - options.by_command:
        number = rng.randrange(len(clips))
        source, name = clips[number]
        target, reference, source_sha256 = (
            out / str(number) / name,
            references[number],
            digest(source),
        )
        for _ in range(rng.randrange(1, 5)):
            steps = reference.steps
            at = rng.randrange(len(steps))
            delay = (steps[at + 1][0] - steps[at][0]) * rng.random() if at + 1 < len(steps) else 0
            if rng.random() < 0.25:
                delay = 0.0
            alive, stage = kill_after(source, target, at + 1, delay)
            where = f"{source.name}, {stage}, kill {sum(tally.kills.values())}"
            tally.kills[stage if alive else "too late"] += 1
            if tally.hits % 100 == 0:
                print(f"{tally.hits} kills", file=sys.stderr, flush=True)
            check_files(source, source_sha256, target, reference, tally, where)
            if not alive or target.exists():
                break
        check_resume(source, target, reference, tally, where)
        remove_target(target)
    return tally


# --- the command, with two workers ---------------------------------------------------------------


def by_command(options: argparse.Namespace, out: Path) -> Tally:
    tally, rng = Tally(), random.Random(options.seed + 1)
    source = portraits.video(out / "longer.mp4", frames=60, options={"g": "10"})
    target, source_sha256 = out / "command" / "made.mp4", digest(source)
    target.parent.mkdir()
    command = [sys.executable, "-m", "facepipe", "run", str(source), "-o", str(target), "-q"]
    command += ["--workers", "2", "--preset", "ultrafast", "--set", "span_seconds=0.4"]
    began = time.monotonic()
    subprocess.run(command, check=True)
    run_seconds = time.monotonic() - began
    reference = Reference((), frames_of(target), digest(target))
    remove_target(target)
    while tally.hits < options.by_command:
        running = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        time.sleep(run_seconds * rng.uniform(0.1, 1.0))
        children: list[psutil.Process] = []
        with contextlib.suppress(psutil.Error):
            children = psutil.Process(running.pid).children(recursive=True)
        running.kill()
        _, message = running.communicate()
        where = f"the command, kill {tally.hits}"
        killed = running.returncode == -signal.SIGKILL
        tally.kills[
            "with workers" if children and killed else "alone" if killed else "too late"
        ] += 1
        _, alive = psutil.wait_procs(children, timeout=20)
        if alive:
            tally.fault(f"{where}: {len(alive)} processes outlived it")
        if running.returncode > 0 and "exists already" not in message:
            tally.fault(f"{where}: exit code {running.returncode}: {message}")
        check_files(source, source_sha256, target, reference, tally, where)
        if target.exists() or rng.random() < 0.3 or tally.hits == options.by_command:
            complete = target.exists()
            last = subprocess.run(command, capture_output=True, text=True, check=False)
            if last.returncode and not (complete and "exists already" in last.stderr):
                tally.fault(f"{where}: the last run ended with {last.returncode}: {last.stderr}")
            if frames_of(target) != reference.frames:
                tally.fault(f"{where}: the last run left no complete video")
            tally.found["ended"] += 1
            remove_target(target)
    return tally


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--by-command", type=int, default=50, help="of them, of the whole command")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        (sources := Path(made) / "in").mkdir()
        (out := Path(made) / "out").mkdir()
        clips = make_clips(sources)
        tallies = {"forked runs": by_fork(options, clips, out)}
        if options.by_command:
            tallies["the command with two workers"] = by_command(options, out)
    for name, tally in tallies.items():
        print(f"{name}: {tally.hits} kills, {len(tally.faults)} faults")
        for title, counts in (("where", tally.kills), ("found", tally.found)):
            message = ", ".join(f"{what} {count}" for what, count in sorted(counts.items()))
            print(f"  {title}: {message}")
    sys.exit(1 if any(tally.faults for tally in tallies.values()) else 0)
