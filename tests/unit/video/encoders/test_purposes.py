"""What a video is for: each purpose makes files that its readers take."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
import pytest

from facepipe import enhance
from facepipe.configs.settings import OutputSettings, Purpose, load_settings
from facepipe.datatypes import VideoInfo
from facepipe.errors import UsageError
from facepipe.pipeline.preflight import Plan, make_plan
from facepipe.video import probe
from facepipe.video.encoders.purposes import PURPOSES, for_purpose, suffix_for
from facepipe.video.pyav.log import captured_log
from facepipe.workers.local import LocalExecutor
from media import synthetic

Make = Callable[[Path], Path]


def plan(source: Path, target: str, purpose: Purpose, **output: object) -> Plan:
    wanted = {f"output.{key}": value for key, value in output.items()}
    settings = load_settings(overrides=wanted | {"output.purpose": purpose, "workers": 1})
    return make_plan(source, settings, target=source.with_name(target))


def made(source: Path, target: str, purpose: Purpose) -> VideoInfo:
    settings = load_settings(overrides={"output.purpose": purpose, "workers": 1})
    path = source.with_name(target)
    enhance(source, path, settings, executor=LocalExecutor(1))
    return probe(path)


@pytest.mark.parametrize("make", [synthetic.ten_bit, synthetic.plain, synthetic.vp9])
def test_for_the_web_everything_is_h264_that_browsers_play(make: Make, tmp_path: Path) -> None:
    suffix = ".webm" if make is synthetic.vp9 else ".mp4"
    found = made(make(tmp_path / f"a{suffix}"), "b.mp4", "web")
    assert (found.codec, found.pix_fmt) == ("h264", "yuv420p")
    assert found.profile in ("High", "Main")  # of H.264, the source's own
    content = (tmp_path / "b.mp4").read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")


def test_to_edit_every_frame_of_prores_is_a_keyframe(tmp_path: Path) -> None:
    found = made(synthetic.plain(tmp_path / "a.mp4"), "b.mov", "edit")
    assert (found.codec, found.pix_fmt, found.profile) == ("prores", "yuv422p10le", "HQ")
    assert found.keyframe_pts == found.pts


def test_to_archive_every_sample_and_a_checksum_are_kept(tmp_path: Path) -> None:
    source = synthetic.plain(tmp_path / "a.mp4", frames=6)
    found = made(source, "b.mkv", "archive")
    assert (found.codec, found.pix_fmt) == ("ffv1", "yuv420p")
    assert found.keyframe_pts == found.pts
    frames = []
    for path in (source, tmp_path / "b.mkv"):
        with av.open(str(path)) as container:
            frames.append([f.to_ndarray().tobytes() for f in container.decode(video=0)])
    assert frames[0] == frames[1]
    # A bit that is wrong is noticed.
    with av.open(str(tmp_path / "b.mkv")) as container:
        packet = next(p for p in container.demux(video=0) if p.size)
        broken = bytearray(bytes(packet))
        broken[len(broken) // 2] ^= 4
        decoder = av.CodecContext.create("ffv1", "r")
        decoder.extradata = container.streams.video[0].codec_context.extradata
        assert isinstance(decoder, av.VideoCodecContext)
        decoder.width, decoder.height, decoder.pix_fmt = found.width, found.height, "yuv420p"
        assert decoder.decode(packet)
        with captured_log() as log:
            decoder.decode(av.Packet(bytes(broken)))
    assert any("CRC mismatch" in line for line in log.lines())


def test_for_a_device_the_profile_stays_and_the_bit_rate_is_bounded(tmp_path: Path) -> None:
    source = synthetic.plain(tmp_path / "a.mp4")
    options = dict(plan(source, "b.mp4", "device").encode.options)
    assert options["profile"] == "main"
    assert (options["level"], options["maxrate"], options["bufsize"]) == ("1", "64k", "175k")
    larger = plan(source, "b.mp4", "device", scale=4)
    assert dict(larger.encode.options)["level"] == "1.3"
    assert any("level 1.3 of H.264 is needed, where the source has 1" in n for n in larger.notes)


def test_what_is_said_goes_before_the_purpose(tmp_path: Path) -> None:
    source = synthetic.ten_bit(tmp_path / "a.mp4")
    encode = plan(source, "b.mp4", "web", pix_fmt="yuv420p10le").encode
    assert encode.pix_fmt == "yuv420p10le"
    assert plan(source, "b.mp4", "web", codec="libx265").encode.codec == "libx265"
    options = plan(source, "b.mp4", "device", options={"maxrate": "1M"}).encode.options
    assert dict(options)["maxrate"] == "1M"


@pytest.mark.parametrize(
    ("purpose", "target", "allowed"),
    [
        ("web", "b.mkv", ".mp4 or .m4v"),
        ("edit", "b.mp4", ".mov"),
        ("archive", "b.mov", ".mkv"),
    ],
)
def test_a_purpose_has_its_container(
    purpose: Purpose, target: str, allowed: str, tmp_path: Path
) -> None:
    source = synthetic.plain(tmp_path / "a.mp4", frames=3)
    with pytest.raises(UsageError, match=f"--for {purpose} writes {allowed}, not {target}"):
        plan(source, target, purpose)


def test_the_suffix_of_a_batch_is_that_of_its_purpose() -> None:
    assert suffix_for("web", ".mov") == ".mp4"
    assert suffix_for("web", ".M4V") == ".M4V"
    assert suffix_for("device", ".ts") == ".ts"
    assert suffix_for(None, ".ts") == ".ts"
    assert {suffix_for(purpose, ".avi") for purpose in PURPOSES} == {".mp4", ".mov", ".mkv", ".avi"}


def test_sound_that_browsers_do_not_play_is_told(tmp_path: Path) -> None:
    source = synthetic.transport_stream(tmp_path / "a.ts")
    told = " ".join(plan(source, "b.mp4", "web").notes)
    kinds = {one.codec for one in probe(source).others if one.kind == "audio"}
    assert ("few browsers play" in told) == bool(kinds - {"aac", "mp3", "opus", "flac"})


def test_without_a_purpose_nothing_changes(tmp_path: Path) -> None:
    info = probe(synthetic.plain(tmp_path / "a.mp4", frames=3))
    output = OutputSettings()
    assert for_purpose(output, info, tmp_path / "b.mp4") is output
