"""Decode: every frame once, in order, the same whatever the cuts."""

from __future__ import annotations

import random
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from facepipe.datatypes import Span
from facepipe.video import DecodeReport, decode, probe
from facepipe.video.pixel_formats import views
from media import patches, synthetic
from media.decode_timed import timed_as_decoded
from media.video_checks import at_keyframes, digest, digests, whole


def _open_gop_265(path: Path) -> Path:
    return synthetic.open_gop(path, "libx265")


CLIPS: list[tuple[Callable[[Path], Path], str]] = [
    (synthetic.plain, ".mp4"),
    (synthetic.vfr, ".mp4"),
    (synthetic.late_video, ".mp4"),
    (synthetic.negative_start, ".mp4"),
    (synthetic.odd_size, ".mkv"),
    (synthetic.ten_bit, ".mp4"),
    (synthetic.one_frame, ".mp4"),
    (synthetic.interlaced, ".mp4"),
    (synthetic.open_gop, ".mp4"),
    (synthetic.open_gop, ".mkv"),
    (synthetic.open_gop, ".ts"),
    (_open_gop_265, ".mp4"),
    (synthetic.b_pyramid, ".mp4"),
    (synthetic.b_pyramid, ".ts"),
    (synthetic.transport_stream, ".ts"),
    (synthetic.motion_jpeg, ".avi"),
    (synthetic.vp9, ".webm"),
    (synthetic.lossless_rgb, ".mkv"),
]


@pytest.mark.parametrize(("make", "suffix"), CLIPS)
def test_cuts_change_nothing(make: Callable[[Path], Path], suffix: str, tmp_path: Path) -> None:
    path = make(tmp_path / f"clip{suffix}")
    info = probe(path)
    expected = digests(path, info, [whole(info)])
    assert [pts for pts, _ in expected] == list(info.pts)
    assert digests(path, info, at_keyframes(info)) == expected
    inner = random.Random(5).sample(info.pts[1:], min(4, len(info.pts) - 1))
    cuts = [info.pts[0], *sorted(inner), info.pts[-1] + 1]
    anywhere = [Span(n, a, b) for n, (a, b) in enumerate(pairwise(cuts))]
    assert digests(path, info, anywhere) == expected


def test_threads_change_nothing(tmp_path: Path) -> None:
    path = synthetic.b_pyramid(tmp_path / "a.mp4")
    info = probe(path)
    one = [(f.pts, f.planes[0].tobytes()) for f in decode(info, whole(info))]
    two = [(f.pts, f.planes[0].tobytes()) for f in decode(info, whole(info), threads=2)]
    assert one == two


@pytest.mark.parametrize("beyond", [0, 1, 5, 100])
def test_frames_beyond_the_stop(beyond: int, tmp_path: Path) -> None:
    path = synthetic.plain(tmp_path / "a.mp4")
    info = probe(path)
    frames = decode(info, Span(1, 5120, 10240), beyond=beyond)
    assert [f.pts for f in frames] == list(info.pts[10 : 20 + min(beyond, 10)])


@pytest.mark.parametrize("before", [0, 1, 5, 100])
def test_frames_before_the_start(before: int, tmp_path: Path) -> None:
    path = synthetic.plain(tmp_path / "a.mp4")
    info = probe(path)
    frames = decode(info, Span(1, 5120, 10240), before=before, beyond=1)
    assert [f.pts for f in frames] == list(info.pts[10 - min(before, 10) : 21])


def test_planes_are_the_decoders_own_memory(tmp_path: Path) -> None:
    path = synthetic.ten_bit(tmp_path / "a.mp4")
    info = probe(path)
    frame = next(decode(info, whole(info)))
    assert isinstance(frame.handle, av.VideoFrame)
    assert frame.planes[0].dtype == np.uint16
    assert not frame.planes[0].flags.writeable
    for plane, own in zip(frame.planes, views(frame.handle), strict=True):
        assert np.shares_memory(plane, own)
    assert frame.colour.matrix == "bt2020"


def test_packed_rgb_comes_as_planes_with_the_same_values(tmp_path: Path) -> None:
    path = synthetic.lossless_rgb(tmp_path / "a.mkv")
    info = probe(path)
    for number, frame in enumerate(decode(info, whole(info))):
        assert frame.format.name == "gbrp"
        assert np.array_equal(np.stack(frame.planes, axis=-1), synthetic.picture(number))


def test_an_odd_size_keeps_its_edge(tmp_path: Path) -> None:
    path = synthetic.odd_size(tmp_path / "a.mkv")
    info = probe(path)
    frame = next(decode(info, whole(info)))
    assert [p.shape for p in frame.planes] == [(65, 97), (33, 49), (33, 49)]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_frames_whose_packets_have_times_of_decoding_are_all_there(
    suffix: str, tmp_path: Path
) -> None:
    """Of such a copy from AVI, a third of the frames was out of order, and left out."""
    make = partial(synthetic.video, frames=45, options={"bf": "3", "g": "15"})
    right = probe(make(tmp_path / "a.mp4"))
    truth = [digest(frame)[1] for frame in decode(right, whole(right))]
    info = probe(timed_as_decoded(tmp_path / f"b{suffix}", make=make))
    expected = list(zip(info.pts, truth, strict=True))
    assert info.timed_as_decoded
    assert not right.timed_as_decoded
    assert "packets state when they are decoded" in info.warnings[0]
    assert (info.closed_gops, info.damage) == ((), ())
    assert [digest(f) for f in decode(info, whole(info))] == expected
    for span in at_keyframes(info):
        within = [(pts, hash) for pts, hash in expected if span.start <= pts < span.stop]
        assert [digest(f) for f in decode(info, span, threads=2)] == within


def test_damage_is_told_and_decoding_goes_on(tmp_path: Path) -> None:
    path = synthetic.damaged(tmp_path / "bad.ts", synthetic.b_pyramid(tmp_path / "a.ts"))
    info = probe(path)
    report = DecodeReport()
    times = [f.pts for f in decode(info, whole(info), report=report)]
    assert len(times) > 40
    assert times == sorted(set(times))
    assert set(times) <= set(info.pts)
    told = report.damage(info.pts)
    lost = sum(one.frames for one in told if one.what == "do not decode")
    assert lost == len(info.pts) - len(times)
    assert told


@pytest.mark.parametrize(
    "parameters",
    [
        "keyint=20:bframes=3",
        "keyint=12:min-keyint=12:scenecut=0:bframes=5:b-adapt=0:b-pyramid=normal",
        "keyint=8:min-keyint=8:scenecut=0:bframes=3:b-adapt=0:open-gop=1",
    ],
)
def test_pictures_of_avi_are_timed_by_their_order(parameters: str, tmp_path: Path) -> None:
    """AVI tells when packets are decoded: shown at those times, a third of them went lost."""
    how = {"pts": range(45), "time_base": Fraction(1, 25)}
    options = {"preset": "medium", "bf": "3", "x264-params": f"{parameters}:asm=0"}
    avi = probe(synthetic.video(tmp_path / "a.avi", options=options, **how))  # type: ignore[arg-type]
    mkv = probe(synthetic.video(tmp_path / "a.mkv", options=options, **how))  # type: ignore[arg-type]
    truth = [digest(frame)[1] for frame in decode(mkv, whole(mkv))]
    expected = list(zip(avi.pts, truth, strict=True))
    report = DecodeReport()
    assert [digest(f) for f in decode(avi, whole(avi), report=report)] == expected
    for span in at_keyframes(avi):
        within = [(pts, hash) for pts, hash in expected if span.start <= pts < span.stop]
        assert [digest(f) for f in decode(avi, span, threads=2, report=report)] == within
    assert report.damage(avi.pts) == ()


def test_pictures_without_a_time_get_the_one_between(tmp_path: Path) -> None:
    make = partial(synthetic.video, pts=range(30), time_base=Fraction(1, 25))
    whole_video = probe(make(tmp_path / "a.ts"))
    info = probe(patches.timeless(tmp_path / "b.ts", make=make))
    assert info.pts == whole_video.pts
    assert "20 video packets carry no time" in " ".join(info.warnings)
    expected = digests(tmp_path / "a.ts", whole_video, [whole(whole_video)])
    assert digests(tmp_path / "b.ts", info, [whole(info)]) == expected
    late = Span(1, info.pts[11], info.pts[-1] + 1)
    assert [digest(frame) for frame in decode(info, late, before=2)] == expected[9:]


def test_alpha_beside_the_picture_is_decoded(tmp_path: Path) -> None:
    info = probe(synthetic.see_through(tmp_path / "a.webm"))
    assert info.pix_fmt == "yuva420p"
    for number, frame in enumerate(decode(info, whole(info))):
        truth = synthetic.shape(number)[..., 3].astype(int)
        assert len(frame.planes) == 4
        assert np.abs(frame.planes[3].astype(int) - truth).mean() < 4
