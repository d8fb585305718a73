"""Encode: lossless means lossless, exact times, tags, and failures that leave nothing behind."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from facepipe.datatypes import Colour, Frame, Part, PixelFormat, Plane, VideoInfo
from facepipe.errors import InputError, MediaError, UsageError
from facepipe.video import EncodeSettings, check_encoder, decode, encode, output_pix_fmt, probe
from facepipe.video.encode import part_shift, written_tags
from facepipe.video.muxing.concat import CodedTimes, VideoPackets
from facepipe.video.pyav.chroma import chroma_location
from media import synthetic
from media.video_checks import LOSSLESS, Render, digests, whole


def times_of(part: Path, info: VideoInfo) -> CodedTimes:
    return VideoPackets([Part(whole(info), str(part), 0, 0)], part, info).times()


YUV = PixelFormat("yuv420p", "yuv", 8, 1, 1)


def drawn(times: list[int], width: int = 96, height: int = 64) -> Iterator[Frame]:
    """Frames that no decoder made."""
    for number, time in enumerate(times):
        picture = av.VideoFrame.from_ndarray(synthetic.picture(number, width, height), "rgb24")
        planes = picture.reformat(format="yuv420p").to_ndarray()
        y = planes[:height].copy()
        rest = planes[height:].reshape(2, height // 2, width // 2)
        yield Frame(
            pts=time, format=YUV, colour=Colour(), planes=(y, rest[0].copy(), rest[1].copy())
        )


@pytest.fixture
def info(tmp_path: Path) -> VideoInfo:
    return probe(synthetic.plain(tmp_path / "source.mp4"))


@pytest.mark.parametrize(
    ("make", "suffix"),
    [
        (synthetic.plain, ".mp4"),
        (synthetic.ten_bit, ".mp4"),
        (synthetic.full_range, ".mp4"),
        (synthetic.vfr, ".mp4"),
        (synthetic.interlaced, ".mp4"),
        (synthetic.b_pyramid, ".mkv"),
    ],
)
def test_lossless_is_exact_to_the_last_pixel(
    make: Callable[[Path], Path], suffix: str, tmp_path: Path, render: Render
) -> None:
    source, target = make(tmp_path / f"a{suffix}"), tmp_path / f"b{suffix}"
    before, after = probe(source), render(source, target)
    assert after.pix_fmt == before.pix_fmt
    assert digests(target, after, [whole(after)]) == digests(source, before, [whole(before)])


def test_lossless_rgb_by_an_encoder_that_takes_it(tmp_path: Path, render: Render) -> None:
    settings = EncodeSettings("libx264rgb", (("qp", "0"), ("preset", "ultrafast")))
    source, target = synthetic.lossless_rgb(tmp_path / "a.mkv"), tmp_path / "b.mkv"
    before, after = probe(source), render(source, target, settings)
    assert digests(target, after, [whole(after)]) == digests(source, before, [whole(before)])


def test_odd_sizes_stay_exact_and_the_note_says_how(tmp_path: Path, render: Render) -> None:
    source = synthetic.odd_size(tmp_path / "a.mkv")
    before = probe(source)
    chosen, note = output_pix_fmt(LOSSLESS, before)
    assert chosen == "yuv444p"
    assert note is not None
    assert "97x65" in note
    after = render(source, tmp_path / "b.mkv")
    assert (after.width, after.height) == (97, 65)
    same = render(source, tmp_path / "c.mkv", EncodeSettings("ffv1"))
    assert (same.width, same.height, same.pix_fmt) == (97, 65, "yuv420p")


def test_changed_planes_are_written_and_the_source_is_not(tmp_path: Path) -> None:
    source = synthetic.plain(tmp_path / "a.mp4")
    info = probe(source)
    kept: list[Frame] = []

    def brighter() -> Iterator[Frame]:
        for frame in decode(info, whole(info)):
            kept.append(frame)
            luma = np.minimum(frame.planes[0], 200) + np.uint8(20)
            changed: tuple[Plane, ...] = (luma, *frame.planes[1:])
            yield frame.with_planes(changed)

    encode(brighter(), tmp_path / "p.nut", info=info, span=whole(info), settings=LOSSLESS)
    part = probe(tmp_path / "p.nut")
    for old, new in zip(kept, decode(part, whole(part)), strict=True):
        assert np.array_equal(new.planes[0], np.minimum(old.planes[0], 200) + np.uint8(20))
        assert np.array_equal(new.planes[1], old.planes[1])


def test_scaled_frames(tmp_path: Path, info: VideoInfo) -> None:
    settings = replace(LOSSLESS, scale=2)
    part = tmp_path / "p.nut"
    count = encode(
        drawn([0, 512, 1024], 192, 128), part, info=info, span=whole(info), settings=settings
    )
    found = probe(part)
    assert (count, found.width, found.height) == (3, 192, 128)


@pytest.mark.parametrize(("height", "told"), [(240, "open"), (480, "bt601"), (720, "open")])
def test_an_open_matrix_is_told_where_enlarging_would_change_the_guess(
    height: int, told: str, info: VideoInfo
) -> None:
    """Players take small videos for BT.601 and large ones for BT.709."""
    bt709, number = 1, {"open": 2, "bt601": 6}
    source = replace(info, height=height)
    picture = av.VideoFrame(64, 2 * height, "yuv420p")
    assert written_tags(picture, "yuv420p", source, 2 * height)[1] == number[told]
    picture.colorspace = bt709
    assert written_tags(picture, "yuv420p", source, 2 * height)[1] == bt709


def test_rgb_is_tagged_as_it_was_converted(info: VideoInfo) -> None:
    small, large = replace(info, height=480), replace(info, height=960)
    picture = av.VideoFrame(64, 960, "gbrp")
    assert written_tags(picture, "yuv444p", small, 960)[1] == 6
    assert written_tags(picture, "yuv444p", large, 960)[1] == 1


def test_times_are_exact_even_where_sources_are_not(tmp_path: Path, info: VideoInfo) -> None:
    times = [0, 1, 2, 2, 2, 1000, 1001, 900000]
    part = tmp_path / "p.nut"
    encode(drawn(times), part, info=info, span=whole(info), settings=LOSSLESS)
    found = probe(part)
    ticks = [round(pts * found.time_base / info.time_base) for pts in found.pts]
    assert ticks == [0, 1, 2, 3, 4, 1000, 1001, 900000]  # equal times move up by a tick


def test_a_part_begins_with_a_keyframe_and_is_closed(tmp_path: Path) -> None:
    source = synthetic.open_gop(tmp_path / "a.mp4")
    info = probe(source)
    part = tmp_path / "p.nut"
    options = (("x264-params", "open-gop=1:keyint=8"), ("preset", "medium"))
    settings = EncodeSettings("libx264", options)
    encode(decode(info, whole(info)), part, info=info, span=whole(info), settings=settings)
    with av.open(str(part)) as container:
        first = next(p for p in container.demux() if p.size)
    assert first.is_keyframe
    assert first.pts == 0


def test_the_same_frames_make_the_same_bytes(tmp_path: Path) -> None:
    source = synthetic.b_pyramid(tmp_path / "a.mp4")
    info = probe(source)
    settings = EncodeSettings("libx264", (("crf", "20"),), threads=2)
    sums = set()
    for number in range(8):
        part = tmp_path / f"{number}.nut"
        encode(
            decode(info, whole(info)),
            part,
            info=info,
            span=whole(info),
            settings=settings,
        )
        sums.add(hashlib.md5(part.read_bytes()).hexdigest())
    assert len(sums) == 1


@pytest.mark.parametrize("colour", [(1, 9, 9, 16), (2, 1, 1, 1), (0, 2, 2, 2), (1, 2, 2, 2)])
def test_colour_tags_pass_unchanged(
    colour: tuple[int, int, int, int], tmp_path: Path, render: Render
) -> None:
    source = synthetic.video(tmp_path / "a.mp4", colour=colour, frames=4)
    render(source, tmp_path / "b.mp4")
    found = []
    for path in (source, tmp_path / "b.mp4"):
        with av.open(str(path)) as container:
            f = next(container.decode(video=0))
            found.append((f.color_range, f.colorspace, f.color_primaries, f.color_trc))
    assert found[0] == found[1]


def test_interlacing_passes_even_through_changed_frames(tmp_path: Path) -> None:
    source = synthetic.interlaced(tmp_path / "a.mp4")
    info = probe(source)
    changed = (f.with_planes(tuple(p.copy() for p in f.planes)) for f in decode(info, whole(info)))
    encode(changed, tmp_path / "p.nut", info=info, span=whole(info), settings=LOSSLESS)
    with av.open(str(tmp_path / "p.nut")) as container:
        assert all(frame.interlaced_frame for frame in container.decode(video=0))
    part = probe(tmp_path / "p.nut")
    assert [d for _, d in digests(tmp_path / "p.nut", part, [whole(part)])] == [
        d for _, d in digests(source, info, [whole(info)])
    ]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (EncodeSettings("no-such-codec"), "no encoder 'no-such-codec'"),
        (EncodeSettings("aac"), "encodes audio"),
        (EncodeSettings("libx264", pix_fmt="pal8"), "does not take pixel format 'pal8'"),
        (EncodeSettings("libx264", (("no-such-option", "1"),)), "no option no-such-option"),
        (EncodeSettings("libx264", (("preset", "hasty"),)), "hasty"),
        (EncodeSettings("mpeg2video"), "does not support"),
        (EncodeSettings("libx264", scale=3), "use 1, 2 or 4"),
        (EncodeSettings("libx264", threads=0), "1 or more"),
    ],
)
def test_bad_settings_are_refused_before_any_work(
    settings: EncodeSettings, words: str, info: VideoInfo
) -> None:
    with pytest.raises(UsageError, match=words):
        check_encoder(settings, info)


@pytest.mark.parametrize(
    ("codec", "source", "chosen"),
    [
        ("libx264", "yuv420p10le", "yuv420p10le"),
        ("libx264", "nv12", "yuv420p"),
        ("libx264", "bgr24", "yuv444p"),
        ("libx264", "yuvj422p", "yuvj422p"),
        ("libx264", "yuv420p12le", "yuv420p10le"),
        ("libx265", "yuv420p12le", "yuv420p12le"),
        ("ffv1", "yuva420p", "yuva420p"),
        ("libsvtav1", "yuvj420p", "yuv420p"),
    ],
)
def test_the_format_that_loses_least(codec: str, source: str, chosen: str, info: VideoInfo) -> None:
    assert output_pix_fmt(EncodeSettings(codec), replace(info, pix_fmt=source))[0] == chosen


def test_good_settings_are_taken(info: VideoInfo) -> None:
    check_encoder(EncodeSettings("libx264", (("crf", "18"), ("preset", "slow"))), info)
    check_encoder(EncodeSettings("libx265", (("x265-params", "aq-mode=3"),)), info)


def test_a_failure_leaves_nothing_behind(tmp_path: Path, info: VideoInfo) -> None:
    def failing(error: BaseException) -> Iterator[Frame]:
        yield from drawn([0, 512])
        raise error

    for error in (InputError("gone"), KeyboardInterrupt()):
        with pytest.raises(type(error)):
            encode(
                failing(error),
                tmp_path / "p.nut",
                info=info,
                span=whole(info),
                settings=LOSSLESS,
            )
    with pytest.raises(MediaError, match="no frame"):
        encode(iter(()), tmp_path / "p.nut", info=info, span=whole(info), settings=LOSSLESS)
    assert [p.name for p in tmp_path.iterdir()] == ["source.mp4"]


def test_times_before_zero_are_kept_by_a_shift(tmp_path: Path, info: VideoInfo) -> None:
    early = replace(info, pts=(-1024, -512, 0))
    part = tmp_path / "p.nut"
    encode(drawn([-1024, -512, 0]), part, info=early, span=whole(early), settings=LOSSLESS)
    found = probe(part)
    ticks = [round(pts * found.time_base / info.time_base) for pts in found.pts]
    assert [tick - part_shift(early) for tick in ticks] == [-1024, -512, 0]


@pytest.mark.parametrize("first", [0, 7, -512])
def test_prores_parts_hold_every_tick(first: int, tmp_path: Path) -> None:
    times = [first, 600, 601, 20000]
    path = synthetic.video(tmp_path / "a.mov", codec="prores_ks", pix_fmt="yuv422p10le", frames=4)
    source = probe(path)
    decoded = zip(decode(source, whole(source)), times, strict=True)
    frames = [replace(frame, pts=time) for frame, time in decoded]
    info = replace(source, pts=tuple(times))
    part = tmp_path / "part.nut"
    settings = EncodeSettings("prores_ks")
    encode(iter(frames), part, info=info, span=whole(info), settings=settings)
    assert times_of(part, info).pts == times


def test_interlaced_prores_stays_so(tmp_path: Path) -> None:
    path = synthetic.video(
        tmp_path / "a.mov",
        codec="prores_ks",
        pix_fmt="yuv422p10le",
        interlaced=True,
        filters=["setfield=tff"],
        frames=3,
    )
    info, part = probe(path), tmp_path / "part.nut"
    settings = EncodeSettings("prores_ks")
    encode(decode(info, whole(info)), part, info=info, span=whole(info), settings=settings)
    with av.open(str(part)) as container:
        assert all(frame.interlaced_frame for frame in container.decode(video=0))


def test_alpha_goes_with_vp9(tmp_path: Path) -> None:
    info, part = probe(synthetic.see_through(tmp_path / "a.webm")), tmp_path / "part.nut"
    settings = EncodeSettings("libvpx-vp9", (("lossless", "1"), ("cpu-used", "8")))
    encode(decode(info, whole(info)), part, info=info, span=whole(info), settings=settings)
    assert times_of(part, info).pts == list(info.pts)
    with av.open(str(part)) as container:
        packets = [p for p in container.demux(video=0) if p.size]
        assert all(p.has_sidedata("matroska_block_additional") for p in packets)


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_chroma_stays_where_it_lies(codec: str, tmp_path: Path) -> None:
    options = {"chroma_sample_location": "topleft"}
    info = probe(synthetic.video(tmp_path / "a.mp4", frames=3, options=options))
    part = tmp_path / "part.nut"
    encode(
        decode(info, whole(info)),
        part,
        info=info,
        span=whole(info),
        settings=EncodeSettings(codec, (("preset", "ultrafast"),)),
    )
    with av.open(str(part)) as container:
        assert chroma_location(container.streams.video[0]) == "topleft"


def test_motion_jpeg_opens(tmp_path: Path) -> None:
    info = probe(synthetic.motion_jpeg(tmp_path / "a.avi"))
    settings = EncodeSettings("mjpeg", (("b", "20000000"),))
    check_encoder(settings, info)
    count = encode(
        decode(info, whole(info)), tmp_path / "p", info=info, span=whole(info), settings=settings
    )
    assert count == len(info.pts)
