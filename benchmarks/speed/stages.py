"""Seconds of CPU by stage of `facepipe run`, of one source tree or of two side by side.

    python benchmarks/speed/stages.py CLIP... [--tree OLD --tree NEW] [--options "--scale 2"]

A tree is a checkout of this repository; without one it is this checkout. One worker does all, so
that all CPU time is that of one process. The trees run in turn, and the median of each counts. A
tree that does not know `--profile-time` has its total alone.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parents[2]
#: Stages in which the time is a library's: codecs, the detector and the restoring network.
LIBRARIES = ("decode", "encode", "detector", "network")


def main() -> None:
    """Parse the arguments, run every tree on every clip, print a table for each clip."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--tree", action="append", type=Path, metavar="CHECKOUT")
    parser.add_argument("--options", default="", help="more options for `facepipe run`")
    parser.add_argument("--repeat", type=int, default=3)
    chosen = parser.parse_args()
    trees = chosen.tree or [HERE]
    for clip in chosen.clips:
        runs: list[list[dict[str, float]]] = [[] for _ in trees]
        for _ in range(chosen.repeat):
            for tree, taken in zip(trees, runs, strict=True):
                taken.append(measure(tree, clip, shlex.split(chosen.options)))
        print_table(clip, trees, [median(taken) for taken in runs])


def measure(tree: Path, clip: Path, options: Sequence[str]) -> dict[str, float]:
    """Seconds by stage of one run, and its total, which is the process's own."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / f"out{clip.suffix}"
        command = [*("run", str(clip), "-o", str(target), "--workers", "1", "--quiet"), *options]
        if (tree / "src/facepipe/datatypes/stages.py").is_file():
            command.append("--profile-time")
        environment = os.environ | {
            "PYTHONPATH": str(tree / "src"),
            # As of worker processes.
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
        }
        running = subprocess.Popen([sys.executable, "-m", "facepipe", *command], env=environment)
        _, status, usage = os.wait4(running.pid, 0)
        running.returncode = os.waitstatus_to_exitcode(status)
        if running.returncode:
            sys.exit(f"facepipe of {tree} ended with {running.returncode}")
        report = json.loads(target.with_name(f"{target.name}.facepipe.json").read_text())
    seconds: dict[str, float] = report.get("cpu_seconds", {})
    total = usage.ru_utime + usage.ru_stime
    if seconds:  # what comes before and after the run itself, as loading
        seconds["other"] += total - sum(of for name, of in seconds.items() if name != "waiting")
    return seconds | {"total": total, "peak MB": usage.ru_maxrss / 1024}


def median(runs: Sequence[dict[str, float]]) -> dict[str, float]:
    """The median of each figure."""
    return {name: statistics.median(run[name] for run in runs) for name in runs[0]}


def print_table(clip: Path, trees: Sequence[Path], figures: Sequence[dict[str, float]]) -> None:
    """A line a stage, a column a tree, and how many times as fast the last one is."""
    print(f"\n{clip.name}, seconds of CPU")
    print(f"{'':16}" + "".join(f"{tree.resolve().name[:14]:>15}" for tree in trees))
    names = list(dict.fromkeys(name for taken in figures for name in taken))
    for name in sorted(names, key=("total", "peak MB").__contains__):
        values = [taken.get(name) for taken in figures]
        cells = "".join(f"{'' if value is None else f'{value:.2f}':>15}" for value in values)
        first, last = values[0], values[-1]
        ratio = f"{first / last:8.2f}" if len(values) > 1 and first and last else ""
        print(f"{name:16}{cells}{ratio}")
    shares = [sum(taken.get(name, 0.0) for name in LIBRARIES) / taken["total"] for taken in figures]
    print(f"{'in libraries':16}" + "".join(f"{share or float('nan'):>15.1%}" for share in shares))


if __name__ == "__main__":
    main()
