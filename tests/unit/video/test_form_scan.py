"""What a video holds is gathered over all of it: forms, fields, and where frames hold more."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import pytest

from conformance.format_cases import MASTERED
from facepipe.datatypes import VideoInfo
from facepipe.video import probe
from facepipe.video.shape import shaped
from media import synthetic
from media.sections import Section, captions, sectioned

GROWN = (Section(), Section(size=(144, 96)), Section(size=(192, 128)))
KINDS = [
    ("libx264", ".mp4"), ("libx264", ".mkv"), ("libx264", ".ts"), ("libx265", ".mkv"),
    ("libvpx", ".webm"), ("libvpx-vp9", ".webm"), ("mpeg2video", ".ts"), ("mpeg4", ".avi"),
]  # fmt: skip


def sizes(info: VideoInfo) -> list[tuple[int, int]]:
    return [(form.width, form.height) for form in info.forms]


@pytest.mark.parametrize(("codec", "suffix"), KINDS)
def test_each_size_is_found_where_it_begins(codec: str, suffix: str, tmp_path: Path) -> None:
    info = probe(sectioned(tmp_path / f"a{suffix}", *GROWN, codec=codec))
    assert sizes(info) == [(96, 64), (144, 96), (192, 128)]
    assert (info.width, info.height) == (96, 64)
    later = [round(float((form.first - info.pts[0]) * info.time_base), 2) for form in info.forms]
    assert later == [0.0, pytest.approx(0.4, abs=0.03), pytest.approx(0.8, abs=0.03)]
    assert {form.first for form in info.forms[1:]} <= set(info.keyframe_pts)


def test_motion_jpeg_tells_its_size_in_every_frame(tmp_path: Path) -> None:
    made = [Section(frames=4, size=one.size, pix_fmt="yuvj420p") for one in GROWN]
    info = probe(sectioned(tmp_path / "a.avi", *made, codec="mjpeg"))
    assert sizes(info) == [(96, 64), (144, 96), (192, 128)]


def test_a_video_that_goes_on_as_it_began_has_no_forms(tmp_path: Path) -> None:
    info = probe(synthetic.video(tmp_path / "a.mp4", frames=60))
    assert (info.forms, info.places, info.fields) == ((), (), ())


def test_shapes_of_pixels_and_colours(tmp_path: Path) -> None:
    wider = (Section(aspect=Fraction(16, 15)), Section(aspect=Fraction(64, 45)))
    info = probe(sectioned(tmp_path / "a.ts", *wider))
    assert [form.sample_aspect_ratio for form in info.forms] == [Fraction(16, 15), Fraction(64, 45)]
    hdr = (Section(colour=(1, 1, 1, 1)), Section(pix_fmt="yuv420p10le", colour=(1, 9, 9, 16)))
    info = probe(sectioned(tmp_path / "a.mkv", *hdr))
    assert [(form.pix_fmt, form.tags) for form in info.forms] == [
        ("yuv420p", (1, 1, 1, 1)), ("yuv420p10le", (1, 9, 9, 16))
    ]  # fmt: skip


@pytest.mark.parametrize(("codec", "suffix"), [("libx264", ".mp4"), ("mpeg2video", ".ts")])
def test_captions_that_begin_late_have_a_place(codec: str, suffix: str, tmp_path: Path) -> None:
    made = (Section(frames=13), Section(data=captions), Section())
    info = probe(sectioned(tmp_path / f"a{suffix}", *made, codec=codec))
    assert info.places == (info.pts[13],)
    first = probe(sectioned(tmp_path / f"b{suffix}", *made[1:], codec=codec))
    assert first.places == ()  # the first frames are looked at anyway


@pytest.mark.parametrize("first", ["top", "bottom"])
def test_fields_that_begin_late(first: str, tmp_path: Path) -> None:
    made = (Section(), Section(interlaced=True, filters=[f"setfield={first[0]}ff"]))
    info = probe(sectioned(tmp_path / "a.ts", *made))
    assert (info.fields, info.places, info.forms) == ((first,), (info.pts[10],), ())


def test_light_levels_that_are_written_once_are_no_change(tmp_path: Path) -> None:
    lit = {"x265-params": MASTERED}
    made = [Section(frames=15, pix_fmt="yuv420p10le", options=one) for one in (lit, {})]
    info = probe(sectioned(tmp_path / "a.ts", *made, codec="libx265"))
    assert info.forms == ()
    info = probe(sectioned(tmp_path / "b.ts", *reversed(made), codec="libx265"))
    assert [form.light for form in info.forms] == [False, True]


def test_alpha_in_side_data_that_begins_late(tmp_path: Path) -> None:
    """VP9 in WebM whose first half has its alpha taken away."""
    path, whole = tmp_path / "a.webm", synthetic.see_through(tmp_path / "b.webm")
    with av.open(str(whole)) as given, av.open(str(path), "w") as out:
        source = given.streams.video[0]
        stream = out.add_stream_from_template(source, opaque=True)
        stream.metadata.update({"alpha_mode": "1"})
        for number, packet in enumerate(p for p in given.demux(source) if p.size):
            kept = packet
            if number < 20:
                kept = av.Packet(bytes(packet))
                kept.pts, kept.dts, kept.time_base = packet.pts, packet.dts, packet.time_base
                kept.is_keyframe = packet.is_keyframe
            kept.stream = stream
            out.mux_one(kept)
    info = probe(path)
    assert [form.pix_fmt for form in info.forms] == ["yuv420p", "yuva420p"]
    assert shaped(info, "largest").pix_fmt == "yuva420p"


def test_a_frame_that_no_header_announces_is_found_by_samples(tmp_path: Path) -> None:
    made = [Section(frames=25, interlaced=True, filters=["setfield=tff"])]
    path = sectioned(tmp_path / "a.ts", Section(frames=25), *made)
    assert probe(path).fields == ("top",)
