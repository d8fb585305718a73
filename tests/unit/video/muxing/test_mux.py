"""Mux: everything but the enhanced video is the source's, packet for packet and tick for tick."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from functools import partial
from itertools import pairwise
from pathlib import Path

import av
import pytest
from av.sidedata.sidedata import Type
from av.stream import AttachmentStream

from facepipe.datatypes import Part, Span, VideoInfo
from facepipe.errors import InputError, MediaError, OutputError
from facepipe.video import EncodeSettings, decode, mux, probe
from facepipe.video.muxing.concat import last_duration as lasting
from facepipe.video.pixel_formats import side_data
from media import patches, synthetic
from media.video_checks import LOSSLESS, Render, packets, rendered, whole

FAST = EncodeSettings("libx264", (("preset", "veryfast"),))

Video = Callable[[Path], Path]


def last_duration(path: Path) -> int | None:
    """How long the frame with the highest pts is shown."""
    with av.open(str(path)) as container:
        found = [(p.pts, p.duration) for p in container.demux(video=0) if p.size]
    return max(found)[1]


def one_part(info: VideoInfo, path: Path, span: Span | None = None) -> Part:
    return rendered(info, span or whole(info), path, FAST)


@pytest.mark.parametrize(
    ("make", "suffix"),
    [
        (synthetic.plain, ".mp4"),
        (synthetic.plain, ".mkv"),
        (synthetic.plain, ".mov"),
        (synthetic.vfr, ".mp4"),
        (synthetic.late_video, ".mp4"),
        (synthetic.negative_start, ".mp4"),
        (synthetic.two_audios, ".mp4"),
        (synthetic.two_audios, ".mkv"),
        (synthetic.subtitled, ".mp4"),
        (synthetic.subtitled, ".mkv"),
        (synthetic.one_frame, ".mp4"),
        (synthetic.one_frame, ".mkv"),
        (synthetic.open_gop, ".mp4"),
        (synthetic.b_pyramid, ".mkv"),
        (synthetic.transport_stream, ".ts"),
        (synthetic.interlaced, ".mp4"),
        (synthetic.anamorphic, ".mp4"),
        (synthetic.anamorphic, ".mkv"),
        (synthetic.ten_bit, ".mp4"),
    ],
)
def test_the_target_is_the_source_but_for_the_video(
    make: Video, suffix: str, tmp_path: Path, render: Render
) -> None:
    source, target = make(tmp_path / f"a{suffix}"), tmp_path / f"b{suffix}"
    # a transport stream begins at its first decoding time, so reordering there would move it
    settings = EncodeSettings("libx264", (("tune", "zerolatency"),)) if suffix == ".ts" else FAST
    after = render(source, target, settings)
    before = probe(source)
    assert after.pts == before.pts
    assert after.time_base == before.time_base
    assert after.stream_index == before.stream_index
    assert after.others == before.others
    assert after.sample_aspect_ratio == before.sample_aspect_ratio
    assert last_duration(target) == last_duration(source)
    ours, theirs = packets(target), packets(source)
    with av.open(str(source)) as one, av.open(str(target)) as two:
        for stream in before.others:
            a, b = one.streams[stream.index], two.streams[stream.index]
            assert (b.type, b.disposition) == (a.type, a.disposition)
            assert b.metadata.get("language") == a.metadata.get("language")
            assert a.time_base is not None
            assert b.time_base is not None
            finer = a.time_base / b.time_base
            assert finer.denominator == 1
            there = [
                (pts * finer, d * finer, h)
                for pts, d, h in theirs[stream.index]
                if pts is not None and d is not None
            ]
            # Matroska stores no lengths, and FFmpeg may not work out that of a first packet.
            here = [(pts, d or there[0][1] if suffix == ".mkv" else d, h)
                    for pts, d, h in ours[stream.index]]  # fmt: skip
            assert here == there
        assert [(c["metadata"], c["start"] * (c["time_base"] or 1)) for c in one.chapters()] == [
            (c["metadata"], c["start"] * (c["time_base"] or 1)) for c in two.chapters()
        ]
    assert sorted(p.name for p in tmp_path.iterdir() if p.name.startswith(".")) == []


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_rotation(suffix: str, tmp_path: Path, render: Render) -> None:
    source = synthetic.rotated(tmp_path / "a.mp4")
    assert render(source, tmp_path / f"b{suffix}", FAST).rotation == 90


def test_mirrored_pictures_stay_mirrored(tmp_path: Path, render: Render) -> None:
    plain = synthetic.plain(tmp_path / "p.mp4", frames=3)
    source, target = tmp_path / "a.mp4", tmp_path / "b.mp4"
    with av.open(str(plain)) as video, av.open(str(source), "w") as container:
        stream = container.add_stream_from_template(video.streams.video[0], opaque=True)
        stream.set_display_rotation(0, hflip=True)
        for packet in video.demux():
            if packet.size:
                packet.stream = stream
                container.mux(packet)
    render(source, target, FAST)
    matrices = []
    for path in (source, target):
        with av.open(str(path)) as container:
            matrices.append(side_data(next(container.decode(video=0)), Type.DISPLAYMATRIX))
    assert matrices[0] == matrices[1] != b""


def test_light_levels(tmp_path: Path, render: Render) -> None:
    source, target = synthetic.hdr(tmp_path / "a.mp4"), tmp_path / "b.mp4"
    render(source, target, FAST)
    found = []
    for path in (source, target):
        with av.open(str(path)) as container:
            frame = next(container.decode(video=0))
            kinds = (Type.MASTERING_DISPLAY_METADATA, Type.CONTENT_LIGHT_LEVEL)
            found.append([side_data(frame, kind) for kind in kinds])
    assert found[0] == found[1]
    assert all(found[0])


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_metadata_is_kept_and_ours_appended(suffix: str, tmp_path: Path, render: Render) -> None:
    source, target = synthetic.two_audios(tmp_path / f"a{suffix}"), tmp_path / f"b{suffix}"
    render(source, target, FAST, {"comment": "AI-enhanced"})
    with av.open(str(target)) as container:
        tags = {key.lower(): value for key, value in container.metadata.items()}
    assert tags["title"] == "A video"
    assert tags["comment"] == "first cut; AI-enhanced"


def test_keys_that_quicktime_does_not_know_are_kept(tmp_path: Path, render: Render) -> None:
    keys = {"composer": "J. S.", "title": "Seven"}
    source = synthetic.video(tmp_path / "a.mp4", frames=4, metadata=keys)
    render(source, tmp_path / "b.mov", FAST)
    with av.open(str(tmp_path / "b.mov")) as container:
        assert dict(container.metadata).items() >= keys.items()


def test_keys_that_mp4_does_not_know_are_kept(tmp_path: Path, render: Render) -> None:
    source = synthetic.video(
        tmp_path / "a.mp4",
        frames=4,
        metadata={"com.example.reel": "7", "title": "Seven"},
        container_options={"movflags": "use_metadata_tags"},
    )
    render(source, tmp_path / "b.mp4", FAST, {"comment": "AI-enhanced"})
    with av.open(str(tmp_path / "b.mp4")) as container:
        tags = dict(container.metadata)
    expected = {"com.example.reel": "7", "title": "Seven", "comment": "AI-enhanced"}
    assert tags.items() >= expected.items()


def test_fonts_and_covers(tmp_path: Path, render: Render) -> None:
    sound = synthetic.two_audios(tmp_path / "s.mkv")
    source, target = synthetic.with_extras(tmp_path / "a.mkv", sound), tmp_path / "b.mkv"
    after = render(source, target, FAST)
    assert after.others == probe(source).others
    with av.open(str(target)) as container:
        font = container.streams[3]
        assert isinstance(font, AttachmentStream)
        assert font.data == b"not a font" * 9
    assert packets(target)[4] == packets(source)[4]


def test_what_a_muxer_would_refuse_is_said_before_writing(tmp_path: Path) -> None:
    sound = synthetic.video(tmp_path / "s.mkv", audio=1, subtitle="ass")
    source = synthetic.with_extras(tmp_path / "a.mkv", sound)
    info = probe(source)
    part = one_part(info, tmp_path / "p.nut")
    cases = {"b.ts": "mpegts cannot hold stream 2", "b.webm": "webm cannot hold video of h264"}
    for name, words in cases.items():
        with pytest.raises(MediaError, match=words):
            mux([part], source, info, tmp_path / name, settings=FAST, metadata={})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mkv", "p.nut", "s.mkv"]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_window_starts_at_zero_and_cuts_the_rest(suffix: str, tmp_path: Path) -> None:
    source = synthetic.subtitled(tmp_path / f"a{suffix}")
    info = probe(source)
    start, stop = info.pts[10], info.pts[45]
    part = one_part(info, tmp_path / "p.nut", Span(0, start, stop))
    target = tmp_path / f"b{suffix}"
    mux(
        [part],
        source,
        info,
        target,
        settings=FAST,
        metadata={},
        window=(start, stop),
    )
    after = probe(target)
    assert after.pts == tuple(time - start for time in info.pts[10:45])
    first = float(start * info.time_base)
    length = float((stop - start) * info.time_base)
    with av.open(str(source)) as one, av.open(str(target)) as two:
        bases = [float(c.streams[1].time_base or 0) for c in (one, two)]
    # each packet keeps its distance to the picture, and none in the middle is lost
    theirs = {h: pts * bases[0] - first for pts, _, h in packets(source)[1] if pts is not None}
    ours = {h: pts * bases[1] for pts, _, h in packets(target)[1] if pts is not None}
    inside = {h for h, time in theirs.items() if 0 <= time <= length - 0.13}
    assert inside <= set(ours)
    assert len(ours) <= len(inside) + 3
    assert all(abs(ours[h] - theirs[h]) < 0.0015 for h in ours)
    words = [h for _, _, h in packets(target)[2]]
    assert len(set(words) & {h for _, _, h in packets(source)[2]}) >= 2


def test_counts_must_agree(tmp_path: Path) -> None:
    source = synthetic.plain(tmp_path / "a.mp4")
    info = probe(source)
    part = one_part(info, tmp_path / "p.nut")
    with pytest.raises(MediaError, match="hold 30 frames, 31 were expected"):
        mux(
            [replace(part, frames=31)],
            source,
            info,
            tmp_path / "b.mp4",
            settings=FAST,
            metadata={},
        )
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mp4", "p.nut"]


def test_a_damaged_part_is_named(tmp_path: Path) -> None:
    source = synthetic.plain(tmp_path / "a.mp4")
    info = probe(source)
    part = Part(whole(info), str(synthetic.text(tmp_path / "p.nut")), 30, 0)
    with pytest.raises(MediaError, match=r"part p\.nut is damaged"):
        mux(
            [part],
            source,
            info,
            tmp_path / "b.mp4",
            settings=FAST,
            metadata={},
        )


@pytest.mark.parametrize(
    ("error", "raised"),
    [(OSError(errno.ENOSPC, "No space left on device"), OutputError),
     (KeyboardInterrupt(), KeyboardInterrupt)],
)  # fmt: skip
def test_a_failure_leaves_the_old_target_and_nothing_else(
    error: BaseException,
    raised: type[BaseException],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = synthetic.plain(tmp_path / "a.mp4")
    info = probe(source)
    part = one_part(info, tmp_path / "p.nut")
    target = tmp_path / "b.mp4"
    target.write_text("precious")

    def refuse(_: int) -> None:
        raise error

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(raised):
        mux(
            [part],
            source,
            info,
            target,
            settings=FAST,
            metadata={},
        )
    assert target.read_text() == "precious"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mp4", "b.mp4", "p.nut"]


def test_a_missing_folder_or_source_is_said(tmp_path: Path) -> None:
    source = synthetic.plain(tmp_path / "a.mp4")
    info = probe(source)
    part = one_part(info, tmp_path / "p.nut")
    arguments = {"settings": FAST, "metadata": {}}
    with pytest.raises(OutputError, match="folder"):
        mux([part], source, info, tmp_path / "no" / "b.mp4", **arguments)  # type: ignore[arg-type]
    source.unlink()
    with pytest.raises(InputError, match="does not exist"):
        mux([part], source, info, tmp_path / "b.mp4", **arguments)  # type: ignore[arg-type]


def test_mixed_interlacing_still_decodes_whole(tmp_path: Path) -> None:
    """Parts with different parameter sets: each keyframe brings its own."""
    source = synthetic.plain(tmp_path / "a.mp4", frames=20)
    info = probe(source)
    fields = synthetic.video(tmp_path / "f.mp4", interlaced=True, frames=20)
    halves = [Span(0, 0, info.pts[10]), Span(1, info.pts[10], info.pts[19] + 1)]
    parts = [
        rendered(probe(path), span, tmp_path / f"p{span.index}.nut", LOSSLESS)
        for path, span in zip((source, fields), halves, strict=True)
    ]
    target = tmp_path / "b.mp4"
    mux(parts, source, info, target, settings=LOSSLESS, metadata={})
    after = probe(target)
    expected = [
        f.planes[0].tobytes()
        for path, span in zip((source, fields), halves, strict=True)
        for f in decode(probe(path), span)
    ]
    assert [f.planes[0].tobytes() for f in decode(after, whole(after))] == expected


def test_hevc_is_tagged_for_every_player(tmp_path: Path, render: Render) -> None:
    settings = EncodeSettings("libx265", (("preset", "ultrafast"),))
    render(synthetic.plain(tmp_path / "a.mp4", frames=5), tmp_path / "b.mp4", settings)
    with av.open(str(tmp_path / "b.mp4")) as container:
        assert container.streams.video[0].codec_context.codec_tag == "hvc1"


def test_times_finer_than_a_millisecond_are_exact_in_mp4(tmp_path: Path, render: Render) -> None:
    base = Fraction(1, 90000)
    source = synthetic.video(
        tmp_path / "a.mp4", pts=[12345, 15348, 18351, 21354], time_base=base, audio=1
    )
    assert render(source, tmp_path / "b.mp4", FAST).pts == probe(source).pts


@pytest.mark.parametrize("first", [0, 1, 900000])
def test_a_transport_stream_keeps_times_of_reordered_pictures(
    first: int, tmp_path: Path, render: Render
) -> None:
    """Three B-frames between others want times before the first picture, and buffers want more."""
    base = Fraction(1, 90000)
    times = [first + 3600 * number for number in range(30)]
    source = synthetic.video(tmp_path / "a.nut", pts=times, time_base=base, options={"bf": "0"})
    options = (("preset", "medium"), ("bf", "3"), ("x264-params", "b-adapt=0"))
    after = render(source, tmp_path / "b.ts", EncodeSettings("libx264", options))
    late = 90000 if first < 90000 else 0
    assert [time - late for time in after.pts] == times
    with av.open(str(tmp_path / "b.ts")) as container:
        found = [(p.dts, p.pts) for p in container.demux(video=0) if p.size]
    assert any(dts != pts for dts, pts in found)
    assert all(a[0] < b[0] for a, b in pairwise(found))


def test_how_long_the_last_frame_lasts(tmp_path: Path) -> None:
    """By the source's track in mp4, to the first frame behind an edit list, else by its packet."""
    plain = probe(synthetic.plain(tmp_path / "a.mp4"))
    assert lasting(plain, plain.pts[-1]) == 512
    assert lasting(plain, plain.pts[9]) == 512
    assert lasting(plain, plain.pts[-1] + 1) == 511
    in_ms = {"movie_timescale": "1000"}  # FFmpeg 9 takes the video's own unless told
    make = partial(synthetic.video, options={"g": "5"}, container_options=in_ms)
    for number, (edits, expected) in enumerate(
        [([(700, 320)], 256), ([(500, -1), (1000, 0)], 512), ([(400, 320)], 512)]
    ):
        path = patches.edited(tmp_path / f"{number}.mp4", make=make, edits=edits)
        info = probe(path)
        assert info.damage == ()
        assert lasting(info, info.pts[-1]) == expected
    matroska = probe(synthetic.plain(tmp_path / "a.mkv"))
    assert lasting(matroska, matroska.pts[-1]) == 40
    one = probe(synthetic.one_frame(tmp_path / "one.ts"))
    assert lasting(one, one.pts[-1]) > 0
