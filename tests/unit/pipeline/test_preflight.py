"""What a run will do, settled before it starts: the encoder that the video gets, and why."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from facepipe._system.files import sha256_of
from facepipe.configs.settings import Settings, load_settings
from facepipe.datatypes import Analysis
from facepipe.errors import InputError, UsageError
from facepipe.pipeline.encoding import ENCODER_THREADS
from facepipe.pipeline.preflight import (
    Plan,
    as_analyzed,
    check_analyzed,
    check_unchanged,
    make_plan,
)
from facepipe.video import EncodeSettings, probe
from media import synthetic
from media.reads import counted


def plan(source: Path, target: str | None, **output: object) -> Plan:
    wanted = {f"output.{key}": value for key, value in output.items()} | {"workers": 1}
    settings = load_settings(overrides=wanted)
    return make_plan(source, settings, target=source.with_name(target) if target else None)


def test_without_a_target_nothing_is_chosen(tmp_path: Path) -> None:
    source = synthetic.vp9(tmp_path / "a.webm")
    made = plan(source, None, codec="no-such-codec", scale=2)
    assert made.encode == EncodeSettings(threads=ENCODER_THREADS, scale=2)
    assert made.notes == ()


def test_the_codec_stays_or_the_plan_says_why(tmp_path: Path) -> None:
    source = synthetic.vp9(tmp_path / "a.webm")
    made = plan(source, "b.mkv")
    assert (made.encode.codec, made.encode.pix_fmt, made.notes) == ("libvpx-vp9", "yuv420p", ())
    made = plan(source, "b.mov")
    assert made.encode.codec == "libx264"
    assert made.notes == (
        "the video was vp9 and is written as h264 by libx264: mov cannot hold vp9",
    )


def test_an_encoder_is_chosen_for_the_pixel_format_that_was_asked_for(tmp_path: Path) -> None:
    source = synthetic.vp9(tmp_path / "a.webm")
    made = plan(source, "b.mkv", pix_fmt="yuv420p12le")
    assert (made.encode.codec, made.encode.pix_fmt) == ("libx265", "yuv420p12le")
    assert "as asked for" in " ".join(made.notes)


def test_a_render_takes_the_stream_that_was_analyzed(tmp_path: Path) -> None:
    info = probe(synthetic.plain(tmp_path / "a.mp4", frames=3))
    given = Analysis("0" * 64, info.time_base, 3, info.width, info.height, (), stream=1)
    assert as_analyzed(Settings(), given).stream == 1
    assert as_analyzed(Settings(stream=1), given).stream == 1
    assert as_analyzed(Settings(stream=2), replace(given, stream=None)).stream == 2
    with pytest.raises(UsageError, match="--stream 0: the analysis is of stream 1"):
        as_analyzed(Settings(stream=0), given)
    check_analyzed(given, info)
    with pytest.raises(InputError, match="frames of 48x32 px"):
        check_analyzed(replace(given, width=48, height=32), info)


def test_a_quality_makes_its_options(tmp_path: Path) -> None:
    source = synthetic.plain(tmp_path / "a.mp4")
    told = {q: dict(plan(source, "b.mp4", quality=q).encode.options) for q in ("small", "archive")}
    of_source = {"profile": "main", "level": "1"}
    assert told == {"small": of_source | {"crf": "24"}, "archive": of_source | {"crf": "12"}}
    assert dict(plan(source, "b.mp4", crf=30).encode.options) == of_source | {"crf": "30"}
    by_codec = plan(source, "b.mp4", codec="hevc", quality="small").encode
    assert (by_codec.codec, dict(by_codec.options)) == ("libx265", {"crf": "23"})


@pytest.mark.parametrize("codec", ["auto", "libx264"])
def test_a_pixel_format_that_is_none_is_a_mistake_of_usage(codec: str, tmp_path: Path) -> None:
    source = synthetic.plain(tmp_path / "a.mp4")
    with pytest.raises(UsageError, match=r"--pix-fmt nonsense: unknown pixel format 'nonsense'"):
        plan(source, "b.mp4", pix_fmt="nonsense", codec=codec)


def test_a_source_that_changes_is_noticed_whatever_its_times_say(tmp_path: Path) -> None:
    source = synthetic.plain(tmp_path / "a.mp4")
    digest, status = sha256_of(source), source.stat()
    with counted(source) as reads:
        for _ in range(100):
            check_unchanged(source, digest)
    assert reads.opens == 0
    time.sleep(0.05)  # longer than a tick of the disk's clock
    content = bytearray(source.read_bytes())
    content[-1] ^= 1
    with source.open("rb+") as file:  # in place: the same inode and size
        file.write(content)
    os.utime(source, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert source.stat().st_mtime_ns == status.st_mtime_ns
    with pytest.raises(InputError, match="changed while facepipe was at work"):
        check_unchanged(source, digest)
    source.unlink()
    with pytest.raises(InputError, match="went away"):
        check_unchanged(source, digest)


def test_a_source_whose_content_stays_is_the_same(tmp_path: Path) -> None:
    source = synthetic.plain(tmp_path / "a.mp4")
    digest = sha256_of(source)
    source.chmod(0o600)
    os.utime(source)
    check_unchanged(source, digest)


def test_a_transport_stream_gets_a_keyframe_in_its_last_second(tmp_path: Path) -> None:
    options = {"g": "250", "keyint_min": "250", "sc_threshold": "0"}
    source = synthetic.video(
        tmp_path / "a.mp4", pts=range(60), time_base=Fraction(1, 25), options=options
    )
    made = plan(source, "b.ts")
    first, base = made.info.pts[0], made.info.time_base
    assert [float((pts - first) * base) for pts in made.encode.keyframes] == [1.36]
    assert plan(source, "b.mkv").encode.keyframes == ()
    cut = plan(source, "b.ts", end=2.0)
    assert [float((pts - first) * base) for pts in cut.encode.keyframes] == [0.96]


def test_groups_longer_than_asked_for_are_not_copied(tmp_path: Path) -> None:
    source = synthetic.plain(tmp_path / "a.mp4")
    info = plan(source, "b.mp4").info
    seconds = float((info.closed_gops[0][1] - info.closed_gops[0][0]) * info.time_base)
    kept = plan(source, "b.mp4", keyframes=seconds)
    assert kept.info.closed_gops == info.closed_gops
    assert kept.encode.keyframe_seconds == seconds
    assert plan(source, "b.mp4", keyframes=seconds / 2).info.closed_gops == ()
