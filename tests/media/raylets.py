"""Raylets on this machine: a cluster whose nodes may lack a mount, or have another facepipe."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

#: What a cluster of these tests says to nobody, and how it is reached without a token.
ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "disabled",
    "RAY_worker_niceness": "0",  # other work on this machine would starve them
}


def can_unshare() -> bool:
    """Whether this process may give a node mounts of its own."""
    command = ["unshare", "-m", "true"]
    return shutil.which("unshare") is not None and subprocess.run(command).returncode == 0


@contextmanager
def head(cpus: int = 1) -> Iterator[Any]:
    """A cluster with a head of so many processors."""
    from ray.cluster_utils import Cluster

    os.environ.update(ENVIRONMENT)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": cpus})
    try:
        yield cluster
    finally:
        cluster.shutdown()  # type: ignore[no-untyped-call]


@contextmanager
def node(
    address: str,
    *,
    cpus: int = 1,
    hidden: Sequence[Path] = (),
    python_path: Path | None = None,
    known: Callable[[], set[str]],
) -> Iterator[subprocess.Popen[bytes]]:
    """Add a node to a cluster; it sees empty folders in place of the `hidden` ones.

    `python_path` is where it looks for modules first. `known` gives the cluster's nodes.
    """
    ray = [sys.executable, "-m", "ray.scripts.scripts", "start", f"--address={address}"]
    ray += [f"--num-cpus={cpus}", "--block", "--object-store-memory=100000000"]
    mounts = [f"mount -t tmpfs none {shlex.quote(str(folder))}" for folder in hidden]
    command = ["sh", "-c", " && ".join([*mounts, f"exec {shlex.join(ray)}"])]
    if hidden:
        command = ["unshare", "-m", *command]
    paths = [str(python_path)] if python_path else []
    paths += [os.environ["PYTHONPATH"]] if "PYTHONPATH" in os.environ else []
    environment = os.environ | ENVIRONMENT | {"PYTHONPATH": os.pathsep.join(paths)}
    before = known()
    process = subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 120
        while known() <= before:  # one that was killed is known for a while
            assert process.poll() is None, "the node has ended"
            assert time.monotonic() < deadline, "no node came"
            time.sleep(0.2)
        yield process
    finally:
        kill(process)


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a node with all of its processes."""
    with suppress(psutil.NoSuchProcess):
        parent = psutil.Process(process.pid)
        for one in (*parent.children(recursive=True), parent):
            with suppress(psutil.NoSuchProcess):
                one.kill()
    process.wait()


def nodes_of(address: str) -> Callable[[], set[str]]:
    """A function that gives the living nodes of a cluster without joining it."""
    from ray._raylet import GcsClient  # type: ignore[attr-defined]

    client = GcsClient(address=address)
    return lambda: {
        node.hex() for node, info in client.get_all_node_info().items() if info.state == 0
    }
