"""Clocks that begin anew: times rise, nothing is lost, and pictures and sound stay in step."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import partial
from itertools import pairwise
from pathlib import Path

import av
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conformance import clips
from facepipe.datatypes import VideoInfo
from facepipe.video import DecodeReport, decode, probe
from facepipe.video.clock import timed
from facepipe.video.pyav.mpegts import changes_codec
from facepipe.video.sources import open_source
from media import recordings, synthetic
from media.video_checks import at_keyframes, digests, whole

Make = Callable[[Path], Path]
WRAP = 2**33
_COPY_TIMES = {"mpegts_copyts": "1"}


def recording(path: Path, *, start: float = 0.0, frames: int = 12, **how: object) -> Path:
    """Pictures and a tone whose clock begins at `start`."""
    video = partial(synthetic.video, frames=frames, options={"g": "6", "bf": "2"}, **how)
    tone = clips.Sound(start=start, seconds=frames / 25)
    return clips.assemble(path, video, tone, shift=start, options=_COPY_TIMES)


def at(start: float, frames: int = 12) -> Make:
    return partial(recording, start=start, frames=frames)


def times(info: VideoInfo) -> dict[int, list[Fraction]]:
    """When each packet of each stream is shown, as readers of a source see it."""
    found: dict[int, list[Fraction]] = {}
    with open_source(info.path) as opened:
        for packet in timed(opened, info.clock):
            if packet.size and packet.pts is not None:
                found.setdefault(packet.stream.index, []).append(packet.pts * packet.time_base)
    return found


def raw_times(path: Path) -> dict[int, list[Fraction]]:
    found: dict[int, list[Fraction]] = {}
    with av.open(str(path)) as opened:
        for packet in opened.demux():
            if packet.size and packet.pts is not None:
                found.setdefault(packet.stream.index, []).append(packet.pts * packet.time_base)
    return found


def test_what_a_transport_stream_lists_later_takes_nothing_from_before(tmp_path: Path) -> None:
    """FFmpeg would take the later codec for all of the stream, and nothing before it decoded."""
    other = partial(synthetic.video, frames=12, codec="mpeg2video", options={"b": "2000000"},
                    time_base=Fraction(1, 25), pts=range(12),
                    container_options={"tables_version": "5"})  # fmt: skip
    plain = partial(synthetic.video, frames=60, options={"g": "20", "bf": "0"})
    path = recordings.joined(tmp_path / "a.ts", plain, other)
    assert changes_codec(path.read_bytes())
    info = probe(path)
    pts, report = decoded(info)
    assert info.codec == "h264"
    assert len(pts) >= 59  # the last one's packet ends in the other recording
    assert report.damage(info.pts)
    again = recordings.joined(tmp_path / "b.ts", plain, plain)
    assert not changes_codec(again.read_bytes())
    assert not changes_codec(synthetic.plain(tmp_path / "c.mp4").read_bytes())


def decoded(info: VideoInfo) -> tuple[list[int], DecodeReport]:
    report = DecodeReport()
    return [frame.pts for frame in decode(info, whole(info), report=report)], report


@pytest.mark.parametrize("suffix", [".ts", ".flv", ".mkv", ".mp4"])
def test_spans_of_joined_recordings_are_the_whole(suffix: str, tmp_path: Path) -> None:
    make = partial(recordings.fragmented, make=at(0)) if suffix == ".mp4" else at(0)
    info = probe(recordings.joined(tmp_path / f"a{suffix}", make, make))
    assert len(info.pts) == len(set(info.pts)) == 24
    assert [joint.stream for joint in info.clock.joints] == [None]
    assert info.damage == ()
    shown, report = decoded(info)
    assert shown == list(info.pts)
    assert report.damage(info.pts) == ()
    assert digests(tmp_path, info, at_keyframes(info)) == digests(tmp_path, info, [whole(info)])


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_whatever_the_clocks_show_times_rise_in_step(tmp_path: Path, data: st.DataObject) -> None:
    second = data.draw(st.sampled_from([0.0, 0.2, 7200.0, 36000.0, 95000.0]))
    first = data.draw(st.sampled_from([second, 3.0, 50000.0, 95443.0]).filter(
        lambda start: start >= second or second - start > 20))  # fmt: skip
    lengths = data.draw(st.tuples(*[st.integers(4, 20)] * 2))
    info = probe(
        recordings.joined(tmp_path / "a.ts", at(first, lengths[0]), at(second, lengths[1]))
    )
    assert len(info.pts) == sum(lengths)
    found = times(info)
    for shown in found.values():
        assert all(a < b for a, b in pairwise(sorted(shown)))
    # Each recording begins with sound as much earlier or later as it did alone.
    alone = raw_times(at(second, lengths[1])(tmp_path / "b.ts"))
    count = len(alone[1])
    own = min(alone[0]) - min(alone[1])
    joined = min(found[0][lengths[0] :]) - min(found[1][-count:])
    assert abs(own - joined) <= Fraction(1, 90000)
    assert info.seconds < sum(lengths) / 25 + 1


def test_an_ordinary_source_is_not_touched(tmp_path: Path) -> None:
    for suffix in (".ts", ".mkv", ".mp4", ".flv"):
        path = at(1.4)(tmp_path / f"a{suffix}")
        info = probe(path)
        assert not info.clock.shifts
        assert not info.clock.joints
        assert times(info) == raw_times(path)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_frames_at_uneven_distances_are_no_joints(suffix: str, tmp_path: Path) -> None:
    slides = [0, 9, 18, 4000, 4009, 90000, 90009, 2_000_000, 2_000_009]
    info = probe(synthetic.video(tmp_path / f"a{suffix}", pts=slides, time_base=Fraction(1, 20000)))
    assert not info.clock.joints
    assert not info.clock.shifts


def test_a_pause_is_kept_where_frames_go_on_across_it(tmp_path: Path) -> None:
    pts = [512 * n + (12800 * 60 if n >= 15 else 0) for n in range(30)]
    info = probe(synthetic.video(tmp_path / "a.ts", pts=pts))
    assert info.seconds > 60
    assert not info.clock.joints


def test_a_stream_alone_that_pauses_is_no_joint(tmp_path: Path) -> None:
    pts = [512 * n + (12800 * 30 if n >= 10 else 0) for n in range(20)]
    video = partial(synthetic.video, pts=pts, options={"g": "10", "bf": "0"})
    path = clips.assemble(tmp_path / "a.ts", video, clips.Sound(seconds=31), options=_COPY_TIMES)
    info = probe(path)
    assert not info.clock.joints
    assert times(info) == raw_times(path)


def test_a_wrong_time_is_mended_and_told(tmp_path: Path) -> None:
    make = at(2, 30)
    right = probe(make(tmp_path / "b.ts"))
    info = probe(recordings.wrong_time(tmp_path / "a.ts", make=make, number=9, seconds=3600))
    assert info.pts == right.pts
    assert info.clock.strays == 1
    assert info.warnings == (
        "1 packet has a time far from those around; it was worked out from them",
    )


def test_a_wrap_is_no_joint(tmp_path: Path) -> None:
    start = WRAP / 90000 - 0.25
    info = probe(at(start)(tmp_path / "a.ts"))
    assert not info.clock.joints
    assert info.clock.begin < 0
    assert len(info.pts) == 12


def test_the_clock_of_a_video_begins_with_what_is_heard(tmp_path: Path) -> None:
    late = clips.assemble(tmp_path / "a.mkv", synthetic.plain, clips.Sound(start=7.5), shift=8.0)
    assert probe(late).clock.begin == Fraction(15, 2)  # behind the samples that players skip
    assert probe(synthetic.plain(tmp_path / "b.mp4")).clock.begin == 0
    assert probe(synthetic.late_video(tmp_path / "c.mp4")).clock.begin < Fraction(1, 100)


def test_many_joints_are_told_in_one_line(tmp_path: Path) -> None:
    info = probe(recordings.joined(tmp_path / "a.ts", *[at(1, 6)] * 9))
    assert len(info.pts) == 54
    (told,) = info.warnings
    assert told.startswith("the clock begins anew at 0.")
    assert " and 2 more; " in told
