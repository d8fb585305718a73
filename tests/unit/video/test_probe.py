"""Probe: exact times, counts and tags, and one clear sentence for what is no video."""

from __future__ import annotations

from fractions import Fraction
from functools import partial
from pathlib import Path

import av
import pytest

from facepipe.datatypes import StreamInfo
from facepipe.errors import InputError
from facepipe.video import decode, probe
from media import patches, recordings, synthetic
from media.video_checks import whole


def test_a_plain_video(tmp_path: Path) -> None:
    info = probe(synthetic.plain(tmp_path / "a.mp4"))
    assert info.pts == tuple(range(0, 30 * 512, 512))
    assert info.keyframe_pts == (0, 5120, 10240)
    assert info.time_base == Fraction(1, 12800)
    assert (info.width, info.height, info.pix_fmt) == (96, 64, "yuv420p")
    assert (info.codec, info.stream_index, info.rotation) == ("h264", 0, 0)
    assert (info.others, info.warnings, info.sample_aspect_ratio) == ((), (), None)
    assert info.frames_per_second == pytest.approx(25)


def test_a_late_start_is_kept(tmp_path: Path) -> None:
    info = probe(synthetic.late_video(tmp_path / "a.mp4"))
    assert info.pts == tuple(10880 + 512 * n for n in range(25))
    assert [(s.kind, s.codec) for s in info.others] == [("audio", "aac")]


def test_pictures_before_an_edit_list_are_not_counted(tmp_path: Path) -> None:
    path = synthetic.negative_start(tmp_path / "a.mp4")
    info = probe(path)
    assert info.pts == tuple(512 * n for n in range(25))
    assert info.keyframe_pts == (4096, 9216)
    assert [f.pts for f in decode(info, whole(info))] == list(info.pts)


def test_tags(tmp_path: Path) -> None:
    assert probe(synthetic.rotated(tmp_path / "r.mp4")).rotation == 90
    assert probe(synthetic.anamorphic(tmp_path / "s.mp4")).sample_aspect_ratio == Fraction(16, 11)
    assert probe(synthetic.ten_bit(tmp_path / "t.mp4")).pix_fmt == "yuv420p10le"
    assert probe(synthetic.full_range(tmp_path / "f.mp4")).pix_fmt == "yuvj420p"
    assert probe(synthetic.gray(tmp_path / "g.mkv")).pix_fmt == "gray"


def test_the_chapter_track_of_mp4_is_no_stream(tmp_path: Path) -> None:
    info = probe(synthetic.two_audios(tmp_path / "a.mp4"))
    assert [(s.index, s.kind) for s in info.others] == [(1, "audio"), (2, "audio")]


def test_captions_are_counted(tmp_path: Path) -> None:
    info = probe(synthetic.subtitled(tmp_path / "a.mkv"))
    assert info.others[1] == StreamInfo(2, "subtitle", "subrip", 2, start=200)


def test_files_without_pts_and_with_hidden_pictures(tmp_path: Path) -> None:
    assert probe(synthetic.motion_jpeg(tmp_path / "a.avi")).pts == tuple(range(15))
    assert probe(synthetic.vp9(tmp_path / "a.webm")).pts == tuple(range(0, 800, 40))


def test_a_transport_stream(tmp_path: Path) -> None:
    info = probe(synthetic.transport_stream(tmp_path / "a.ts"))
    assert info.pts == tuple(126000 + 3600 * n for n in range(40))
    assert info.time_base == Fraction(1, 90000)


def test_a_cut_file_is_told_of_and_its_whole_frames_decode(tmp_path: Path) -> None:
    path = synthetic.truncated(tmp_path / "cut.mp4", synthetic.streamable(tmp_path / "a.mp4"))
    info = probe(path)
    assert 20 < len(info.pts) < 60
    assert [one.what for one in info.damage if one.first > info.pts[-1]] == ["are cut off"]
    assert [f.pts for f in decode(info, whole(info))] == list(info.pts)


def test_a_frame_that_avi_leaves_out_is_no_damage(tmp_path: Path) -> None:
    """FFmpeg leaves out the second frame of most, so that the clock stays that of the sound."""
    base = Fraction(1, 25)
    path = synthetic.video(
        tmp_path / "a.avi", codec="mpeg4", pts=[0, 2, 3, 4, 7, *range(8, 40)], time_base=base
    )
    info = probe(path)
    assert (info.damage, len(info.pts), info.pts[:5]) == ((), 37, (0, 2, 3, 4, 7))
    cut = probe(synthetic.truncated(tmp_path / "cut.avi", path, 0.6))
    assert [one.what for one in cut.damage][-1] == "are cut off"


def test_files_behind_each_other_in_one_are_told_where_they_are_not_read(tmp_path: Path) -> None:
    make = partial(synthetic.video, frames=6)
    twice = probe(recordings.joined(tmp_path / "a.mp4", make, make))
    assert len(twice.pts) == 6
    assert (
        "two files were put one behind the other in it: only the first is read" in twice.warnings[0]
    )
    fragments = partial(recordings.fragmented, make=make)
    joined = probe(recordings.joined(tmp_path / "b.mp4", fragments, fragments))
    assert len(joined.pts) == 12
    assert not any("one behind the other" in one for one in joined.warnings)
    other = partial(synthetic.video, frames=6, pts=range(6), time_base=Fraction(1, 600))
    mixed = [fragments, partial(recordings.fragmented, make=other)]
    assert (
        "times of another scale" in probe(recordings.joined(tmp_path / "c.mp4", *mixed)).warnings[0]
    )


def test_what_is_no_video_is_refused_in_one_sentence(tmp_path: Path) -> None:
    empty = tmp_path / "empty.mp4"
    empty.touch()
    headless = synthetic.truncated(tmp_path / "cut.mp4", synthetic.plain(tmp_path / "a.mp4"), 0.5)
    cases = {
        tmp_path / "missing.mp4": "does not exist",
        tmp_path: "is a folder; .*facepipe batch",
        empty: "is empty",
        headless: "its index",
        synthetic.text(tmp_path / "letter.mp4"): "is a text and no video",
        synthetic.sound_only(tmp_path / "sound.mp4"): "no video stream, but audio",
        synthetic.playlist(tmp_path / "list.m3u8"): "playlist",
        Path("http://127.0.0.1:9/video.mp4"): "does not exist; .*facepipe batch ADDRESS",
    }
    for path, words in cases.items():
        with pytest.raises(InputError, match=words) as caught:
            probe(path)
        assert path.name in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_playlist_cannot_hide_behind_another_name(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        probe(synthetic.playlist(tmp_path / "video.mp4"))
    concat = tmp_path / "video.ffconcat"
    concat.write_text(f"ffconcat version 1.0\nfile '{synthetic.plain(tmp_path / 'a.mp4')}'\n")
    with pytest.raises(InputError, match="playlist"):
        probe(concat)


def test_shared_times_and_repeated_fields_are_told(tmp_path: Path) -> None:
    shared = tmp_path / "shared.mkv"
    with av.open(str(synthetic.plain(tmp_path / "a.mp4", frames=12))) as container:
        source = container.streams.video[0]
        with av.open(str(shared), "w") as out:
            stream = out.add_stream_from_template(source, opaque=True)
            for number, packet in enumerate(p for p in container.demux(source) if p.size):
                packet.pts = packet.dts = 1024 * (number // 2)
                packet.stream = stream
                out.mux_one(packet)
    assert "6 frames have another's time" in " ".join(probe(shared).warnings)
    base = Fraction(1001, 30000)
    plain = partial(synthetic.video, codec="mpeg2video", pts=range(12), time_base=base)
    assert probe(plain(tmp_path / "b.ts")).warnings == ()
    make = partial(plain, interlaced=True, options={"bf": "0"})
    info = probe(patches.pulldown(tmp_path / "c.ts", make=make))
    assert "6 frames ask for a field to be shown twice" in " ".join(info.warnings)


def test_where_chroma_lies(tmp_path: Path) -> None:
    top = {"chroma_sample_location": "topleft"}
    base = Fraction(1, 25)
    videos = {  # x265 gives two frames, fewer than it reorders, a dts of no meaning now and then
        synthetic.video(tmp_path / "a.mp4", frames=2, options=top): "topleft",
        synthetic.video(tmp_path / "b.mkv", frames=12, codec="libx265", options=top): "topleft",
        synthetic.plain(tmp_path / "c.ts", frames=2): "left",
        synthetic.motion_jpeg(tmp_path / "d.avi"): "center",
        synthetic.video(tmp_path / "e.mpg", codec="mpeg1video", pts=[0, 1], time_base=base): (
            "center"
        ),
        synthetic.vp9(tmp_path / "f.webm"): None,
    }
    assert {path: probe(path).chroma_location for path in videos} == videos
