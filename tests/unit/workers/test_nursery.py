"""Real processes: what they have when they begin, and what is left when this one ends."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from multiprocessing import forkserver

import psutil
import pytest

from facepipe.workers import nursery

linux = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere workers start afresh")

FIND = """
import os, sys, time
from facepipe.workers import nursery

def told(queue):
    from multiprocessing import parent_process
    names = [name for name in ("facepipe.pipeline.spans", "onnxruntime") if name in sys.modules]
    queue.put((names, os.environ["OMP_NUM_THREADS"], os.getppid()))

if __name__ == "__main__":
    before = dict(os.environ)
    assert nursery.prepare()
    assert dict(os.environ) == before
    context = nursery.context()
    queue = context.Queue()
    process = context.Process(target=told, args=(queue,))
    process.start()
    names, threads, parent = queue.get()
    process.join()
    assert "facepipe.pipeline.spans" not in sys.modules, "this process imported it itself"
    print(",".join(names), threads, parent, flush=True)
    time.sleep(float(sys.argv[1]))
"""


def started(tmp_path: os.PathLike[str], seconds: float) -> subprocess.Popen[str]:
    script = os.path.join(tmp_path, "find.py")  # noqa: PTH118
    with open(script, "w", encoding="utf-8") as file:  # noqa: PTH123
        file.write(FIND)
    return subprocess.Popen(
        [sys.executable, script, str(seconds)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@linux
def test_workers_begin_with_what_they_need_and_one_thread(tmp_path: os.PathLike[str]) -> None:
    out, errors = started(tmp_path, 0).communicate(timeout=60)
    assert "Traceback" not in errors
    names, threads, parent = out.split()
    assert names == "facepipe.pipeline.spans,onnxruntime"
    assert threads == "1"
    deadline = time.monotonic() + 10
    while psutil.pid_exists(int(parent)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not psutil.pid_exists(int(parent)), "it outlived the process that began it"


@linux
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_nothing_is_left_or_said_when_the_process_is_ended(
    tmp_path: os.PathLike[str], how: signal.Signals
) -> None:
    process = started(tmp_path, 60)
    assert process.stdout
    assert process.stderr
    parent = int(process.stdout.readline().split()[2])
    os.killpg(process.pid, how)
    process.wait(timeout=20)
    errors = process.stderr.read()
    assert errors.count("Traceback") <= 1  # of the script itself, which hears Ctrl-C
    assert "forkserver" not in errors
    deadline = time.monotonic() + 10
    while psutil.pid_exists(parent) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not psutil.pid_exists(parent)


@linux
def test_ctrl_c_during_the_imports_is_not_heard() -> None:
    code = "from facepipe.workers import nursery; import time; nursery.prepare(); time.sleep(5)"
    process = subprocess.Popen(
        [sys.executable, "-c", code], stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    family: list[psutil.Process] = []
    while not family:
        family = [
            one
            for one in psutil.Process(process.pid).children()
            if "forkserver" in " ".join(one.cmdline())
        ]
        time.sleep(0.01)
    family[0].send_signal(signal.SIGINT)
    process.kill()
    assert process.stderr
    assert process.stderr.read() == ""


def test_without_a_place_for_its_socket_workers_start_afresh(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full() -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(forkserver, "ensure_running", full)
    assert not nursery.prepare()
    assert nursery.context() is multiprocessing.get_context("spawn")
