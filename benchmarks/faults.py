"""Batches whose workers, node or driver are killed: do they end as the undisturbed one does?

    python benchmarks/faults.py cluster     # Ray on three nodes of this machine, see --help
    python benchmarks/faults.py driver      # the driver is killed at random moments, five times

Films and pictures are drawn on the fly from the portrait that scikit-image ships (pip install
'facepipe[demo,cluster]').
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import psutil
from skimage import data

from facepipe._files import IMAGE_SUFFIXES
from facepipe.batch.report import BatchSummary
from facepipe.batch.runner import run_batch
from facepipe.configs.settings import Settings
from facepipe.datatypes import Span
from facepipe.evaluation.clips import write_film
from facepipe.video import decode, probe
from facepipe.workers.local import LocalExecutor

SIZE = (320, 180)


def make(folder: Path, films: int, pictures: int, frames: int) -> None:
    """Films in which a portrait moves and changes its size, and pictures of it."""
    rng = np.random.default_rng(0)
    face = cv2.cvtColor(data.astronaut()[:300, 75:375], cv2.COLOR_RGB2BGR)
    (folder / "pictures").mkdir(parents=True)

    def scene(shift: float, side: int) -> np.ndarray:
        wall = np.full((SIZE[1], SIZE[0], 3), (130, 120, 110), np.uint8)
        move = np.array([[side / 300, 0, 60 + shift], [0, side / 300, 20 + shift / 3]])
        return cv2.warpAffine(face, move, SIZE, dst=wall, borderMode=cv2.BORDER_TRANSPARENT)

    for number in range(films):
        side = int(rng.integers(70, 130))
        shots = (scene(0.4 * k, side)[..., ::-1] for k in range(frames))
        write_film(shots, folder / f"film{number}.mp4", rate=Fraction(25), crf=20)
    for number in range(pictures):
        picture = scene(float(rng.uniform(0, 90)), int(rng.integers(50, 140)))
        suffix = (".jpg", ".png", ".webp")[number % 3]
        cv2.imwrite(str(folder / "pictures" / f"{number:04}{suffix}"), picture)


def digests(folder: Path) -> dict[str, str]:
    """What each result shows: a film's decoded frames with their times, a picture's bytes."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if name.startswith(".") or not path.is_file():
            continue
        digest = hashlib.sha256()
        if path.suffix == ".mp4":
            info = probe(path)
            for frame in decode(info, Span(0, info.pts[0], info.pts[-1] + 1)):
                digest.update(str(frame.pts).encode())
                for plane in frame.planes:
                    digest.update(np.ascontiguousarray(plane))
        elif path.suffix in IMAGE_SUFFIXES:
            digest.update(path.read_bytes())
        else:
            continue
        found[name] = digest.hexdigest()
    return found


def told(name: str, summary: BatchSummary) -> str:
    counts = ", ".join(f"{count.items} {state}" for state, count in summary.counts.items())
    report = (summary.folder / "facepipe-batch.csv").read_text().splitlines()[1:]
    for line in [line for line in report if ",failed," in line][:3]:
        print(line)
    return f"{name}: {counts}; {summary.seconds:.0f} s"


def killing(every: float, kill: Callable[[], bool], stop: threading.Event) -> list[float]:
    """Kill something every so often until told to stop; the moments at which it worked."""
    moments: list[float] = []

    def work() -> None:
        while not stop.wait(every):
            if kill():
                moments.append(time.monotonic())

    threading.Thread(target=work, daemon=True).start()
    return moments


def kill_a_worker(rng: random.Random) -> bool:
    """SIGKILL one of the actors that are at work."""
    actors = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            if "_Worker" in " ".join(process.cmdline()):
                actors.append(process)
    if not actors:
        return False
    rng.choice(actors).kill()
    return True


def on_a_cluster(asked: argparse.Namespace, source: Path, results: Path) -> None:
    import ray
    from ray.cluster_utils import Cluster

    from facepipe.workers.ray_executor import RayExecutor

    with LocalExecutor(2, isolated=True) as local:
        print(told("local", run_batch([str(source)], results / "local", Settings(), local)))
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
    ray.init(cluster.address, log_to_driver=False, logging_level="error", configure_logging=False)
    stop, rng = threading.Event(), random.Random(asked.seed)
    kills = killing(asked.every, lambda: kill_a_worker(rng), stop)

    def remove() -> None:
        if not stop.wait(asked.remove_after):
            cluster.remove_node(nodes[1], allow_graceful=False)
            print("one node of three was removed")

    threading.Thread(target=remove, daemon=True).start()
    with RayExecutor("auto", shared=asked.shared) as executor:
        summary = run_batch([str(source)], results / "ray", Settings(), executor)
    stop.set()
    print(told("ray", summary) + f", {len(kills)} workers killed")
    ray.shutdown()
    cluster.shutdown()
    compare(results / "local", results / "ray")


def driver_killed(asked: argparse.Namespace, source: Path, results: Path) -> None:
    with LocalExecutor(2, isolated=True) as local:
        whole = run_batch([str(source)], results / "local", Settings(), local)
    print(told("undisturbed", whole))
    rng = random.Random(asked.seed)
    command = [sys.executable, "-m", "facepipe", "batch", str(source), "--workers", "2"]
    command += ["-o", str(results / "killed"), "--progress", "none"]
    for number in range(asked.kills):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)
        time.sleep(rng.uniform(0.15, 0.45) * whole.seconds)
        process.send_signal(signal.SIGKILL)
        process.wait()
        begun, done = tasks(results / "killed")
        print(f"kill {number + 1}: {done} tasks done, {begun - done} were in flight, over all runs")
    last = subprocess.run(command, capture_output=True, text=True, check=False)
    print(last.stdout.strip())
    needed, _ = tasks(results / "local")
    begun, _ = tasks(results / "killed")
    print(f"{begun} tasks begun over all runs, {needed} without kills: {begun - needed} done again")
    compare(results / "local", results / "killed")


def tasks(folder: Path) -> tuple[int, int]:
    """Tasks begun and tasks done, over all runs."""
    journal = folder / ".facepipe-batch" / "journal.jsonl"
    said = journal.read_text().splitlines() if journal.exists() else []
    return tuple(
        sum(f'"said": "task {what}"' in line for line in said) for what in ("begun", "done")
    )  # type: ignore[return-value]


def compare(one: Path, other: Path) -> None:
    first, second = digests(one), digests(other)
    same = sum(first[name] == second.get(name) for name in first)
    print(f"{same} of {len(first)} results identical, {len(second) - len(first)} more or less")
    if same != len(first) or len(first) != len(second):
        sys.exit(1)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", choices=("cluster", "driver"))
    parser.add_argument("--films", type=int, default=6)
    parser.add_argument("--pictures", type=int, default=300)
    parser.add_argument("--frames", type=int, default=250)
    parser.add_argument("--every", type=float, default=10, help="seconds between kills")
    parser.add_argument("--remove-after", type=float, default=25, help="seconds until a node goes")
    parser.add_argument("--kills", type=int, default=5, help="of the driver")
    parser.add_argument("--shared", action="store_true", help="paths travel, not bytes")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        source, results = Path(folder) / "in", Path(folder) / "out"
        make(source, asked.films, asked.pictures, asked.frames)
        results.mkdir()
        (on_a_cluster if asked.what == "cluster" else driver_killed)(asked, source, results)


if __name__ == "__main__":
    main()
