"""Keyframes: where the source has them, or as often as asked for, by every encoder."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from facepipe.datatypes import Span, VideoInfo
from facepipe.video import EncodeSettings, decode, encode, probe
from facepipe.video.bitstream import is_random_access
from facepipe.video.encoders.settings import encoder_options, with_distance
from facepipe.video.keyframes import (
    keyframes_note,
    late_keyframe,
    longest_distance,
    planned_keyframes,
    with_groups_within,
)
from media import synthetic
from media.video_checks import whole

_PLACES = (0, 7, 15, 21, 36)
_FAST = {
    "libx264": (("preset", "ultrafast"),),
    "libx265": (("preset", "ultrafast"),),
    "libsvtav1": (("preset", "11"),),
    "libvpx-vp9": (("cpu-used", "8"), ("deadline", "realtime")),
}


@pytest.fixture
def info(tmp_path: Path) -> VideoInfo:
    """Of 40 frames, 25 per second, with keyframes at uneven places."""
    source = synthetic.video(tmp_path / "a.mp4", pts=range(40), time_base=Fraction(1, 25))
    found = probe(source)
    step = found.pts[1]
    return replace(found, keyframe_pts=tuple(step * number for number in _PLACES))


def numbers(info: VideoInfo, pts: set[int]) -> list[int]:
    return sorted(info.pts.index(time) for time in pts)


def written(info: VideoInfo, settings: EncodeSettings, folder: Path) -> list[tuple[int, bytes]]:
    """The number in time and the data of the keyframes of a part."""
    part = folder / "part.nut"
    encode(decode(info, whole(info)), part, info=info, span=whole(info), settings=settings)
    found = probe(part)
    with av.open(str(part)) as container:
        return [
            (found.pts.index(packet.pts), bytes(packet))
            for packet in container.demux(video=0)
            if packet.is_keyframe and packet.pts is not None
        ]


@pytest.mark.parametrize("codec", _FAST)
def test_every_encoder_has_them_where_the_source_has(
    codec: str, info: VideoInfo, tmp_path: Path
) -> None:
    made = written(info, EncodeSettings(codec, _FAST[codec]), tmp_path)
    assert {*_PLACES} <= {number for number, _ in made}
    name = {"libx264": "h264", "libx265": "hevc", "libsvtav1": "av1"}.get(codec, "vp9")
    assert all(is_random_access(name, data, None) for _, data in made)  # groups are closed


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_a_cut_gets_one_too(codec: str, info: VideoInfo, tmp_path: Path) -> None:
    def scene(number: int) -> np.ndarray:
        drawn = synthetic.picture(number, 320, 192)
        return drawn if number < 30 else 255 - drawn[::-1, ::-1] // 2

    source = synthetic.video(
        tmp_path / "cut.mp4", pts=range(40), time_base=Fraction(1, 25), pictures=scene,
        size=(320, 192), options={"g": "250", "x264-params": "scenecut=0:asm=0"},
    )  # fmt: skip
    info = probe(source)
    assert len(info.keyframe_pts) == 1
    settings = EncodeSettings(codec, (("preset", "medium"),))
    assert [number for number, _ in written(info, settings, tmp_path)] == [0, 30]


@pytest.mark.parametrize("seconds", [0.2, 0.5, 1.0])
def test_asked_for_they_are_no_further_apart(
    seconds: float, info: VideoInfo, tmp_path: Path
) -> None:
    settings = EncodeSettings("libx264", _FAST["libx264"], keyframe_seconds=seconds)
    made = [number for number, _ in written(info, settings, tmp_path)]
    most = round(seconds * 25)
    assert made == [*range(0, 40, most)]


def test_none_apart_makes_each_frame_one(info: VideoInfo) -> None:
    assert numbers(info, planned_keyframes(info, whole(info), "h264", 0)) == [*range(40)]


def test_a_span_begins_with_one(info: VideoInfo) -> None:
    span = Span(0, info.pts[5], info.pts[30])
    assert numbers(info, planned_keyframes(info, span, "h264", None)) == [5, 7, 15, 21]
    assert numbers(info, planned_keyframes(info, span, "h264", 0.4)) == [5, 15, 25]


def test_a_source_of_keyframes_alone_says_nothing_to_another_codec(info: VideoInfo) -> None:
    alone = replace(info, keyframe_pts=info.pts)
    assert numbers(info, planned_keyframes(alone, whole(info), "h264", None)) == [*range(40)]
    assert numbers(info, planned_keyframes(alone, whole(info), "hevc", None)) == [0]
    told = keyframes_note(alone, "hevc", None)
    assert told is not None
    assert "one every 2 s" in told
    assert keyframes_note(alone, "h264", None) is None
    assert keyframes_note(alone, "hevc", 0) is None
    assert keyframes_note(alone, "ffv1", None) is None
    assert keyframes_note(info, "hevc", None) is None
    prores = replace(info, codec="prores")
    assert numbers(info, planned_keyframes(prores, whole(info), "h264", None)) == [0]


def test_where_frames_come_unevenly_the_nearest_is_taken(tmp_path: Path) -> None:
    info = probe(synthetic.vfr(tmp_path / "a.mp4"))
    seconds = info.seconds / 4
    chosen = sorted(planned_keyframes(info, whole(info), "h264", seconds))
    steps = [float((b - a) * info.time_base) for a, b in pairwise(chosen)]
    longest = max(b - a for a, b in pairwise(info.pts)) * info.time_base
    assert len(chosen) > 2
    assert all(step <= seconds + float(longest) for step in steps)


def test_a_keyframe_in_the_last_second(info: VideoInfo) -> None:
    end = info.pts[-1] + 1
    assert late_keyframe(info, end) == ()  # the source has one
    rare = replace(info, keyframe_pts=info.pts[:1])
    assert late_keyframe(rare, end) == (info.pts[14],)
    assert late_keyframe(rare, info.pts[31]) == (info.pts[5],)
    assert late_keyframe(rare, info.pts[20]) == ()  # it lasts no longer


def test_more_keyframes_are_made(info: VideoInfo, tmp_path: Path) -> None:
    settings = EncodeSettings("libx264", _FAST["libx264"], keyframes=(info.pts[30],))
    assert 30 in [number for number, _ in written(info, settings, tmp_path)]


def test_groups_that_are_longer_are_not_copied(info: VideoInfo) -> None:
    gops = tuple((info.pts[a], info.pts[b]) for a, b in [(0, 10), (10, 15), (15, 39)])
    info = replace(info, closed_gops=gops)
    assert with_groups_within(info, 0.4).closed_gops == gops[:2]
    assert with_groups_within(info, 0.2).closed_gops == gops[1:2]


def test_encoders_place_no_more_where_few_are_asked_for(info: VideoInfo) -> None:
    keyframes = planned_keyframes(info, whole(info), "h264", None)
    assert longest_distance(info, keyframes, whole(info)) == 15
    rare = EncodeSettings("libx264", keyframe_seconds=20)
    assert dict(with_distance(rare, 500).options) == {"g": "500"}
    assert with_distance(EncodeSettings("libx264"), 500).options == ()
    assert dict(with_distance(EncodeSettings("h264_nvenc"), 15).options) == {"g": "15"}
    own = EncodeSettings("h264_nvenc", (("g", "7"),))
    assert with_distance(own, 15) == own
    assert encoder_options(EncodeSettings("hevc_nvenc"), None)["forced-idr"] == "1"
