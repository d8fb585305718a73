"""The local executor with real processes: order, failures, retries and deaths."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from facepipe.errors import MediaError, WorkerError
from facepipe.workers.base import Outcome
from facepipe.workers.local import LocalExecutor
from facepipe.workers.resources import affordable_workers, free_memory, usable_cores, worker_bytes

Progress = Callable[[int], None]


def double(task: int, progress: Progress) -> int:
    for _ in range(task):
        progress(1)
    return 2 * task


def fail_once(task: tuple[int, str], progress: Progress) -> int:
    """Fails on the first attempt: leaves a mark on the disk to know the second."""
    mark = Path(task[1]) / f"tried-{task[0]}"
    if not mark.exists():
        mark.touch()
        raise RuntimeError("passing trouble")
    return task[0]


def refuse(task: str, progress: Progress) -> None:
    with Path(task).open("a") as file:
        file.write("x")
    raise MediaError("the encoder refuses")


def break_always(task: int, progress: Progress) -> None:
    raise RuntimeError(f"trouble {task}")


def die(task: tuple[int, str], progress: Progress) -> int:
    """Task 0 kills its own process, always; the others take a moment."""
    if task[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.05)
    return task[0]


def pid(task: int, progress: Progress) -> int:
    return os.getpid()


def collected(outcomes: list[Outcome[int]]) -> list[int | None]:
    return [o.result for o in sorted(outcomes, key=lambda o: o.number)]


@pytest.mark.parametrize("workers", [1, 2])
def test_every_task_has_one_outcome(workers: int) -> None:
    seen: list[int] = []
    with LocalExecutor(workers) as executor:
        outcomes = list(executor.map(double, list(range(25)), progress=seen.append))
    assert collected(outcomes) == [2 * k for k in range(25)]
    assert sum(seen) == sum(range(25))


def test_one_worker_is_this_process() -> None:
    for workers, here in ((1, True), (2, False)):
        with LocalExecutor(workers) as executor:
            (outcome,) = executor.map(pid, [0], progress=lambda _: None)
        assert (outcome.result == os.getpid()) == here


def test_workers_that_die_between_results_are_replaced() -> None:
    with LocalExecutor(2) as executor:
        outcomes = executor.map(double, list(range(30)), progress=lambda _: None)
        found = [next(outcomes)]
        for process in multiprocessing.active_children():
            process.kill()
        time.sleep(0.3)
        found += outcomes
    assert collected(found) == [2 * k for k in range(30)]


@pytest.mark.parametrize("workers", [1, 2])
def test_passing_trouble_is_tried_again(workers: int, tmp_path: Path) -> None:
    tasks = [(k, str(tmp_path)) for k in range(3)]
    with LocalExecutor(workers) as executor:
        outcomes = list(executor.map(fail_once, tasks, progress=lambda _: None))
    assert collected(outcomes) == [0, 1, 2]


@pytest.mark.parametrize("workers", [1, 2])
def test_lasting_trouble_becomes_the_outcome(workers: int) -> None:
    with LocalExecutor(workers) as executor:
        outcomes = list(executor.map(break_always, [4, 5], progress=lambda _: None))
    assert sorted(str(o.error) for o in outcomes) == ["trouble 4", "trouble 5"]


@pytest.mark.parametrize("workers", [1, 2])
def test_what_is_refused_is_not_tried_again(workers: int, tmp_path: Path) -> None:
    tasks = [str(tmp_path / name) for name in "ab"]
    with LocalExecutor(workers) as executor:
        outcomes = list(executor.map(refuse, tasks, progress=lambda _: None))
    assert all(isinstance(o.error, MediaError) for o in outcomes)
    assert [Path(task).read_text() for task in tasks] == ["x", "x"]


def test_a_dying_worker_takes_no_other_task_with_it(tmp_path: Path) -> None:
    tasks = [(k, str(tmp_path)) for k in range(6)]
    with LocalExecutor(2) as executor:
        outcomes = list(executor.map(die, tasks, progress=lambda _: None))
    assert collected(outcomes) == [None, 1, 2, 3, 4, 5]
    (lost,) = [o for o in outcomes if o.number == 0]
    assert isinstance(lost.error, WorkerError)
    assert "died" in str(lost.error)


LINGERING = """
import sys
sys.path.insert(0, {folder!r})
import test_local
from facepipe.workers.local import LocalExecutor
if __name__ == "__main__":
    with LocalExecutor(2) as executor:
        list(executor.map(test_local.linger, [{mark!r}] * 2, progress=lambda _: None))
"""


def linger(task: str, progress: Progress) -> None:
    with Path(task).open("a") as file:
        file.write(f"{os.getpid()}\n")
    time.sleep(120)


def alive(process: int) -> bool:
    try:
        status = Path(f"/proc/{process}/stat").read_text()
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"  # a zombie waits for whoever reaps it


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="this machine has no /proc")
def test_no_worker_outlives_a_killed_parent(tmp_path: Path) -> None:
    mark, script = tmp_path / "pids", tmp_path / "run.py"
    script.write_text(LINGERING.format(folder=str(Path(__file__).parent), mark=str(mark)))
    parent = subprocess.Popen([sys.executable, str(script)])
    deadline = time.monotonic() + 60

    def workers() -> list[int]:
        return [int(line) for line in mark.read_text().split()] if mark.exists() else []

    while len(workers()) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(workers()) == 2
    parent.kill()
    parent.wait()
    while any(alive(pid) for pid in workers()):
        assert time.monotonic() < deadline, "a worker lives on"
        time.sleep(0.05)


def doze(task: tuple[int, float], progress: Progress) -> int:
    """Reports a frame, and no other for so many seconds."""
    progress(1)
    time.sleep(task[1])
    progress(1)
    return task[0]


def test_a_worker_that_hangs_is_given_up() -> None:
    with LocalExecutor(2, patience=3.0) as executor:
        outcomes = list(executor.map(doze, [(0, 60), (1, 0.1), (2, 0.1)], progress=lambda _: None))
    assert collected(outcomes) == [None, 1, 2]
    (lost,) = [o for o in outcomes if o.number == 0]
    assert isinstance(lost.error, WorkerError)
    assert "no frame came for 3 s" in str(lost.error)


SUSPENDED = """
import sys
sys.path.insert(0, {folder!r})
import test_local
from facepipe.workers.local import LocalExecutor
if __name__ == "__main__":
    with LocalExecutor(2, patience={patience}) as executor:
        tasks = [({folder_of_marks!r}, k) for k in range(2)]
        outcomes = list(executor.map(test_local.tick_until_told, tasks, progress=lambda _: None))
    print([(o.number, o.result, o.error) for o in sorted(outcomes, key=lambda o: o.number)])
"""


def tick_until_told(task: tuple[str, int], progress: Progress) -> int:
    """Reports a frame ten times a second until the file `end` is there; how often it was begun."""
    folder, number = Path(task[0]), task[1]
    mark = folder / f"begun-{number}"
    with mark.open("a") as file:
        file.write("x")
    while not (folder / "end").exists():
        time.sleep(0.1)
        progress(1)
    return len(mark.read_text())


@pytest.mark.skipif(os.name != "posix", reason="this machine suspends no processes")
def test_a_suspended_run_goes_on_where_it_was(tmp_path: Path) -> None:
    """Ctrl-Z, a frozen container: time in which nobody ran is nobody's fault, however often."""
    patience, suspended = 5.0, 5.5  # a busy machine keeps a worker waiting, too
    script = tmp_path / "run.py"
    script.write_text(
        SUSPENDED.format(
            folder=str(Path(__file__).parent), folder_of_marks=str(tmp_path), patience=patience
        )
    )
    run = subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        deadline = time.monotonic() + 60
        while len(list(tmp_path.glob("begun-*"))) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        for _ in range(2):
            os.killpg(run.pid, signal.SIGSTOP)
            time.sleep(suspended)
            os.killpg(run.pid, signal.SIGCONT)
            time.sleep(0.5)
        (tmp_path / "end").touch()
        shown, _ = run.communicate(timeout=60)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(run.pid, signal.SIGKILL)
    assert shown == "[(0, 1, None), (1, 1, None)]\n"


def test_several_threads_share_the_workers() -> None:
    with LocalExecutor(2) as executor, ThreadPoolExecutor(4) as threads:

        def work(which: int) -> list[int | None]:
            tasks = [100 * which + k for k in range(10)]
            return collected(list(executor.map(double, tasks, progress=lambda _: None)))

        results = list(threads.map(work, range(4)))
    assert results == [[200 * which + 2 * k for k in range(10)] for which in range(4)]


def test_what_is_given_up_early_frees_its_workers() -> None:
    with LocalExecutor(2) as executor:
        outcomes = executor.map(doze, [(0, 0), (1, 60), (2, 60)], progress=lambda _: None)
        assert next(outcomes).result == 0
        outcomes.close()  # type: ignore[attr-defined]
        assert collected(list(executor.map(double, [3], progress=lambda _: None))) == [6]


def test_one_worker_may_be_isolated() -> None:
    with LocalExecutor(1, isolated=True) as executor:
        (outcome,) = executor.map(pid, [0], progress=lambda _: None)
    assert outcome.result != os.getpid()


def threads(task: int, progress: Progress) -> str | None:
    return os.environ.get("OPENBLAS_NUM_THREADS")


def test_a_worker_has_one_thread_for_algebra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or two workers on two cores would have four."""
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    with LocalExecutor(1, isolated=True) as executor:
        (outcome,) = executor.map(threads, [0], progress=lambda _: None)
    assert outcome.result == "1"


def test_memory_limits_the_workers() -> None:
    assert affordable_workers(1) == usable_cores()
    assert affordable_workers(2**60) == 1
    assert 0 < free_memory() < 2**50


def test_a_workers_memory_grows_with_frames_and_codec() -> None:
    assert worker_bytes() >> 20 == 947
    assert worker_bytes() == worker_bytes(1920, 1080, codec="libx264", sample_bytes=1)
    assert worker_bytes(1280, 720) < worker_bytes() < worker_bytes(3840, 2160)
    assert worker_bytes(codec="prores_ks") < worker_bytes() < worker_bytes(codec="libsvtav1")
    without_encoder = worker_bytes(0, 0)
    assert worker_bytes(sample_bytes=2) - without_encoder == 2 * (worker_bytes() - without_encoder)
    assert worker_bytes(codec="unknown") == worker_bytes()


def test_the_documents_give_the_same_memory() -> None:
    text = (Path(__file__).parents[3] / "docs" / "cluster.md").read_text()
    for width, height in ((1280, 720), (1920, 1080), (3840, 2160)):
        assert f"{worker_bytes(width, height) / 2**30:.1f} GiB for {width}x{height}" in text


def test_there_is_a_core() -> None:
    assert usable_cores() >= 1
