"""A target whose pictures about a joint do not decode as they should is not named."""

from __future__ import annotations

from fractions import Fraction
from functools import partial
from pathlib import Path

import av
import pytest

from facepipe.datatypes import Part, Span, VideoInfo
from facepipe.errors import MediaError
from facepipe.video import joinable_settings, mux, probe
from facepipe.video.encode import EncodeSettings
from facepipe.video.muxing.joints import WrittenVideo, check_joints
from facepipe.video.muxing.readback import Written, check_audio, count_back
from media import synthetic
from media.rejoined import rejoined
from media.video_checks import rendered

_X264 = EncodeSettings("libx264", (("crf", "16"), ("preset", "ultrafast")), threads=1)
_FIRST = partial(synthetic.video, frames=20, options={"g": "10", "bf": "2"})
_SECOND = partial(
    synthetic.video, frames=20, options={"g": "10", "bf": "0", "x264-params": "cabac=0:asm=0"}
)


def _parts(info: VideoInfo, folder: Path, settings: EncodeSettings = _X264) -> list[Part]:
    """The first 20 frames rendered, the rest copied."""
    middle, end = info.pts[20], info.pts[-1] + 1
    first = rendered(info, Span(0, info.pts[0], middle), folder / "0.part", settings)
    return [first, Part(Span(1, middle, end, copied=True), "", len(info.pts) - 20, 0)]


def _video(path: Path) -> WrittenVideo:
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        pts = sorted(p.pts for p in container.demux(video) if p.pts is not None)
        return WrittenVideo(path, video.index, Fraction(video.time_base or 1), tuple(pts))


@pytest.mark.parametrize("suffix", [".mp4", ".flv"])
def test_pictures_that_were_copied_under_another_header_are_noticed(
    suffix: str, tmp_path: Path
) -> None:
    source = rejoined(tmp_path / f"two{suffix}", (_FIRST, _SECOND))
    info = probe(source)
    target = tmp_path / "out.mp4"
    settings = joinable_settings(_X264, info)
    with pytest.raises(MediaError, match=r"out\.mp4 was not written right: its frame at .*anew"):
        mux(_parts(info, tmp_path, settings), source, info, target, settings=settings, metadata={})
    assert not target.exists()


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts", ".mov"])
def test_joints_that_are_right_pass(suffix: str, tmp_path: Path) -> None:
    source = synthetic.video(tmp_path / "in.mp4", frames=40)
    info = probe(source)
    settings = joinable_settings(_X264, info)
    target = tmp_path / f"out{suffix}"
    parts = _parts(info, tmp_path, settings)
    mux(parts, source, info, target, settings=settings, metadata={})
    assert len(probe(target).pts) == 40


@pytest.mark.parametrize("number", [0, 19, 20, 39])
def test_a_damaged_packet_about_a_joint_is_noticed(number: int, tmp_path: Path) -> None:
    source = synthetic.video(tmp_path / "in.mp4", frames=40)
    info = probe(source)
    settings = joinable_settings(_X264, info)
    target = tmp_path / "out.mp4"
    parts = _parts(info, tmp_path, settings)
    mux(parts, source, info, target, settings=settings, metadata={})
    video = _video(target)
    check_joints(video, target, parts, info)
    data = bytearray(target.read_bytes())
    with av.open(str(target)) as container:
        packets = [
            p for p in container.demux(container.streams.video[0]) if p.pts == video.pts[number]
        ]
        at, size = packets[0].pos or 0, packets[0].size
    middle = at + size // 2
    data[middle : at + size] = bytes(255 - byte for byte in data[middle : at + size])
    target.write_bytes(data)
    with pytest.raises(MediaError, match="does not decode as it should"):
        check_joints(video, target, parts, info)


def test_what_does_not_decode_in_the_source_may_be_copied(tmp_path: Path) -> None:
    source = synthetic.video(tmp_path / "in.mp4", frames=40, options={"g": "10", "bf": "0"})
    with av.open(str(source)) as container:
        packets = list(container.demux(container.streams.video[0]))
        at, size = packets[39].pos or 0, packets[39].size
    data = bytearray(source.read_bytes())
    data[at + 4 : at + size] = bytes(size - 4)
    source.write_bytes(data)
    info = probe(source)
    settings = joinable_settings(_X264, info)
    parts = _parts(info, tmp_path, settings)
    mux(parts, source, info, tmp_path / "out.mp4", settings=settings, metadata={})


@pytest.mark.parametrize("number", [3, 11])
def test_damage_that_no_decoder_reports_may_be_copied(number: int, tmp_path: Path) -> None:
    """FFV1 leaves a damaged slice as the memory was: another picture whenever it is decoded."""
    source = synthetic.video(
        tmp_path / "in.mkv", frames=12, codec="ffv1", pix_fmt="bgr0", options={"g": "12"}
    )
    data = bytearray(source.read_bytes())
    with av.open(str(source)) as container:
        packet = [p for p in container.demux(container.streams.video[0]) if p.size][number]
        at = data.index(bytes(packet)) + packet.size // 2
    data[at : at + 40] = bytes(255 - byte for byte in data[at : at + 40])
    source.write_bytes(data)
    info = probe(source)
    part = Part(Span(0, info.pts[0], info.pts[-1] + 1, copied=True), "", 12, 0)
    settings = EncodeSettings("ffv1")
    mux([part], source, info, tmp_path / "out.mkv", settings=settings, metadata={})


def test_audio_that_does_not_decode_is_noticed(tmp_path: Path) -> None:
    source = synthetic.video(tmp_path / "in.mkv", frames=20, audio=1)
    other = synthetic.video(tmp_path / "other.mkv", frames=20, audio=1, audio_rate=16000)
    info = probe(source)
    check_audio(source, source, [(1, Written(9, source=1))], info)
    with pytest.raises(MediaError, match=r"stream 1 \(audio\) does not decode"):
        check_audio(other, other, [(1, Written(9, source=1))], info)


def test_a_missing_packet_is_noticed(tmp_path: Path) -> None:
    source = synthetic.video(tmp_path / "in.mkv", frames=20)
    with av.open(str(source)) as container:
        size = sum(packet.size for packet in container.demux())
    indices, video = count_back(source, source, [Written(20, size)], 0)
    assert indices == [0]
    assert len(video.pts) == 20
    with pytest.raises(MediaError, match="stream 0 has 20 of 21 packets"):
        count_back(source, source, [Written(21, size + 1)], 0)
