"""A real Ray cluster of several nodes on this machine: the same results as without it."""

from __future__ import annotations

import os
import signal
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ray = pytest.importorskip("ray")

from facepipe import enhance  # noqa: E402
from facepipe.datatypes import Span  # noqa: E402
from facepipe.errors import InputError, UsageError, WorkerError  # noqa: E402
from facepipe.video import decode, probe  # noqa: E402
from facepipe.video.sources import open_source  # noqa: E402
from facepipe.workers.base import Executor, Outcome  # noqa: E402
from facepipe.workers.local import LocalExecutor  # noqa: E402
from facepipe.workers.ray_executor import RayExecutor  # noqa: E402
from facepipe.workers.ray_files import FileServer  # noqa: E402
from media.portraits import video  # noqa: E402

Progress = Callable[[int], None]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    from ray.cluster_utils import Cluster

    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    made.add_node(num_cpus=1)
    ray.init(made.address, log_to_driver=False, logging_level="error")
    yield made
    ray.shutdown()
    made.shutdown()


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return video(tmp_path_factory.mktemp("source") / "walk.mp4", frames=40)


def shown(path: Path) -> list[tuple[int, bytes]]:
    info = probe(path)
    frames = decode(info, Span(0, info.pts[0], info.pts[-1] + 1))
    return [(frame.pts, b"".join(plane.tobytes() for plane in frame.planes)) for frame in frames]


def made_by(executor: Executor, source: Path, target: Path) -> list[tuple[int, bytes]]:
    enhance(source, target, executor=executor)
    return shown(target)


@pytest.mark.parametrize("shared", [False, True], ids=["bytes travel", "paths travel"])
def test_the_same_video_as_without_a_cluster(
    cluster: Any, source: Path, tmp_path: Path, shared: bool
) -> None:
    with LocalExecutor(1) as local:
        expected = made_by(local, source, tmp_path / "local.mp4")
    with RayExecutor("auto", shared=shared) as executor:
        executor.start()
        assert executor.workers == 2
        assert made_by(executor, source, tmp_path / "ray.mp4") == expected


def whole(outcomes: list[Outcome[Any]]) -> list[Any]:
    return [o.result for o in sorted(outcomes, key=lambda o: o.number)]


def run(executor: Executor, function: Any, tasks: list[Any]) -> list[Outcome[Any]]:
    return list(executor.map(function, tasks, progress=lambda _: None))


@pytest.fixture
def by_value() -> Iterator[None]:
    """Have this module's functions travel as they are: workers cannot import it."""
    import sys

    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    yield
    ray.cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


def test_a_worker_that_dies_is_replaced(cluster: Any, tmp_path: Path, by_value: None) -> None:
    def fall_once(task: tuple[int, str], progress: Progress) -> int:
        mark = Path(task[1]) / str(task[0])
        if task[0] % 3 == 0 and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        progress(1)
        return task[0]

    with RayExecutor("auto", shared=True) as executor:
        outcomes = run(executor, fall_once, [(k, str(tmp_path)) for k in range(7)])
    assert whole(outcomes) == list(range(7))


def test_what_a_task_raises_comes_back(cluster: Any, by_value: None) -> None:
    def refuse(task: int, progress: Progress) -> int:
        raise InputError(f"no {task}") if task else RuntimeError("trouble")

    with RayExecutor("auto", shared=True) as executor:
        first, second = sorted(run(executor, refuse, [0, 1]), key=lambda o: o.number)
    assert str(first.error) == "trouble"
    assert isinstance(second.error, InputError)
    assert str(second.error) == "no 1"


def test_a_worker_that_hangs_is_given_up(cluster: Any, tmp_path: Path, by_value: None) -> None:
    def hang_once(task: tuple[int, str], progress: Progress) -> int:
        mark = Path(task[1]) / str(task[0])
        if task[0] == 1 and not mark.exists():
            mark.touch()
            time.sleep(600)
        for _ in range(5):
            progress(1)
            time.sleep(0.2)
        return task[0]

    with RayExecutor("auto", shared=True, patience=3) as executor:
        outcomes = run(executor, hang_once, [(k, str(tmp_path)) for k in range(3)])
    assert whole(outcomes) == [0, 1, 2]


def test_a_remote_file_is_read_in_blocks(cluster: Any, source: Path) -> None:
    server = FileServer()
    server.connect()
    address = server.address(str(source))
    with open_source(address) as far, open_source(source) as near:
        packets = [[bytes(p) for p in opened.demux(video=0)] for opened in (far, near)]
    assert packets[0] == packets[1]
    with pytest.raises(FileNotFoundError):
        open_source(server.address("/no/such/video.mp4"))


def figures(cluster: Any) -> Iterator[str]:
    """What the nodes tell Prometheus; a node that was just begun does not say its port yet."""
    for written in Path(cluster.head_node.get_session_dir_path()).glob("metrics_export_port_*"):
        port = int(written.read_text())
        yield urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics").read().decode()


def test_what_was_done_is_told_to_prometheus(cluster: Any, source: Path, tmp_path: Path) -> None:
    with RayExecutor("auto", shared=True) as executor:
        enhance(source, tmp_path / "out.mp4", executor=executor)
        deadline = time.monotonic() + 60
        told = ""
        while "facepipe_faces" not in told:
            assert time.monotonic() < deadline, "no figure of facepipe's came"
            time.sleep(1)
            told = "".join(figures(cluster))
    assert 'stage="render_span"' in told
    assert "facepipe_frames" in told
    assert "facepipe_task_seconds" in told


def test_a_client_of_ray_is_refused_by_name() -> None:
    if ray.is_initialized():
        ray.shutdown()
    with pytest.raises(UsageError, match=r"Ray Client holds no workers.*--ray auto"):
        RayExecutor("ray://127.0.0.1:10001").start()


@pytest.mark.parametrize("address", ["127.0.0.1:1", "no such place", "127.0.0.1"])
def test_no_cluster_is_an_error(address: str) -> None:
    if ray.is_initialized():
        ray.shutdown()
    with pytest.raises(UsageError, match="no cluster answers there"):
        RayExecutor(address).start()


def test_a_cluster_without_room_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    from facepipe.workers import ray_executor as module

    monkeypatch.setattr(module, "_START_SECONDS", 3.0)
    with pytest.raises(
        WorkerError, match=r"each needs a processor and 947 MiB of memory and 1 of a GPU"
    ):
        RayExecutor("local", workers=1, gpus=1).start()
    assert not ray.is_initialized()
