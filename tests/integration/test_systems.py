"""Unusual systems: file systems without locks, no semaphores, closed or full standard streams."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from facepipe.video import probe
from media import lacking_system, portraits

pty = pytest.importorskip("pty", reason="this machine has no terminals and shells of POSIX")
termios = pytest.importorskip("termios", reason="this machine has no terminals of POSIX")

lacking = pytest.mark.skipif(lacking_system.LACKS is not None, reason=str(lacking_system.LACKS))
FACEPIPE = [sys.executable, "-m", "facepipe"]
QUICK = ["--set", "output.preset=ultrafast", "--workers", "2"]
FULL = Path("/dev/full")


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A face for a second, at 4 frames a second."""
    path = tmp_path_factory.mktemp("video") / "in.mp4"
    return portraits.video(path, pts=[3200 * number for number in range(4)])


def run(
    *words: object, env: dict[str, str] | None = None, shell: str = ""
) -> subprocess.CompletedProcess[str]:
    """The command, perhaps with redirections of the shell after it."""
    call = [*FACEPIPE, *map(str, words)]
    if shell:
        call = ["sh", "-c", f'exec "$@" {shell}', "sh", *call]
    return subprocess.run(call, env=env, capture_output=True, text=True, check=False)


@lacking
@pytest.mark.parametrize("what", ["locks", "semaphores"])
def test_a_video_and_a_batch_on_a_system_that_lacks(what: str, video: Path, tmp_path: Path) -> None:
    env = lacking_system.environment(what, tmp_path)
    target = tmp_path / "out.mp4"
    done = run("run", video, "-o", target, *QUICK, env=env)
    assert (done.returncode, target.exists()) == (0, True), done.stderr
    assert ("this system has no semaphores" in done.stderr) == (what == "semaphores")
    assert "Traceback" not in done.stderr
    assert not (tmp_path / ".out.mp4.facepipe").exists()
    for _ in range(2):  # the second goes on, and finds nothing left to do
        done = run("batch", video, "-o", tmp_path / "batch", *QUICK, env=env)
        assert done.returncode == 0, done.stderr
        assert "1 done" in done.stdout
    assert "nothing was left to do" in done.stdout
    assert ("this system has no semaphores" in done.stderr) == (what == "semaphores")


@lacking
@pytest.mark.parametrize(("what", "row"), [("locks", "locks here"), ("semaphores", "semaphores")])
def test_doctor_looks_for_it(what: str, row: str, tmp_path: Path) -> None:
    env = lacking_system.environment(what, tmp_path)
    done = subprocess.run(
        [*FACEPIPE, "doctor", "--json"],
        env=env, cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    rows = {one["name"]: one for one in json.loads(done.stdout)["rows"]}
    assert [name for name in ("locks here", "semaphores") if not rows[name]["works"]] == [row]
    assert rows["streams"]["works"]
    assert rows["sockets"]["name"] == "sockets"


def test_doctor_sees_streams_and_folders(tmp_path: Path) -> None:
    long = tmp_path / ("long" * 20)
    long.mkdir()
    env = {**os.environ, "TMPDIR": str(long)}
    done = run("doctor", "--json", env=env, shell="2>&-")
    rows = {one["name"]: one for one in json.loads(done.stdout)["rows"]}
    assert not rows["streams"]["works"]
    assert "stderr closed" in rows["streams"]["detail"]
    assert not rows["sockets"]["works"]


@pytest.mark.parametrize("closed", ["2>&-", "<&- >&- 2>&-"])
def test_closed_streams_stop_nothing(closed: str, video: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.mp4"
    done = run("run", video, "-o", target, *QUICK, shell=closed)
    assert done.returncode == 0
    assert len(probe(target).pts) == 4  # and nothing that libraries say is in it
    assert run("run", tmp_path / "none.mp4", "-o", target, shell=closed).returncode == 3


@pytest.mark.skipif(not FULL.exists(), reason="this machine has no /dev/full")
def test_logs_on_a_full_disk_stop_nothing(video: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.mp4"
    words = ("run", video, "-o", target, *QUICK, "--progress", "jsonl")
    assert run(*words, shell=f">{FULL} 2>&1").returncode == 0
    assert target.exists()
    done = run("batch", tmp_path / "out.mp4", "-o", tmp_path / "b", *QUICK, shell=f">{FULL}")
    assert done.returncode == 0
    assert "standard output cannot be written (No space left on device)" in done.stderr
    # Where what is printed is the result, it is missed.
    assert run("models", "list", shell=f">{FULL}").returncode == 4
    assert run("models", "list", shell="| true").returncode == 0


def test_a_terminal_that_closes_ends_with_its_code(video: Path, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    process = subprocess.Popen(
        [*FACEPIPE, "run", str(video), "-o", str(tmp_path / "out.mp4"), *QUICK],
        stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    assert os.read(ours, 1)  # the bar is drawn
    os.close(ours)  # now whatever is written to it fails
    os.killpg(process.pid, signal.SIGHUP)
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert process.wait(timeout=1) == 129
    assert not (tmp_path / "out.mp4").exists()
