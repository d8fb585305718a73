"""Damaged videos through the whole program: what decodes is kept, the rest told by range."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import av
import pytest

from facepipe import analyze, enhance, render
from facepipe.configs.settings import Settings, load_settings
from facepipe.datatypes import Span
from facepipe.errors import InputError
from facepipe.pipeline.sidecar import sidecar_path
from facepipe.video import DecodeReport, decode, probe
from media import portraits, synthetic

FACEPIPE = [sys.executable, "-m", "facepipe"]


def settings(**overrides: object) -> Settings:
    made = {"output.preset": "ultrafast", "workers": 1, "span_seconds": 0.8} | overrides
    return load_settings(overrides=made)


def keyless(path: Path) -> Path:
    """A transport stream whose first keyframe does not decode, and what refers to it neither."""
    data = bytearray(synthetic.video(path, frames=60).read_bytes())
    at = data.index(b"\x00\x00\x01\x65") + 4
    data[at : at + 40] = b"\xff" * 40
    path.write_bytes(data)
    return path


def changing(path: Path) -> Path:
    """A recording whose picture becomes larger after sixty frames."""
    first = synthetic.video(path.with_name("first.ts"), frames=60)
    pts = [512 * (62 + number) for number in range(30)]
    second = synthetic.video(path.with_name("second.ts"), pts=pts, size=(160, 128))
    path.write_bytes(first.read_bytes() + second.read_bytes())
    return path


def sound(path: Path) -> int:
    """How many frames come out of a video in which there is no damage at all."""
    info, report = probe(path), DecodeReport()
    whole = Span(0, info.pts[0], info.pts[-1] + 1)
    frames = sum(1 for _ in decode(info, whole, report=report))
    assert report.damage(info.pts) == info.damage == ()
    return frames


@pytest.mark.parametrize("copy", [True, False])
def test_what_decodes_is_kept_and_the_rest_told(copy: bool, tmp_path: Path) -> None:
    source, target = keyless(tmp_path / "a.ts"), tmp_path / "out.mp4"
    info = probe(source)
    summary = enhance(source, target, settings(**{"output.copy_unchanged": copy}))
    assert summary.frames == sound(target) == len(info.pts) - 10
    (told,) = summary.warnings
    assert told.endswith(": 10 frames do not decode")
    (place,) = json.loads(sidecar_path(target).read_text())["damage"]
    assert (place["frames"], place["what"]) == (10, "do not decode")
    assert place["from_seconds"] == float(info.pts[0] * info.time_base)
    assert place["to_seconds"] == float(info.pts[9] * info.time_base)
    assert told.startswith(f"{place['from_seconds']:.2f}-{place['to_seconds']:.2f} s: ")


@pytest.mark.parametrize("target", ["out.mp4", "out.ts", "out.mkv"])
def test_a_change_of_size_makes_one_video_of_one_size(target: str, tmp_path: Path) -> None:
    source, made = changing(tmp_path / "a.ts"), tmp_path / target
    summary = enhance(source, made, settings())
    assert summary.frames == sound(made) == 90
    told = summary.warnings[0]
    later = ["all streams begin"] if target == "out.ts" else []
    assert [one[:17] for one in summary.warnings[1:]] == later
    assert told.startswith("frames are 96x64, 160x128 from 2.")
    assert "all are written as 160x128" in told
    with av.open(str(made)) as container:
        assert {(frame.width, frame.height) for frame in container.decode(video=0)} == {(160, 128)}
    assert json.loads(sidecar_path(made).read_text())["damage"] == []


def test_faces_beside_damage_are_enhanced(tmp_path: Path) -> None:
    source = portraits.video(tmp_path / "a.mp4")
    with av.open(str(source)) as container:
        last = [packet.pos for packet in container.demux(video=0) if packet.size][-3]
    data = bytearray(source.read_bytes())
    data[last : last + 60] = bytes(60)
    source.write_bytes(data)
    summary = enhance(source, tmp_path / "out.mp4", settings())
    assert summary.tracks == 2
    assert summary.faces > 70
    assert summary.frames == sound(tmp_path / "out.mp4")
    assert any("decode" in told or "damaged" in told for told in summary.warnings)


def test_an_analysis_tells_of_damage_and_a_strict_render_refuses_it(tmp_path: Path) -> None:
    source, found = keyless(tmp_path / "a.ts"), tmp_path / "found.json"
    made = analyze(source, found, settings())
    assert [(one.frames, one.what) for one in made.damage] == [(10, "do not decode")]
    assert json.loads(found.read_text())["damage"][0]["frames"] == 10
    with pytest.raises(InputError, match="10 frames do not decode"):
        render(source, found, tmp_path / "out.mp4", settings(strict_input=True))
    assert not (tmp_path / "out.mp4").exists()
    summary = render(source, found, tmp_path / "out.mp4", settings())
    assert len(summary.warnings) == 1


def facepipe(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    quick = ["--preset", "ultrafast", "--workers", "1", "--progress", "none"]
    command = [*FACEPIPE, *map(str, arguments), *(quick if arguments[0] == "run" else [])]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_strict_input_refuses_what_the_packets_tell_before_any_work(tmp_path: Path) -> None:
    source = synthetic.truncated(tmp_path / "a.mp4", synthetic.streamable(tmp_path / "whole.mp4"))
    before = sorted(tmp_path.iterdir())
    for command in ("run", "analyze"):
        done = facepipe(command, source, "-o", tmp_path / "out.mp4", "--strict-input")
        assert done.returncode == 3
        (line,) = done.stderr.splitlines()
        assert "is damaged, which --strict-input refuses: " in line
        assert "a.mp4" in line
        assert sorted(tmp_path.iterdir()) == before
    done = facepipe("run", source, "-o", tmp_path / "out.mp4")
    assert done.returncode == 0, done.stderr
    assert "frames are cut off" in done.stderr


def test_strict_input_refuses_what_decoding_finds_and_its_work_is_kept(tmp_path: Path) -> None:
    source, target = keyless(tmp_path / "a.ts"), tmp_path / "out.mp4"
    done = facepipe("run", source, "-o", target, "--strict-input")
    assert done.returncode == 3
    assert "10 frames do not decode" in done.stderr
    assert not target.exists()
    assert not sidecar_path(target).exists()
    done = facepipe("run", source, "-o", target)
    assert done.returncode == 0, done.stderr
    assert "warning: " in done.stderr
    assert sound(target) == 53 - 3


def test_a_sound_video_passes_strictly(tmp_path: Path) -> None:
    source, target = synthetic.plain(tmp_path / "a.mp4"), tmp_path / "out.mp4"
    done = facepipe("run", source, "-o", target, "--strict-input")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_dry_run_tells_of_damage(tmp_path: Path) -> None:
    source = synthetic.truncated(tmp_path / "a.mp4", synthetic.streamable(tmp_path / "whole.mp4"))
    done = facepipe("run", source, "-o", tmp_path / "out.mp4", "--dry-run")
    assert "frames are cut off" in done.stdout


def test_a_batch_refuses_damaged_videos_alone(tmp_path: Path) -> None:
    videos = tmp_path / "videos"
    videos.mkdir()
    synthetic.plain(videos / "sound.mp4")
    (videos / "cut.mp4").write_bytes(
        synthetic.truncated(
            tmp_path / "cut.mp4", synthetic.streamable(tmp_path / "whole.mp4")
        ).read_bytes()
    )
    done = facepipe("batch", videos, "-o", tmp_path / "out", "--strict-input", "--progress", "none")
    assert done.returncode == 8, done.stderr
    assert "1 passed" in done.stdout
    assert "1 failed" in done.stdout
    assert sorted(path.name for path in (tmp_path / "out").glob("*.mp4")) == ["sound.mp4"]
    told = (tmp_path / "out" / "facepipe-batch.csv").read_text()
    assert "is damaged, which --strict-input refuses" in told
