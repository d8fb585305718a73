"""check_target: everything that a target cannot hold is named before the work, and only that."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import av
import pytest

from facepipe.errors import MediaError, OutputError, UsageError
from facepipe.video import Compatibility, EncodeSettings, check_target, probe
from media import synthetic
from media.rich_videos import Track, rich_video

FAST = EncodeSettings("libx264", (("preset", "veryfast"),))

VP9 = EncodeSettings("libvpx-vp9", (("deadline", "realtime"), ("cpu-used", "8")))


def check(source: Path, target: Path, settings: EncodeSettings = FAST) -> Compatibility:
    return check_target(source, probe(source), target, settings=settings, allow_loss=True)


def test_all_incompatibilities_are_named_at_once_with_what_would_hold_them(tmp_path: Path) -> None:
    words = synthetic.video(tmp_path / "s.mkv", subtitle="ass", frames=60)
    source = synthetic.with_extras(tmp_path / "a.mkv", words)
    info = probe(source)
    with pytest.raises(MediaError) as raised:
        check_target(source, info, tmp_path / "b.ts", settings=FAST)
    message = str(raised.value)
    for what in ("stream 1 (subtitle, ass)", "stream 2 (attachment", "stream 3 (video, png)"):
        assert what in message
    assert "use .mkv, which keeps all" in message
    assert message.endswith("or --allow-loss goes on without")
    found = check(source, tmp_path / "b.ts")
    assert found.leave_out == (1, 2, 3)
    assert all(".mkv" in one.instead for one in found.incompatibilities)
    assert check(source, tmp_path / "b.mkv") == Compatibility()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mkv", "s.mkv"]


def test_a_video_that_the_container_holds_loses_nothing(tmp_path: Path) -> None:
    source = synthetic.two_audios(tmp_path / "a.mp4")
    assert check_target(source, probe(source), tmp_path / "b.mp4", settings=FAST) == Compatibility()


def test_an_encoder_that_the_container_does_not_take(tmp_path: Path) -> None:
    source = synthetic.plain(tmp_path / "a.mp4", frames=3)
    for allow_loss in (False, True):
        with pytest.raises(
            MediaError, match=r"webm cannot hold stream 0 \(video, h264.*use \.mkv.* libvpx-vp9"
        ):
            check_target(
                source, probe(source), tmp_path / "b.webm", settings=FAST, allow_loss=allow_loss
            )


def test_suffixes_and_folders(tmp_path: Path) -> None:
    source = synthetic.plain(tmp_path / "a.mp4", frames=3)
    for name in ("b.avi", "b", "b.txt"):
        with pytest.raises(UsageError, match=r"\.mp4.*\.mkv"):
            check_target(source, probe(source), tmp_path / name, settings=FAST)
    with pytest.raises(OutputError, match="folder"):
        check_target(source, probe(source), tmp_path / "no" / "b.mp4", settings=FAST)


@pytest.mark.parametrize(
    ("codec", "pix_fmt", "lost"),
    [
        ("libx264", "yuva420p", ["the alpha"]),
        ("libvpx-vp9", "yuva420p", []),
        ("libx264", "yuva444p10le", ["the alpha"]),
        ("libx264", "yuva420p10le", ["the alpha"]),
        ("libsvtav1", "yuv444p", ["the colour of yuv444p"]),
        ("libsvtav1", "yuv422p12le", ["the depth of 12 bits", "the colour of yuv422p12le"]),
        ("libx264", "yuv420p12le", ["the depth of 12 bits"]),
        ("libx264", "yuv422p10le", []),
        ("libx264", "bgr0", []),
        ("libx265", "gray12le", []),
        ("ffv1", "yuva444p10le", []),
    ],
)
def test_what_an_encoder_drops_is_a_loss(
    codec: str, pix_fmt: str, lost: list[str], tmp_path: Path
) -> None:
    source = synthetic.video(tmp_path / "a.nut", codec="rawvideo", pix_fmt=pix_fmt, frames=2)
    found = check(source, tmp_path / "b.mkv", EncodeSettings(codec))
    assert [one.what for one in found.incompatibilities] == lost
    assert all("--codec ffv1" in one.instead for one in found.incompatibilities)
    asked = EncodeSettings(codec, pix_fmt="yuv420p")
    assert check(source, tmp_path / "b.mkv", asked) == Compatibility()  # asked for, so no loss


def test_an_aspect_ratio_that_neither_codec_nor_container_says(tmp_path: Path) -> None:
    source = synthetic.anamorphic(tmp_path / "a.mp4")
    vp9 = EncodeSettings("libvpx-vp9")
    with pytest.raises(MediaError, match=r"16/11.*use \.mkv"):
        check_target(source, probe(source), tmp_path / "b.nut", settings=vp9)
    for suffix in (".mp4", ".mkv", ".webm"):
        assert check(source, tmp_path / f"b{suffix}", vp9) == Compatibility()
    assert check(source, tmp_path / "b.mkv") == Compatibility()


def test_streams_are_tried_where_no_frame_decodes(tmp_path: Path) -> None:
    whole = rich_video(tmp_path / "a.mkv", (Track("flac"),))
    data = whole.read_bytes()
    with av.open(str(whole)) as container:
        for packet in container.demux(video=0):
            data = data.replace(bytes(packet)[5:], bytes(max(packet.size - 5, 0)))
    source = tmp_path / "b.mkv"
    source.write_bytes(data)
    info = replace(probe(whole), path=str(source))
    with pytest.raises(MediaError, match=r"mov cannot hold stream 1 \(audio, flac\).*use \.mkv"):
        check_target(source, info, tmp_path / "c.mov", settings=FAST)


def test_a_stream_without_a_decoder_is_reported(tmp_path: Path) -> None:
    whole = rich_video(tmp_path / "a.mkv", (Track("ac3", "eng"), Track("subrip")))
    source = tmp_path / "b.mkv"
    source.write_bytes(whole.read_bytes().replace(b"A_AC3", b"A_XYZ"))
    found = check_target(source, probe(source), tmp_path / "c.mp4", settings=FAST)
    assert found.leave_out == (1,)
    assert not found.incompatibilities[0].avoidable
    assert "stream 1 (audio, unknown)" in found.notes[0]


def test_alternatives_are_another_container_or_encoder_or_both(tmp_path: Path) -> None:
    fields = synthetic.interlaced(tmp_path / "a.mp4")
    (lost,) = check(fields, tmp_path / "b.mp4", EncodeSettings("libx265")).incompatibilities
    assert lost.what == "the interlacing flags of its frames"
    assert lost.instead[0] == "--codec libx264"
    (lost,) = check(fields, tmp_path / "b.webm", VP9).incompatibilities
    assert lost.instead[0] == ".mkv with --codec libx264"
    light = synthetic.hdr(tmp_path / "c.mp4")
    instead = {
        one.what: one.instead for one in check(light, tmp_path / "d.webm", VP9).incompatibilities
    }
    assert instead["the mastering display"] == ("--codec libsvtav1",)
    with pytest.raises(MediaError, match="use --codec libsvtav1, which keeps all of it"):
        check_target(light, probe(light), tmp_path / "d.webm", settings=VP9)
