"""The console script as a user meets it: a new process, its output, its exit code."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from facepipe.models.registry import PARSER, RESTORERS
from media import synthetic

FACEPIPE = [sys.executable, "-m", "facepipe"]
QUICK = ["--preset", "ultrafast", "--workers", "1"]


def facepipe(*arguments: str | Path, **how: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*FACEPIPE, *map(str, arguments)], capture_output=True, text=True, check=False, **how
    )  # type: ignore[call-overload,no-any-return]


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "sys.argv = ['facepipe', '--help']\n"
        "from facepipe.cli.main import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        "heavy = {'torch', 'av', 'ray', 'cv2', 'numpy', 'onnxruntime', 'scipy', 'pydantic'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
    assert "run" in done.stdout


def test_run_says_what_it_did(portrait_video: Path, tmp_path: Path) -> None:
    target = tmp_path / "a name with spaces é.mp4"
    done = facepipe("run", portrait_video, "-o", target, *QUICK, "--progress", "jsonl")
    assert done.returncode == 0, done.stderr
    assert "80 faces of 2 tracks enhanced" in done.stdout
    assert "no evidence" in done.stdout
    events = [json.loads(line) for line in done.stderr.splitlines()]
    assert {"event": "progress", "stage": "render", "done": 40, "total": 40}.items() <= (
        events[-1].items()
    )
    assert {event["stage"] for event in events} == {"analyze", "render"}
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        target.name, f"{target.name}.facepipe.json"
    ]  # fmt: skip


def test_quiet_is_quiet_and_a_bar_is_a_bar(portrait_video: Path, tmp_path: Path) -> None:
    done = facepipe("run", portrait_video, "-o", tmp_path / "a.mp4", *QUICK, "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    done = facepipe("run", portrait_video, "-o", tmp_path / "b.mp4", *QUICK, "--progress", "bar")
    assert "render: 100%" in done.stderr


def test_analyze_and_render(portrait_video: Path, tmp_path: Path) -> None:
    found = tmp_path / "analysis.json"
    done = facepipe("analyze", portrait_video, "-o", found, "--workers", "1")
    assert done.returncode == 0, done.stderr
    assert "2 tracks, 2 to enhance" in done.stdout
    done = facepipe("render", portrait_video, found, "-o", tmp_path / "out.mp4", *QUICK)
    assert done.returncode == 0, done.stderr
    assert "80 faces" in done.stdout


def test_a_dry_run_writes_nothing(portrait_video: Path, tmp_path: Path) -> None:
    done = facepipe("run", portrait_video, "-o", tmp_path / "out.mp4", "--dry-run", "--scale", "2")
    assert done.returncode == 0
    assert "480x272" in done.stdout
    assert "copied: stream 1, audio aac" in done.stdout
    assert "spans: 1" in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (["{tmp}/none.mp4", "-o", "{tmp}/out.mp4"], 3, "none.mp4"),
        (["{tmp}", "-o", "{tmp}/out.mp4"], 3, "is a folder"),
        (["{text}", "-o", "{tmp}/out.mp4"], 3, "text.mp4"),
        (["{sound}", "-o", "{tmp}/out.mp4"], 3, "video"),
        (["{video}", "-o", "{tmp}/no/out.mp4"], 4, "no such folder"),
        (["{video}", "-o", "{tmp}/out.xyz"], 2, ".xyz"),
        (["{video}", "-o", "{tmp}/out.mp4", "--scale", "3"], 2, "--scale must be 1, 2 or 4, not 3"),
        (["{video}", "-o", "{tmp}/out.mp4", "--codec", "libnone"], 2, "libnone"),
        (["{video}", "-o", "{tmp}/out.mp4", "--set", "detect.scoer=1"], 2, "detect.scoer"),
        (["{video}", "-o", "{tmp}/out.mp4", "--config", "{tmp}/none.toml"], 2, "none.toml"),
        (["{video}", "-o", "{tmp}/out.mp4", "--detector", "scrfd", "--pack", "{tmp}/p"], 5, "/p"),
        (["{video}", "-o", "{tmp}/out.mp4", "--restorer", "{tmp}/w.safetensors"], 5, "w.safe"),
        (["{video}"], 2, "output"),
        (["{video}", "-o", "{tmp}/out.mp4", "--colour"], 2, "--colour"),
    ],
)
def test_every_mistake_has_one_line_and_its_code(
    portrait_video: Path, tmp_path: Path, arguments: list[str], code: int, reason: str
) -> None:
    things = tmp_path / "things"
    things.mkdir()
    places = {
        "video": portrait_video,
        "text": synthetic.text(things / "text.mp4"),
        "sound": synthetic.sound_only(things / "sound.mp4"),
        "tmp": tmp_path,
    }
    done = facepipe("run", *[a.format(**places) for a in arguments])
    assert done.returncode == code, done.stderr
    assert reason in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) <= (1 if "facepipe:" in done.stderr else 6)
    assert [p.name for p in tmp_path.iterdir()] == ["things"]


def test_damaged_weights_are_refused(portrait_video: Path, tmp_path: Path) -> None:
    for name in ("fishsrnet.safetensors", "fishsrnet.onnx"):
        (tmp_path / name).write_bytes(b"damaged")
    environment = os.environ | {"FACEPIPE_WEIGHTS": str(tmp_path)}
    done = facepipe("run", portrait_video, "-o", tmp_path / "out.mp4", env=environment)
    assert done.returncode == 5
    assert "sha256" in done.stderr


def test_losses_are_listed_before_the_work_and_allowed(
    portrait_video: Path, tmp_path: Path
) -> None:
    source = synthetic.with_extras(tmp_path / "a.mkv", portrait_video)
    target = tmp_path / "b.ts"
    done = facepipe("run", source, "-o", target, *QUICK)
    assert done.returncode == 6
    assert "stream 2 (attachment, letters.ttf)" in done.stderr
    assert "stream 3 (video, png)" in done.stderr
    assert "use .mkv" in done.stderr
    assert "--allow-loss" in done.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["a.mkv"]
    done = facepipe("run", source, "-o", target, *QUICK, "--allow-loss")
    assert done.returncode == 0, done.stderr
    assert "warning: left out: stream 2 (attachment, letters.ttf)" in done.stderr
    report = json.loads((tmp_path / "b.ts.facepipe.json").read_text())
    assert [w for w in report["warnings"] if w.startswith("left out: stream 3 (video, png)")]


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGHUP], ids=["Ctrl-C", "hangup"])
def test_a_stopped_run_can_be_resumed(kind: signal.Signals, tmp_path: Path) -> None:
    video = synthetic.video(tmp_path / "long.mp4", frames=1500, size=(320, 240))
    target = tmp_path / "out.mp4"
    command = [*FACEPIPE, "run", str(video), "-o", str(target), "--preset", "veryslow"]
    running = subprocess.Popen(
        [*command, "--workers", "1", "--set", "span_seconds=1"],
        stderr=subprocess.PIPE,
        text=True,
        # These tests may run under nohup themselves.
        preexec_fn=lambda: signal.signal(kind, signal.SIG_DFL),
    )
    job = tmp_path / ".out.mp4.facepipe"
    deadline = time.monotonic() + 60
    while not list(job.glob("faces-*.npz")) and time.monotonic() < deadline:
        time.sleep(0.05)
    running.send_signal(kind)
    _, errors = running.communicate(timeout=60)
    assert running.returncode == 128 + kind
    assert "goes on from there" in errors
    assert "Traceback" not in errors
    assert not target.exists()
    assert list(job.glob("faces-*.npz"))
    assert not list(tmp_path.rglob("*.partial*"))


def test_models_are_listed() -> None:
    done = facepipe("models")
    assert "GMACs" in done.stdout
    for spec in (*RESTORERS, PARSER):
        for file, digest in spec.files:
            assert f"{file} sha256 {digest}" in done.stdout


def test_the_version_is_printed() -> None:
    from facepipe import __version__

    assert facepipe("--version").stdout.strip() == f"facepipe {__version__}"
