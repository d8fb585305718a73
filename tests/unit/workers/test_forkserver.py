"""The fork server with real processes: what its workers have imported, and when they end."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from multiprocessing import forkserver as python_forkserver
from pathlib import Path

import psutil
import pytest

from facepipe.workers import forkserver

linux = pytest.mark.skipif(sys.platform != "linux", reason="this machine starts workers afresh")

FIND = """
import os, sys, time
from facepipe.workers import forkserver

def report(queue):
    from multiprocessing import parent_process
    names = [name for name in ("facepipe.pipeline.tasks", "onnxruntime") if name in sys.modules]
    queue.put((names, os.environ["OMP_NUM_THREADS"], os.getppid()))

if __name__ == "__main__":
    before = dict(os.environ)
    assert forkserver.prepare()
    assert dict(os.environ) == before
    context = next(forkserver.contexts())
    queue = context.Queue()
    process = context.Process(target=report, args=(queue,))
    process.start()
    names, threads, parent = queue.get()
    process.join()
    assert "facepipe.pipeline.tasks" not in sys.modules, "this process imported it itself"
    print(",".join(names), threads, parent, flush=True)
    time.sleep(float(sys.argv[1]))
"""


def started(
    tmp_path: os.PathLike[str], seconds: float, **environment: str
) -> subprocess.Popen[str]:
    script = os.path.join(tmp_path, "find.py")  # noqa: PTH118
    with open(script, "w", encoding="utf-8") as file:  # noqa: PTH123
        file.write(FIND)
    return subprocess.Popen(
        [sys.executable, script, str(seconds)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, **environment},
    )


@linux
def test_workers_begin_with_what_they_need_and_one_thread(tmp_path: os.PathLike[str]) -> None:
    out, errors = started(tmp_path, 0).communicate(timeout=60)
    assert "Traceback" not in errors
    names, threads, parent = out.split()
    assert names == "facepipe.pipeline.tasks,onnxruntime"
    assert threads == "1"
    deadline = time.monotonic() + 10
    while psutil.pid_exists(int(parent)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not psutil.pid_exists(int(parent)), "it outlived the process that began it"


@linux
@pytest.mark.parametrize("how", ["SIGKILL", "SIGINT"])
def test_nothing_is_left_or_said_when_the_process_is_ended(
    tmp_path: os.PathLike[str], how: str
) -> None:
    process = started(tmp_path, 60)
    assert process.stdout
    assert process.stderr
    parent = int(process.stdout.readline().split()[2])
    os.killpg(process.pid, signal.Signals[how])
    process.wait(timeout=20)
    errors = process.stderr.read()
    assert errors.count("Traceback") <= 1  # of the script itself, which hears Ctrl-C
    assert "forkserver" not in errors
    deadline = time.monotonic() + 10
    while psutil.pid_exists(parent) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not psutil.pid_exists(parent)


@linux
def test_ctrl_c_during_the_imports_is_ignored() -> None:
    code = (
        "from facepipe.workers import forkserver; import time; forkserver.prepare(); time.sleep(5)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    family: list[psutil.Process] = []
    deadline = time.monotonic() + 20
    while not family and time.monotonic() < deadline:
        family = [
            one
            for one in psutil.Process(process.pid).children()
            if "forkserver" in " ".join(one.cmdline())
        ]
        time.sleep(0.01)
    status = Path(f"/proc/{family[0].pid}/status").read_text()
    (blocked,) = [line.split()[1] for line in status.splitlines() if line.startswith("SigBlk")]
    assert int(blocked, 16) >> (signal.SIGINT - 1) & 1
    family[0].send_signal(signal.SIGINT)
    process.kill()
    assert process.stderr
    assert process.stderr.read() == ""


def test_without_a_place_for_its_socket_workers_are_spawned(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full() -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(python_forkserver, "ensure_running", full)
    monkeypatch.setattr(forkserver, "_started", True)
    assert not forkserver.prepare()
    assert list(forkserver.contexts()) == [multiprocessing.get_context("spawn")]


def test_a_program_that_is_not_ours_keeps_its_fork_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forkserver, "_started", False)
    assert list(forkserver.contexts()) == [multiprocessing.get_context("spawn")]


@linux
def test_what_the_user_says_of_threads_holds(tmp_path: os.PathLike[str]) -> None:
    out, _ = started(tmp_path, 0, OMP_NUM_THREADS="3").communicate(timeout=60)
    assert out.split()[1] == "3"


DYING = """
import os
from facepipe.workers import forkserver
from facepipe.workers.local import LocalExecutor

def where(task, progress):
    return task, os.getppid()

if __name__ == "__main__":
    forkserver._PRELOAD = ("dies_here",)
    assert forkserver.prepare()
    with LocalExecutor(2) as workers:
        outcomes = list(workers.map(where, [1, 2, 3], progress=lambda frames: None))
    assert sorted(outcome.result for outcome in outcomes) == [(n, os.getpid()) for n in (1, 2, 3)]
    print("done")
"""


@linux
def test_where_the_imports_end_the_process_workers_are_spawned(tmp_path: Path) -> None:
    (tmp_path / "dies_here.py").write_text("import os\nos._exit(3)\n")
    script = tmp_path / "dying.py"
    script.write_text(DYING)
    done = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={
            **os.environ,
            "PYTHONPATH": f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
        },
    )
    assert done.stdout == "done\n", done.stderr
