"""Damage: all that decodes is kept, in order and at its time; the rest is told by range."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from facepipe.datatypes import Damage, VideoInfo
from facepipe.errors import InputError
from facepipe.video import DecodeReport, decode, probe
from facepipe.video.damage import describe_damage, merged, places, refuse_damage
from facepipe.video.shape import shaped
from media import synthetic
from media.video_checks import at_keyframes, whole

VIDEO = range(0, 4000, 40)
MS = Fraction(1, 1000)


def lost(first: int, last: int, frames: int) -> Damage:
    return Damage(first, last, frames, "are lost")


def test_ranges_that_no_sound_frame_parts_are_one() -> None:
    found = [lost(80, 80, 1), lost(120, 160, 2), lost(240, 240, 1), Damage(120, 120, 1, "x")]
    assert merged(found, VIDEO) == (
        lost(80, 160, 3), Damage(120, 120, 1, "x"), lost(240, 240, 1)
    )  # fmt: skip


def test_what_two_passes_found_is_told_once() -> None:
    one, other = lost(80, 160, 3), lost(120, 200, 3)
    assert merged([one, one, other], VIDEO) == (lost(80, 200, 4),)
    tail = Damage(4000, 9000, 125, "are cut off")
    assert merged([tail, tail], VIDEO) == (tail,)


def test_neighbours_are_one_place_and_few_are_named() -> None:
    near = [lost(80, 120, 2), lost(240, 240, 1)]
    assert places(near, MS) == (lost(80, 240, 3),)
    assert describe_damage(near, MS) == ("0.08-0.24 s: 3 frames are lost",)
    assert describe_damage([lost(80, 80, 1)], MS) == ("0.08 s: 1 frame is lost",)
    assert describe_damage([Damage(40, 80, 0, "are cut off")], MS) == (
        "0.04-0.08 s: frames are cut off",
    )
    far = [lost(at, at, 1) for at in range(0, 40_000, 1000)]
    told = describe_damage(far, MS)
    assert len(told) == 13
    assert told[-1] == "in 28 more places 28 frames are lost"


def test_a_report_holds_what_it_took() -> None:
    report, other = DecodeReport(), DecodeReport()
    report.add("do not decode", 40)
    other.add("do not decode", 80)
    other.refuse(120)
    other.refuse(None)
    report.take(other)
    assert report.damage(VIDEO) == (Damage(40, 80, 2, "do not decode"),)
    assert report.refused() == {120}
    assert other.damage(VIDEO) == ()
    assert other.refused() == frozenset()


def test_strictness_names_the_first_place_and_counts_the_others() -> None:
    refuse_damage("a.ts", (), MS)
    with pytest.raises(InputError, match=r"a\.ts is damaged.*: 0\.08 s: 1 frame is lost$"):
        refuse_damage("a.ts", [lost(80, 80, 1)], MS)
    with pytest.raises(InputError, match=r"is lost \(and 1 more\)$"):
        refuse_damage("a.ts", [lost(80, 80, 1), lost(2000, 2000, 1)], MS)


# Real videos, damaged.


def decoded(info: VideoInfo) -> tuple[list[int], tuple[Damage, ...]]:
    """Times that come out of a video and what is told, the same whatever the cuts."""
    report = DecodeReport()
    times = [frame.pts for frame in decode(info, whole(info), report=report)]
    cut, cut_times = DecodeReport(), []
    for span in at_keyframes(info):
        cut_times += [frame.pts for frame in decode(info, span, report=cut)]
    assert cut_times == times
    assert cut.damage(info.pts) == report.damage(info.pts)
    assert times == sorted(set(times))
    assert set(times) <= set(info.pts)
    return times, merged([*info.damage, *report.damage(info.pts)], info.pts)


def missing(damage: tuple[Damage, ...], *kinds: str) -> int:
    return sum(one.frames for one in damage if one.what in kinds)


def streams(path: Path) -> Path:
    """Sixty frames, H.264 with B-frames, keyframes every ten, by the suffix of the name."""
    if path.suffix == ".avi":
        return synthetic.video(
            path, frames=60, options={"bf": "0"}, pts=range(60), time_base=Fraction(1, 25)
        )
    options = {"movflags": "faststart"} if path.suffix == ".mp4" else {}
    return synthetic.video(path, frames=60, container_options=options)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts", ".avi"])
def test_a_truncated_tail(suffix: str, tmp_path: Path) -> None:
    source = streams(tmp_path / f"a{suffix}")
    info = probe(synthetic.truncated(tmp_path / f"cut{suffix}", source))
    times, damage = decoded(info)
    assert times == list(info.pts)
    assert 30 < len(times) < 40
    before = probe(source)
    assert before.damage == ()
    # A transport stream says nowhere how long it is.
    cut_off = [one for one in damage if one.what == "are cut off"]
    assert len(cut_off) == (suffix != ".ts")
    if cut_off:
        (tail,) = cut_off
        assert tail.first > times[-1]
        step = info.pts[1] - info.pts[0]
        assert abs(tail.last - before.pts[-1]) <= step
        if tail.frames:
            assert tail.frames + missing(damage, "are incomplete and left out") + len(times) == 60
        else:  # Matroska tells the end, not how many
            assert suffix == ".mkv"


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
@pytest.mark.parametrize("how", ["zeroed", "flipped"])
def test_bytes_that_are_others(how: str, suffix: str, tmp_path: Path) -> None:
    source = streams(tmp_path / f"a{suffix}")
    data = bytearray(source.read_bytes())
    with av.open(str(source)) as container:
        starts = [p.pos for p in container.demux(video=0) if p.size]
    for at in starts[20], starts[41]:
        hit = slice(at, at + 400)
        other = bytes(400) if how == "zeroed" else bytes(b ^ 0x5A for b in data[hit])
        data[hit] = other
    path = tmp_path / f"hurt{suffix}"
    path.write_bytes(data)
    info = probe(path)
    times, damage = decoded(info)
    assert len(times) > 38
    assert damage
    gone = missing(damage, "do not decode", "are lost", "are incomplete and left out")
    assert len(times) + gone == 60
    assert missing(damage, "are damaged") + gone > 0
    span = info.pts[-1] - info.pts[0]
    assert all(info.pts[0] + span // 5 < one.first <= one.last for one in damage)


def test_frames_before_the_first_keyframe(tmp_path: Path) -> None:
    source = synthetic.video(tmp_path / "a.ts", frames=60)
    with av.open(str(source)) as container:
        packets = [p for p in container.demux(video=0) if p.size]
        third, keys = packets[3].pos, [p.pts for p in packets if p.is_keyframe]
    path = tmp_path / "b.ts"
    path.write_bytes(source.read_bytes()[third:])
    info = probe(path)
    times, damage = decoded(info)
    assert times[0] == info.pts[0] == keys[1]
    # A recording that begins in the middle of a group is not damaged.
    assert not info.damage
    assert not damage
    assert len(times) == len(info.pts) == 50
    assert info.warnings == (
        "7 frames at the beginning refer to pictures before it, so that nothing decodes them; "
        "left out",
    )
    assert info.tags == probe(source).tags
    assert info.clock.begin == keys[1] * info.time_base


def test_no_index_in_mp4_is_named_and_in_others_not_needed(tmp_path: Path) -> None:
    for suffix in (".mp4", ".mov"):
        whole_video = synthetic.plain(tmp_path / f"a{suffix}")
        with pytest.raises(InputError, match=r"its index \(the moov box\) is missing"):
            probe(synthetic.truncated(tmp_path / f"b{suffix}", whole_video, 0.7))
    for suffix in (".avi", ".mkv"):
        source = streams(tmp_path / f"a{suffix}")
        data = source.read_bytes()
        mark = data.rfind(b"idx1") if suffix == ".avi" else data.rfind(b"\x1c\x53\xbb\x6b")
        assert mark > len(data) / 2
        path = tmp_path / f"b{suffix}"
        path.write_bytes(data[:mark])
        info = probe(path)
        assert (len(info.pts), info.damage) == (60, ())
        assert decoded(info) == (list(info.pts), ())


def joined(path: Path, first: Path, second: Path) -> Path:
    """Two videos in one file, as a recorder writes them whose input changes."""
    path.write_bytes(first.read_bytes() + second.read_bytes())
    return path


def later(path: Path, **how: object) -> Path:
    """Thirty frames that follow sixty others."""
    pts = [512 * (62 + number) for number in range(30)]
    return synthetic.video(path, pts=pts, **how)  # type: ignore[arg-type]


def changed(tmp_path: Path, wanted: str, **how: object) -> VideoInfo:
    """A video that goes on as something else after sixty frames, all of which decode unharmed."""
    first = synthetic.video(tmp_path / "a.ts", frames=60)
    path = joined(tmp_path / "c.ts", first, later(tmp_path / "b.ts", **how))
    info = shaped(probe(path), wanted)
    times, damage = decoded(info)
    assert times == list(info.pts)
    assert (len(times), damage) == (90, ())
    return info


@pytest.mark.parametrize(("wanted", "shape"), [("source", (96, 64)), ("largest", (192, 128))])
def test_another_size_is_scaled_and_told(
    wanted: str, shape: tuple[int, int], tmp_path: Path
) -> None:
    info = changed(tmp_path, wanted, size=(192, 128))
    (told,) = info.warnings
    assert told.startswith("frames are 96x64, 192x128 from 2.48 s on; all are written as ")
    frames = list(decode(info, whole(info)))
    assert {(f.width, f.height) for f in frames} == {shape}
    drawn = av.VideoFrame.from_ndarray(synthetic.picture(10, 192, 128), "rgb24")
    luma = drawn.reformat(*shape, "yuv420p").to_ndarray()[: shape[1]]
    assert np.corrcoef(frames[70].luma.ravel(), luma.ravel())[0, 1] > 0.9


@pytest.mark.parametrize("pix_fmt", ["yuv422p10le", "yuv444p", "yuv420p10le"])
def test_another_pixel_format_is_kept_whole_and_told(pix_fmt: str, tmp_path: Path) -> None:
    info = changed(tmp_path, "largest", pix_fmt=pix_fmt)
    (told,) = info.warnings
    assert told.endswith(f"from 2.48 s on; all are written as {pix_fmt}")
    frames = list(decode(info, whole(info)))
    assert {f.format.name for f in frames} == {pix_fmt}
    unit = 4 if "10" in pix_fmt else 1
    for number, frame in ((10, frames[10]), (10, frames[70])):
        drawn = av.VideoFrame.from_ndarray(synthetic.picture(number), "rgb24")
        luma = drawn.reformat(format="yuv420p").to_ndarray()[:64]
        assert np.median(np.abs(frame.luma / unit - luma)) < 8


BT709, BT601_FULL = (1, 1, 1, 1), (2, 6, 6, 6)


def test_other_colours_are_converted_to_the_first(tmp_path: Path) -> None:
    """The same picture in BT.601 of full range and in BT.709 of limited range looks the same."""

    def drawn(_: int) -> np.ndarray:
        bars = np.zeros((64, 96, 3), np.uint8)
        for number, colour in enumerate([(200, 30, 30), (30, 180, 40), (40, 50, 190)]):
            bars[:, 32 * number : 32 * number + 32] = colour
        return bars

    def clip(path: Path, pts: list[int], tags: tuple[int, int, int, int]) -> Path:
        with av.open(str(path), "w") as container:
            video = container.add_stream("libx264", rate=25, options={"crf": "4", "g": "10"})
            video.width, video.height, video.pix_fmt = 96, 64, "yuv420p"
            video.codec_context.time_base = video.time_base = synthetic.TICKS
            context = video.codec_context
            context.color_range, context.colorspace = tags[:2]
            context.color_primaries, context.color_trc = tags[2:]
            for time in pts:
                frame = av.VideoFrame.from_ndarray(drawn(0), "rgb24").reformat(
                    format="yuv420p",
                    dst_colorspace="ITU709" if tags[1] == 1 else "ITU601",
                    dst_color_range="MPEG" if tags[0] == 1 else "JPEG",
                )
                frame.pts, frame.time_base = time, synthetic.TICKS
                container.mux(video.encode(frame))
            container.mux(video.encode(None))
        return path

    first = clip(tmp_path / "a.ts", [512 * n for n in range(24)], BT709)
    second = clip(tmp_path / "b.ts", [512 * (26 + n) for n in range(20)], BT601_FULL)
    kept = shaped(probe(joined(tmp_path / "c.ts", first, second)), "largest")
    assert kept.tags == BT709
    assert kept.warnings[0].startswith("colours are tagged 1/1/1/1, 2/6/6/6 from 1.04 s on")
    handles = [frame.handle for frame in decode(kept, whole(kept))]
    assert {(h.color_range, h.colorspace) for h in handles} == {BT709[:2], BT601_FULL[:2]}  # type: ignore[attr-defined]
    info = replace(kept, own_tags=False)
    assert decoded(info)[1] == ()
    frames = list(decode(info, whole(info)))
    assert {f.colour for f in frames} == {frames[0].colour}
    for handle in (f.handle for f in frames):
        assert isinstance(handle, av.VideoFrame)
        assert (handle.color_range, handle.colorspace) == BT709[:2]
    for one, other in zip(frames[5].planes, frames[30].planes, strict=True):
        assert np.abs(one[:, 4:-4].astype(float) - other[:, 4:-4]).mean() < 1.5


def test_other_primaries_are_told_and_kept_where_they_can_be(tmp_path: Path) -> None:
    first = synthetic.video(tmp_path / "a.ts", frames=60, colour=BT709)
    second = later(tmp_path / "b.ts", colour=(1, 1, 9, 14))
    info = shaped(probe(joined(tmp_path / "c.ts", first, second)), "largest")
    assert info.warnings[0].startswith("colours are tagged 1/1/1/1, 1/1/9/14 from 2.48 s on")
    for own_tags, expected in ((True, {1, 9}), (False, {1})):
        frames = decode(replace(info, own_tags=own_tags), whole(info))
        assert {f.handle.color_primaries for f in frames} == expected  # type: ignore[attr-defined]


def test_mpeg2_loses_no_frame_at_a_change_of_size(tmp_path: Path) -> None:
    def video(path: Path, start: int, size: tuple[int, int]) -> Path:
        return synthetic.video(
            path, pts=range(start, start + 30), time_base=Fraction(1, 25), size=size,
            codec="mpeg2video", options={"g": "9", "bf": "2", "b": "800000"},
            container_options={"mpegts_copyts": "1"},
        )  # fmt: skip

    first, second = video(tmp_path / "a.ts", 35, (96, 64)), video(tmp_path / "b.ts", 65, (160, 128))
    info = probe(joined(tmp_path / "c.ts", first, second))
    times, damage = decoded(info)
    assert (len(times), damage) == (60, ())


def _paused(path: Path, **how: object) -> Path:
    pts = [512 * n for n in range(20)] + [512 * (n + 30) for n in range(20, 50)]
    return synthetic.video(path, pts=pts, audio=1, **how)  # type: ignore[arg-type]


def _edited(path: Path) -> Path:
    """An edit list that shows the first half of what the file holds."""
    data = bytearray(synthetic.video(path, frames=60).read_bytes())
    at = data.find(b"elst") + 12
    data[at : at + 4] = (int.from_bytes(data[at : at + 4], "big") // 2).to_bytes(4, "big")
    path.write_bytes(data)
    return path


def _padded(path: Path) -> Path:
    return _paused(path, container_options={"muxrate": "3000000"})


@pytest.mark.parametrize(
    ("make", "suffix"),
    [
        (_paused, ".ts"),
        (_paused, ".mkv"),
        (_paused, ".mp4"),
        (_padded, ".ts"),
        (_edited, ".mp4"),
        (synthetic.vfr, ".ts"),
        (synthetic.vfr, ".mkv"),
        (synthetic.late_video, ".mkv"),
        (synthetic.negative_start, ".mp4"),
        (synthetic.open_gop, ".ts"),
        (synthetic.b_pyramid, ".mkv"),
        (synthetic.transport_stream, ".ts"),
        (synthetic.interlaced, ".mp4"),
        (synthetic.vp9, ".webm"),
        (synthetic.hdr, ".mkv"),
        (synthetic.full_range, ".mp4"),
        (synthetic.one_frame, ".mp4"),
        (synthetic.lossless_rgb, ".mkv"),
    ],
)
def test_sound_videos_are_told_nothing_of(
    make: Callable[[Path], Path], suffix: str, tmp_path: Path
) -> None:
    info = probe(make(tmp_path / f"a{suffix}"))
    assert decoded(info) == (list(info.pts), ())


def test_real_clips_are_sound(media: Path) -> None:
    for path in sorted(media.iterdir()):
        if path.suffix in (".mp4", ".mkv"):
            info = probe(path)
            report = DecodeReport()
            times = [frame.pts for frame in decode(info, whole(info), report=report)]
            assert (times, info.damage, report.damage(info.pts)) == (list(info.pts), (), ())
