"""A batch on one worker, on two, and on Ray: ratios of frames a second, measured in one run.

    python benchmarks/scaling.py                # pip install 'facepipe[demo,cluster]'

One worker has one core, two have two: each is held to its cores, whatever threads it starts. The
networks are loaded before the clock starts, on Ray too.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

from faults import make

from facepipe.batch.runner import run_batch
from facepipe.configs.settings import Settings
from facepipe.workers.base import Executor
from facepipe.workers.local import LocalExecutor
from facepipe.workers.resources import usable_cores


def rate(executor: Executor, folder: Path, name: str) -> float:
    """Frames a second over the whole batch, once a small one has warmed the workers."""
    run_batch([str(folder / "warm")], folder / f"{name}-warm", Settings(), executor)
    done = run_batch([str(folder / "in")], folder / name, Settings(), executor)
    executor.close()
    return sum(count.frames for count in done.counts.values()) / done.seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--films", type=int, default=8)
    parser.add_argument("--frames", type=int, default=375, help="of each film, 25 a second")
    parser.add_argument("--pictures", type=int, default=0)
    parser.add_argument("--no-ray", action="store_true")
    asked = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    if usable_cores() < 2:
        parser.error("two cores are needed")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make(folder / "in", asked.films, asked.pictures, asked.frames)
        make(folder / "warm", 2, 0, 50)
        seconds = asked.films * asked.frames / 25
        print(f"{asked.films} films, {seconds:.0f} s in all, and {asked.pictures} pictures")
        os.sched_setaffinity(0, cores[:1])
        one = rate(LocalExecutor(1, isolated=True), folder, "one")
        os.sched_setaffinity(0, cores[:2])
        two = rate(LocalExecutor(2, isolated=True), folder, "two")
        print(f"one worker {one:.1f} frames/s, two {two:.1f}: {two / one:.2f} times as fast")
        if not asked.no_ray:
            from facepipe.workers.ray_executor import RayExecutor

            ray = rate(RayExecutor("local", workers=2), folder, "ray")
            print(f"two workers of Ray {ray:.1f} frames/s: {two / ray - 1:+.1%} time over local")


if __name__ == "__main__":
    main()
