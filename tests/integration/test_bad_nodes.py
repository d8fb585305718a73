"""Clusters with a node that is not as it should be: it harms nobody, and is named."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("ray")

import facepipe
from media import raylets
from media.portrait_batch import write_batch

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(
        not raylets.can_unshare(), reason="this machine gives no mounts of one's own"
    ),
]


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """The address of a cluster of two good nodes."""
    with raylets.head() as made, raylets.node(made.address, known=raylets.nodes_of(made.address)):
        yield str(made.address)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("batch") / "in"
    write_batch(folder, videos=3, images=5, frames=15)
    return folder


@pytest.fixture(scope="module")
def expected(source: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    out = tmp_path_factory.mktemp("local") / "out"
    done = batch(source, out)
    assert done.returncode == 0, done.stderr
    return digests(out)


def batch(source: Path, out: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run a batch in a process of its own."""
    command = [sys.executable, "-m", "facepipe", "batch", str(source), "-o", str(out), *options]
    environment = os.environ | raylets.ENVIRONMENT
    return subprocess.run(command, capture_output=True, text=True, timeout=500, env=environment)


def digests(out: Path) -> dict[str, str]:
    """The SHA-256 of each result."""
    return {
        path.relative_to(out).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(out.rglob("*"))
        if path.is_file()
        and path.suffix not in (".json", ".jsonl", ".csv")
        and ".facepipe-batch" not in path.parts
    }


def check(
    done: subprocess.CompletedProcess[str], out: Path, expected: dict[str, str], reason: str
) -> None:
    """All results are there and equal, and one line names the node and says why."""
    assert done.returncode == 0, done.stderr
    assert digests(out) == expected
    told = [line for line in done.stderr.splitlines() if line.startswith("warning: node ")]
    assert told, done.stderr
    assert all(reason in line for line in told), told
    assert len(told) <= 2, told  # named, and set aside
    assert "(raylet)" not in done.stderr
    assert not list((out / ".facepipe-batch").glob("trial-*"))


def another_facepipe(folder: Path, line: str, file: str = "__init__.py") -> Path:
    """A folder with a facepipe that has one more line."""
    shutil.copytree(
        Path(str(facepipe.__file__)).parent,
        folder / "facepipe",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    with (folder / "facepipe" / file).open("a") as written:
        written.write(f"\n{line}\n")
    return folder


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("raise ImportError('not today')", "its facepipe does not import (ImportError: not today)"),
        ("OTHER = 1", "has other code or weights"),
        ("__version__ = '0.0.1'", "it has facepipe 0.0.1"),
        ("import os; os._exit(1)", "its worker did not start"),
    ],
    ids=["does not import", "other code", "other version", "ends its workers"],
)
def test_a_node_with_another_facepipe_gets_no_task(
    cluster: str,
    source: Path,
    expected: dict[str, str],
    tmp_path: Path,
    line: str,
    reason: str,
) -> None:
    path, out = another_facepipe(tmp_path / "other", line), tmp_path / "out"
    with raylets.node(cluster, python_path=path, known=raylets.nodes_of(cluster)):
        check(batch(source, out, "--ray", cluster, "--shared"), out, expected, reason)


@pytest.mark.parametrize("which", ["sources", "results"])
def test_a_node_without_a_mount_gets_no_task(
    cluster: str, source: Path, expected: dict[str, str], tmp_path: Path, which: str
) -> None:
    out = tmp_path / "results"
    out.mkdir()
    hidden, reason = (source, "cannot be read") if which == "sources" else (out, "another folder")
    with raylets.node(cluster, hidden=[hidden], known=raylets.nodes_of(cluster)):
        check(batch(source, out, "--ray", cluster, "--shared"), out, expected, reason)


def test_a_device_that_no_node_has_is_an_error_of_the_cluster(
    cluster: str, source: Path, tmp_path: Path
) -> None:
    options = ("--ray", cluster, "--shared", "--device", "cuda")
    done = batch(source, tmp_path / "out", *options)
    assert done.returncode == 7
    assert "every node of the cluster was set aside" in done.stderr
    assert "device cuda was asked for" in done.stderr
    assert not digests(tmp_path / "out")
