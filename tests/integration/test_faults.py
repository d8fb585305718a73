"""Full disks, sources that change, signals and too little memory: a clear end, and nothing half."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from facepipe import enhance
from facepipe.configs.settings import Settings, load_settings
from facepipe.datatypes import Span
from facepipe.errors import FacepipeError, InputError, OutputError
from facepipe.pipeline.checkpoint import Job, claim, open_job
from facepipe.pipeline.passes import Event
from facepipe.pipeline.sidecar import sidecar_path
from facepipe.video import probe
from facepipe.workers.local import LocalExecutor
from media import portraits, synthetic

resource = pytest.importorskip("resource", reason="this machine has no limits of processes")

FACEPIPE = [sys.executable, "-m", "facepipe"]
ASSIGNED = ["output.preset=ultrafast", "workers=1", "span_seconds=0.4"]
QUICK = ["--quiet", *(word for one in ASSIGNED for word in ("--set", one))]


def quick() -> Settings:
    return load_settings(assignments=ASSIGNED)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two faces for three seconds, at 4 frames a second: three spans."""
    slow = [3200 * number for number in range(12)]
    path = tmp_path_factory.mktemp("video") / "in.mp4"
    return portraits.video(path, pts=slow, options={"g": "4", "crf": "16"})


@pytest.fixture(scope="module")
def sizes(video: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    """The largest file that each stage writes, in bytes."""
    target = tmp_path_factory.mktemp("sizes") / "out.mp4"
    found: dict[str, int] = {}

    def look(event: Event) -> None:
        for path in (target.parent / ".out.mp4.facepipe").glob("*"):
            stage = path.name.strip(".").split("-")[0].split(".")[0]
            found[stage] = max(found.get(stage, 0), path.stat().st_size)

    enhance(video, target, quick(), on_event=look)
    return found | {"whole": target.stat().st_size, "report": sidecar_path(target).stat().st_size}


@pytest.mark.parametrize("stage", ["fingerprint", "analysis", "faces", "part", "whole"])
def test_a_disk_that_takes_no_more_at_any_stage(
    stage: str, video: Path, sizes: dict[str, int], tmp_path: Path
) -> None:
    """By the largest size that a file may have, which meets any user as a full disk does."""
    target, before = tmp_path / "out.mp4", digest(video)
    most = {"fingerprint": 8}.get(stage, sizes.get(stage, 0) - 1)
    done = subprocess.run(
        [*FACEPIPE, "run", str(video), "-o", str(target), *QUICK],
        env={k: v for k, v in os.environ.items() if not k.startswith("COVERAGE")},
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most, most)),
    )
    assert done.returncode == 4, done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert "too large" in done.stderr.lower()
    assert not target.exists()
    assert digest(video) == before
    assert not list(tmp_path.glob("*.partial*"))
    again = enhance(video, target, quick())  # with room it goes on from what is kept
    assert again.frames == 12
    assert again.resumed == 3 * (stage == "whole")
    assert not (tmp_path / ".out.mp4.facepipe").exists()


def mounted(options: str) -> list[str]:
    """A command that runs its arguments where $1 is a small disk of its own; skips elsewhere."""
    unshare = shutil.which("unshare")
    if unshare is None:
        pytest.skip("this machine has no unshare")
    root = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    command = [unshare, *root, "--mount", "sh", "-ec"]
    script = f'mount -t tmpfs -o {options} none "$0"; [ -z "$READ_ONLY" ] || ' \
        'mount -o remount,ro "$0"; "$@"; code=$?; ls -a "$0"; exit $code'  # fmt: skip
    tried = subprocess.run([*command, 'mount -t tmpfs none "$0"', "/mnt"], check=False)
    if tried.returncode:
        pytest.skip("this machine lets nobody mount disks")
    return [*command, script.replace('"$@"; code=$?', 'code=0; "$@" || code=$?')]


@pytest.mark.parametrize("kilobytes", [4, 32, 80])
def test_a_full_disk(kilobytes: int, video: Path, tmp_path: Path) -> None:
    where = mounted(f"size={kilobytes}k")
    run = [*FACEPIPE, "run", str(video), "-o", str(tmp_path / "out.mp4"), *QUICK]
    done = subprocess.run(
        [*where, str(tmp_path), *run], capture_output=True, text=True, check=False
    )
    assert done.returncode == 4, done.stderr
    assert "No space left on device" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert set(done.stdout.split()) <= {".", "..", ".out.mp4.facepipe"}, done.stdout


def test_a_disk_that_is_only_read(video: Path, tmp_path: Path) -> None:
    where = mounted("size=9m")
    run = [*FACEPIPE, "run", str(video), "-o", str(tmp_path / "out.mp4"), *QUICK]
    done = subprocess.run(
        [*where, str(tmp_path), *run],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"READ_ONLY": "1"},
    )
    assert done.returncode == 4, done.stderr
    assert "Read-only file system" in done.stderr


def removed(source: Path) -> None:
    source.unlink()


def truncated(source: Path) -> None:
    os.truncate(source, source.stat().st_size // 2)


def changed(source: Path) -> None:
    content = bytearray(source.read_bytes())
    content[-1] ^= 1
    source.write_bytes(content)


def replaced(source: Path) -> None:
    other = synthetic.plain(source.with_name("other.mp4"))
    other.replace(source)


@pytest.mark.parametrize("stage", ["analyze", "render"])
@pytest.mark.parametrize("harm", [removed, truncated, changed, replaced])
def test_a_source_that_does_not_stay(
    harm: Callable[[Path], None], stage: str, video: Path, tmp_path: Path
) -> None:
    source, target = tmp_path / "in.mp4", tmp_path / "out.mp4"
    shutil.copy(video, source)
    events: list[Event] = []

    def told(event: Event) -> None:
        events.append(event)
        if event.stage == stage and event.done >= 4 and len(events) < 1000:
            events.extend([event] * 1000)
            harm(source)

    with pytest.raises(InputError, match="while facepipe was at work"):
        enhance(source, target, quick(), on_event=told)
    assert not target.exists()
    assert not sidecar_path(target).exists()
    shutil.copy(video, source)
    assert enhance(source, target, quick()).frames == 12  # nothing of the other was kept


def running(command: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: [signal.signal(k, signal.SIG_DFL) for k in (signal.SIGINT, 15)],
    )


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_signal_while_two_workers_render(
    kind: signal.Signals, video: Path, tmp_path: Path
) -> None:
    target = tmp_path / "out.mp4"
    command = [*FACEPIPE, "run", str(video), "-o", str(target), *QUICK, "--workers", "2"]
    process = running(command)
    job = tmp_path / ".out.mp4.facepipe"
    deadline = time.monotonic() + 120
    while not list(job.glob("part-*")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    family = psutil.Process(process.pid).children(recursive=True)
    assert family
    process.send_signal(kind)
    _, told = process.communicate(timeout=60)
    assert process.returncode == (-kind if kind == signal.SIGKILL else 128 + kind)
    assert "Traceback" not in told
    _, alive = psutil.wait_procs(family, timeout=30)
    assert not alive
    assert not target.exists()
    done = subprocess.run(command, check=False)
    assert done.returncode == 0
    assert len(probe(target).pts) == 12
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "out.mp4", "out.mp4.facepipe.json"
    ]  # fmt: skip


def test_a_run_that_was_killed_when_all_was_done_knows_its_video(
    video: Path, tmp_path: Path
) -> None:
    """Between the video's name and the end there is the job's folder to be cleared up."""
    target = tmp_path / "out.mp4"
    keeping = pytest.MonkeyPatch()
    keeping.setattr(Job, "remove", lambda self: (_ for _ in ()).throw(KeyboardInterrupt))
    with keeping.context(), pytest.raises(KeyboardInterrupt):
        enhance(video, target, quick())
    keeping.undo()
    made = digest(target)
    assert enhance(video, target, quick()).resumed == 3
    assert digest(target) == made
    assert not (tmp_path / ".out.mp4.facepipe").exists()
    with pytest.raises(OutputError, match="exists already"):
        enhance(video, target, quick())


def test_a_video_of_another_is_not_taken_for_ones_own(video: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.mp4"
    with open_job(target, "mark") as job:
        (made := job.whole(target)).write_bytes(b"of another")
        job.deliver(made, target)
        job.part(Span(0, 0, 1)).with_suffix(".json").write_text("{}")  # so that it is kept
    claim(target, "mark")
    with pytest.raises(OutputError, match="exists already"):
        enhance(video, target, quick())
    assert target.read_bytes() == b"of another"


@pytest.mark.skipif(sys.platform != "linux", reason="this machine bounds address space otherwise")
@pytest.mark.parametrize("megabytes", [250, 600, 850])
def test_too_little_memory_is_told(megabytes: int, video: Path, tmp_path: Path) -> None:
    target, most = tmp_path / "out.mp4", megabytes << 20
    done = subprocess.run(
        [*FACEPIPE, "run", str(video), "-o", str(target), *QUICK],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (most, most)),
    )
    assert done.returncode == 9, done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def kill_this_worker(task: object, progress: Callable[[int], None]) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_workers_that_all_die_are_an_error_of_ours(video: Path, tmp_path: Path) -> None:
    """As by the system's own killer, when memory runs out; the video is refused, not half made."""

    class Deadly(LocalExecutor):
        def map(self, function, tasks, *, progress, check=None):  # type: ignore[no-untyped-def]
            yield from super().map(kill_this_worker, tasks, progress=progress)

    with (
        Deadly(1, isolated=True) as executor,
        pytest.raises(FacepipeError, match="a worker process died"),
    ):
        enhance(video, tmp_path / "out.mp4", quick(), executor=executor)
    assert list(tmp_path.iterdir()) == []
