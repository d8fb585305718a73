"""Profiles and levels: the source's own, or the lowest that holds the video."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import av
import pytest

from facepipe.configs.settings import OutputSettings
from facepipe.datatypes import VideoInfo
from facepipe.video import EncodeSettings, decode, encode, probe
from facepipe.video.bitstream import is_sequence_set, nal_units
from facepipe.video.encoders.levels import (
    h264_level,
    h264_options,
    level_warning,
    profile_note,
    source_level,
)
from facepipe.video.encoders.quality import encoder_options_of
from facepipe.video.encoders.selection import choose_encoder
from facepipe.video.encoders.settings import configure, find_encoder
from media import synthetic
from media.video_checks import whole

PROFILES = {"baseline": "Constrained Baseline", "main": "Main", "high": "High"}


def source(path: Path, profile: str = "high", **options: str) -> VideoInfo:
    given = {"preset": "fast", "profile": profile, "bf": "0" if profile == "baseline" else "2"}
    return probe(synthetic.video(path, frames=12, options=given | options))


def encoded(info: VideoInfo, folder: Path, *more: tuple[str, str]) -> VideoInfo:
    """A part of the video, encoded as is chosen for it."""
    chosen = choose_encoder(info, ".mp4")
    settings = EncodeSettings(chosen.codec, (*chosen.options, ("preset", "medium"), *more))
    part = folder / "part.nut"
    encode(decode(info, whole(info)), part, info=info, span=whole(info), settings=settings)
    return probe(part)


@pytest.mark.parametrize("profile", PROFILES)
def test_the_profile_stays(profile: str, tmp_path: Path) -> None:
    info = source(tmp_path / "a.mp4", profile)
    assert info.profile == PROFILES[profile]
    assert encoded(info, tmp_path).profile == info.profile


@pytest.mark.parametrize("level", ["1.1", "3", "4"])
def test_the_level_stays_where_it_holds_the_video(level: str, tmp_path: Path) -> None:
    info = source(tmp_path / "a.mp4", level=level)
    own = source_level(info)
    assert own is not None
    assert own.name == level
    made = encoded(info, tmp_path, ("preset", "veryslow"))
    assert source_level(made) == own


def test_a_level_keeps_slow_presets_from_more_frames_than_decoders_keep(tmp_path: Path) -> None:
    info = replace(source(tmp_path / "a.mp4", level="3.1"), width=1280, height=720)
    assert h264_level(info, 1) == source_level(info)
    options = (*h264_options(info, "yuv420p", 1), ("preset", "veryslow"))
    settings = EncodeSettings("libx264", options)
    context = find_encoder("libx264").create("video")
    assert isinstance(context, av.VideoCodecContext)
    configure(context, settings, info, "yuv420p")
    context.options = dict(settings.options)
    context.open()
    unit = next(u for u in nal_units(context.extradata or b"", None) if is_sequence_set("h264", u))
    assert unit[3] == 31


@pytest.mark.parametrize(
    ("size", "rate", "scale", "level"),
    [
        ((640, 360), 30, 1, "3"),
        ((640, 360), 30, 2, "3.1"),
        ((640, 360), 30, 4, "5"),
        ((1280, 720), 60, 1, "3.2"),
        ((1920, 1080), 30, 1, "4"),
        ((1920, 1080), 60, 1, "4.2"),
        ((1920, 1080), 60, 2, "5.2"),
        ((1920, 1080), 30, 2, "5.1"),
        ((1920, 1080), 30, 4, "6"),
        ((20000, 16), 30, 1, None),
    ],
)
def test_the_lowest_level_that_holds_a_video(
    size: tuple[int, int], rate: int, scale: int, level: str | None, tmp_path: Path
) -> None:
    made = probe(synthetic.plain(tmp_path / "a.mp4", frames=3))
    base = made.time_base.denominator
    pts = tuple(base * number // rate for number in range(rate))
    info = replace(made, width=size[0], height=size[1], codec="vp9", pts=pts)
    found = h264_level(info, scale)
    assert (found and found.name) == level
    warned = level_warning(info, "h264", scale)
    assert (warned is not None) == (level is None or level > "5.2")
    assert (level_warning(info, "hevc", scale) is not None) == (scale == 4 and size[0] == 1920)
    assert level_warning(info, "ffv1", scale) is None


def test_level_1b_is_told_from_1_1(tmp_path: Path) -> None:
    info = source(tmp_path / "a.mp4", "baseline", level="1b")
    found = source_level(info)
    assert found is not None
    assert found.name == "1b"


def test_lossless_video_has_no_lesser_profile(tmp_path: Path) -> None:
    info = source(tmp_path / "a.mp4", "baseline")
    forced = choose_encoder(info, ".mp4").options
    assert dict(forced)["profile"] == "baseline"
    options, _ = encoder_options_of(
        OutputSettings(options={"qp": "0"}), "libx264", forced, named=True
    )
    assert "profile" not in dict(options)
    note = profile_note(info, "h264", dict(options))
    assert note is not None
    assert "Constrained Baseline" in note
    assert profile_note(info, "h264", dict(forced)) is None
    assert profile_note(info, "hevc", {}) is None
    assert profile_note(source(tmp_path / "b.mp4"), "h264", {}) is None


def test_ten_bits_get_no_lesser_profile(tmp_path: Path) -> None:
    info = source(tmp_path / "a.mp4", "main")
    assert "profile" not in dict(h264_options(info, "yuv420p10le", 1))
    assert "profile" not in dict(h264_options(info, "yuv444p", 1))
