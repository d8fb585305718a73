from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from facepipe._system.locks import LOCK, exclusive
from facepipe.errors import OutputError, UsageError
from facepipe.pipeline.checkpoint import folder_of
from facepipe.ui import jobs
from facepipe.ui.jobs import Job, Queue, open_queue
from facepipe.ui.library import Library, analysis_path, page_path
from media import portraits


@pytest.fixture
def queue(video: Path) -> Queue:
    """A queue of which nobody does the jobs."""
    folder = video.parent / ".q"
    folder.mkdir()
    return Queue(Library(video.parent), folder)


def reopened(queue: Queue) -> list[Job]:
    return Queue(queue._library, queue._file.parent).jobs()


def wait_for(happened: Callable[[], object], patience: float = 600) -> None:
    end = time.monotonic() + patience
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.02)


@contextmanager
def working(video: Path) -> Iterator[Queue]:
    with open_queue(Library(video.parent)) as queue:
        yield queue


def state(queue: Queue, number: int = 1) -> str:
    return next(job.state for job in queue.jobs() if job.number == number)


def test_jobs_wait_in_order_and_outlive_the_queue(queue: Queue, video: Path) -> None:
    first, second = queue.add("analyze", video), queue.add("render", video)
    assert (first.number, first.target) == (1, "v.mp4.analysis.json")
    assert (second.number, second.target) == (2, "v-enhanced.mp4")
    assert reopened(queue) == queue.jobs() == [first, second]


def test_the_same_job_does_not_wait_twice(queue: Queue, video: Path) -> None:
    queue.add("analyze", video)
    with pytest.raises(UsageError, match="in the queue already"):
        queue.add("analyze", video)


def test_a_queue_has_an_end(queue: Queue, video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "MOST_JOBS", 1)
    queue.add("analyze", video)
    with pytest.raises(UsageError, match="remove some"):
        queue.add("render", video)


def test_a_job_is_stopped_resumed_and_removed(queue: Queue, video: Path) -> None:
    queue.add("render", video)
    version = queue.version
    queue.stop(1)
    assert state(queue) == "stopped"
    assert queue.version > version
    with pytest.raises(UsageError, match="job 1 is stopped"):
        queue.stop(1)
    queue.resume(1)
    assert state(queue) == "waiting"
    queue.remove(1)
    assert queue.jobs() == reopened(queue) == []
    with pytest.raises(UsageError, match="no job 1"):
        queue.resume(1)


def test_removing_deletes_kept_work_that_nobody_uses(queue: Queue, video: Path) -> None:
    kept = folder_of(video.with_name("v-enhanced.mp4"))
    for _ in range(2):
        kept.mkdir()
        (kept / "part").write_text("")
        number = queue.add("render", video).number
        if _ == 0:
            queue.remove(number)
            assert not kept.exists()
        else:
            with exclusive(kept / LOCK):
                queue.remove(number)
            assert kept.exists()


def test_what_was_at_work_when_all_was_killed_waits_again(queue: Queue, video: Path) -> None:
    queue.add("render", video)
    text = queue._file.read_text()
    queue._file.write_text(text.replace('"waiting"', '"running"'))
    assert [job.state for job in reopened(queue)] == ["waiting"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"target": "/tmp/other.json"},
        {"target": "../v.mp4.analysis.json"},
        {"target": "v.mp4"},
        {"video": "../v.mp4"},
        {"video": "/etc/passwd"},
        {"kind": "render", "target": "v.mp4"},
        {"kind": "render", "target": "v-enhanced.mp4.sh"},
        {"kind": "render", "target": "v-enhanced-x.mp4"},
        {"kind": "render", "target": "sub/v-enhanced.mp4"},
    ],
    ids=str,
)
def test_a_queue_from_elsewhere_names_no_other_files(
    queue: Queue, video: Path, wrong: dict[str, str]
) -> None:
    queue.add("analyze", video)
    (job,) = json.loads(queue._file.read_text())
    queue._file.write_text(json.dumps([job | wrong]))
    assert reopened(queue) == []


@pytest.mark.parametrize("text", ["", "[", "{}", '[{"number": 1}]', '[{"number": "x"}]'])
def test_a_damaged_queue_is_an_empty_one(queue: Queue, text: str) -> None:
    queue._file.write_text(text)
    assert reopened(queue) == []


@pytest.mark.long
def test_a_search_and_a_video_are_made_and_nothing_is_left(video: Path) -> None:
    with working(video) as queue:
        queue.add("analyze", video)
        queue.add("render", video)
        wait_for(lambda: all(job.state in ("done", "failed") for job in queue.jobs()))
        assert [(job.state, job.done) for job in queue.jobs()] == [("done", 40), ("done", 40)]
        assert str(video.parent) not in queue.jobs()[0].message
    names = {path.name for path in video.parent.iterdir()}
    assert names == {
        "v.mp4", "v.mp4.analysis.json", "v-enhanced.mp4", "v-enhanced.mp4.facepipe.json",
        "v-enhanced.html",
    }  # fmt: skip


@pytest.mark.long
def test_a_job_that_fails_says_why_and_the_next_one_is_done(video: Path) -> None:
    with working(video) as queue:
        queue.add("render", video)  # nothing was searched
        queue.add("analyze", video)
        wait_for(lambda: state(queue, 2) == "done")
        assert state(queue, 1) == "failed"
        assert "no such analysis file" in queue.jobs()[0].message


@pytest.mark.long
def test_a_server_that_ends_leaves_its_job_to_the_next(tmp_path: Path) -> None:
    video = portraits.visit(tmp_path / "v.mp4")
    with working(video) as queue:
        queue.add("analyze", video)
        wait_for(lambda: queue.jobs()[0].total)
    kept = json.loads((tmp_path / ".facepipe-ui/queue.json").read_text())
    assert [one["state"] for one in kept] == ["waiting"]
    assert not analysis_path(video).exists()
    with working(video) as queue:
        wait_for(lambda: state(queue) == "done")
    assert analysis_path(video).is_file()
    assert not (tmp_path / ".facepipe-ui").exists()


@pytest.mark.long
def test_a_job_at_work_is_cancelled_and_resumed(tmp_path: Path) -> None:
    video = portraits.visit(tmp_path / "v.mp4")
    with working(video) as queue:
        queue.add("analyze", video)
        wait_for(lambda: queue.jobs()[0].total)
        queue.stop(1)
        assert state(queue) == "stopped"
        wait_for(lambda: queue._command is None)
        assert not analysis_path(video).exists()
        assert state(queue) == "stopped"
        queue.resume(1)
        wait_for(lambda: state(queue) == "done")
    assert analysis_path(video).is_file()


@pytest.mark.long
def test_a_job_that_is_cancelled_and_removed_at_once_leaves_nothing(tmp_path: Path) -> None:
    video = portraits.visit(tmp_path / "v.mp4")
    with working(video) as queue:
        queue.add("analyze", video)
        wait_for(lambda: queue.jobs()[0].total)
        queue.stop(1)
        queue.remove(1)
        assert queue.jobs() == []
    assert [path.name for path in tmp_path.iterdir()] == ["v.mp4"]


@pytest.mark.long
def test_a_target_that_another_run_makes_is_waited_for(video: Path) -> None:
    folder = folder_of(analysis_path(video))
    folder.mkdir()
    with working(video) as queue:
        with exclusive(folder / LOCK):
            queue.add("analyze", video)
            wait_for(lambda: queue.jobs()[0].message)
            assert "another run" in queue.jobs()[0].message
            assert state(queue) == "running"
        wait_for(lambda: state(queue) == "done")


def test_two_servers_do_not_share_a_folder(video: Path) -> None:
    with working(video), pytest.raises(OutputError, match="another facepipe ui"), working(video):
        pass


def test_a_result_that_was_made_before_the_kill_is_done(queue: Queue, video: Path) -> None:
    job = queue.add("render", video)
    target = video.with_name(job.target)
    target.write_bytes(b"made")
    assert not page_path(target).exists()
    queue.start()
    wait_for(lambda: state(queue) == "done")
    queue.end()
    assert target.read_bytes() == b"made"
