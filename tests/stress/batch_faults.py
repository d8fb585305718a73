"""Batches whose workers, node or driver are killed: the results equal those without kills.

    python tests/stress batch_faults cluster     # Ray on three nodes of this machine, see --help
    python tests/stress batch_faults driver      # the driver is killed at five random moments

The videos and images are made from the portrait that scikit-image ships (pip install
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
from pathlib import Path

import numpy as np
import psutil

from facepipe._system.files import IMAGE_SUFFIXES
from facepipe.batch.report import BatchSummary
from facepipe.batch.runner import run_batch
from facepipe.configs.settings import Settings
from facepipe.datatypes import Span
from facepipe.video import decode, probe
from facepipe.workers.local import LocalExecutor
from media.portrait_batch import write_batch


def digests(folder: Path) -> dict[str, str]:
    """Sha256 of each result: of a video's decoded frames with their pts, of an image's bytes."""
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


def describe(name: str, summary: BatchSummary) -> str:
    """One line of counts; prints up to three failed items of the report."""
    counts = ", ".join(f"{count.items} {state}" for state, count in summary.counts.items())
    report = (summary.folder / "facepipe-batch.csv").read_text().splitlines()[1:]
    for line in [line for line in report if ",failed," in line][:3]:
        print(line)
    return f"{name}: {counts}; {summary.seconds:.0f} s"


def kill_repeatedly(every: float, kill: Callable[[], bool], stop: threading.Event) -> list[float]:
    """Call `kill` every so many seconds in a thread until `stop`; the times at which it killed."""
    moments: list[float] = []

    def work() -> None:
        while not stop.wait(every):
            if kill():
                moments.append(time.monotonic())

    threading.Thread(target=work, daemon=True).start()
    return moments


def kill_a_worker(rng: random.Random) -> bool:
    """SIGKILL one of the running actors; whether there was one."""
    actors = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            if "FacepipeWorker" in " ".join(process.cmdline()):
                actors.append(process)
    if not actors:
        return False
    rng.choice(actors).kill()
    return True


def cluster_faults(options: argparse.Namespace, source: Path, results: Path) -> None:
    import ray
    from ray.cluster_utils import Cluster

    from facepipe.workers.ray_executor import RayExecutor

    with LocalExecutor(2, isolated=True) as local:
        print(describe("local", run_batch([str(source)], results / "local", Settings(), local)))
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
    ray.init(cluster.address, log_to_driver=False, logging_level="error", configure_logging=False)
    stop, rng = threading.Event(), random.Random(options.seed)
    kills = kill_repeatedly(options.every, lambda: kill_a_worker(rng), stop)

    def remove() -> None:
        if not stop.wait(options.remove_after):
            cluster.remove_node(nodes[1], allow_graceful=False)
            print("one node of three was removed")

    threading.Thread(target=remove, daemon=True).start()
    with RayExecutor("auto", shared=options.shared) as executor:
        summary = run_batch([str(source)], results / "ray", Settings(), executor)
    stop.set()
    print(describe("ray", summary) + f", {len(kills)} workers killed")
    ray.shutdown()
    cluster.shutdown()
    compare(results / "local", results / "ray")


def driver_faults(options: argparse.Namespace, source: Path, results: Path) -> None:
    with LocalExecutor(2, isolated=True) as local:
        whole = run_batch([str(source)], results / "local", Settings(), local)
    print(describe("without kills", whole))
    rng = random.Random(options.seed)
    command = [sys.executable, "-m", "facepipe", "batch", str(source), "--workers", "2"]
    command += ["-o", str(results / "killed"), "--progress", "none"]
    for number in range(options.kills):
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
    lines = journal.read_text().splitlines() if journal.exists() else []
    begun, done = (
        sum(f'"said": "task {what}"' in line for line in lines) for what in ("begun", "done")
    )
    return begun, done


def compare(one: Path, other: Path) -> None:
    """End with 1 unless both folders hold the same results."""
    first, second = digests(one), digests(other)
    same = sum(first[name] == second.get(name) for name in first)
    print(f"{same} of {len(first)} results identical, {len(second) - len(first)} more or less")
    if same != len(first) or len(first) != len(second):
        sys.exit(1)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", choices=("cluster", "driver"))
    parser.add_argument("--videos", type=int, default=6)
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--frames", type=int, default=250)
    parser.add_argument("--every", type=float, default=10, help="seconds between kills")
    parser.add_argument("--remove-after", type=float, default=25, help="seconds until a node goes")
    parser.add_argument("--kills", type=int, default=5, help="of the driver")
    parser.add_argument("--shared", action="store_true", help="paths travel, not bytes")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        source, results = Path(folder) / "in", Path(folder) / "out"
        write_batch(source, videos=options.videos, images=options.images, frames=options.frames)
        results.mkdir()
        (cluster_faults if options.what == "cluster" else driver_faults)(options, source, results)
