"""Profiles and levels: what a decoder must be able to do to play what is written.

A level bounds the size of frames, how many come in a second, and what a decoder keeps of them.
Tables: ITU-T H.264, A.3; ITU-T H.265, A.4; AV1, A.3.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from facepipe.datatypes import VideoInfo
from facepipe.video.bitstream import is_sequence_set
from facepipe.video.pixel_formats import pixel_format

#: The highest level that devices commonly decode, of H.264, HEVC and AV1 alike.
HIGHEST_USUAL = "5.2"
#: Pixels of a frame, and in a second, at level 5.2 of HEVC and AV1.
_MOST_PIXELS, _MOST_PIXELS_PER_SECOND = 8_912_896, 1_069_547_520
_NAMES = {"h264": "H.264", "hevc": "HEVC", "av1": "AV1"}
#: Frames that a decoder keeps, as libx264 refers to them by default.
_KEPT_FRAMES = 4
#: Rates are measured over the frames' times, which are rounded.
_ROUNDING = 1.01
#: x264's names of the profiles of H.264 that have less than the High profile, by FFmpeg's names.
_LESSER_PROFILES = {
    "Constrained Baseline": "baseline",
    "Baseline": "baseline",
    "Main": "main",
}
_BASELINE, _MAIN, _EXTENDED = 66, 77, 88
_CONSTRAINT_SET3 = 0x10  # of those profiles: level 1b, where it says 1.1


class Level(NamedTuple):
    """A level of H.264: its bounds, in macroblocks; kbit of the Baseline and Main profiles."""

    name: str
    per_second: int
    frame: int
    kept: int  # of all frames that a decoder keeps
    kilobits: int
    buffer: int  # kbit


LEVELS = (
    Level("1", 1485, 99, 396, 64, 175),
    Level("1b", 1485, 99, 396, 128, 350),
    Level("1.1", 3000, 396, 900, 192, 500),
    Level("1.2", 6000, 396, 2376, 384, 1000),
    Level("1.3", 11880, 396, 2376, 768, 2000),
    Level("2", 11880, 396, 2376, 2000, 2000),
    Level("2.1", 19800, 792, 4752, 4000, 4000),
    Level("2.2", 20250, 1620, 8100, 4000, 4000),
    Level("3", 40500, 1620, 8100, 10000, 10000),
    Level("3.1", 108000, 3600, 18000, 14000, 14000),
    Level("3.2", 216000, 5120, 20480, 20000, 20000),
    Level("4", 245760, 8192, 32768, 20000, 25000),
    Level("4.1", 245760, 8192, 32768, 50000, 62500),
    Level("4.2", 522240, 8704, 34816, 50000, 62500),
    Level("5", 589824, 22080, 110400, 135000, 135000),
    Level("5.1", 983040, 36864, 184320, 240000, 240000),
    Level("5.2", 2073600, 36864, 184320, 240000, 240000),
    Level("6", 4177920, 139264, 696320, 240000, 240000),
    Level("6.1", 8355840, 139264, 696320, 480000, 480000),
    Level("6.2", 16711680, 139264, 696320, 800000, 800000),
)


def h264_options(info: VideoInfo, pix_fmt: str, scale: int) -> tuple[tuple[str, str], ...]:
    """Options of libx264 for the profile and the level that a video needs.

    The source's own, where it is H.264 and they hold what is written; else the lowest level that
    does. x264 refers to as many frames as the level allows.
    """
    found: dict[str, str] = {}
    profile = lesser_profile(info)
    written = pixel_format(pix_fmt)
    layout = (written.model, written.bits, written.shift_x, written.shift_y)
    if profile is not None and layout == ("yuv", 8, 1, 1):
        found["profile"] = profile
    level = h264_level(info, scale)
    if level is not None:
        found["level"] = level.name
        if _macroblocks(info, scale) * _KEPT_FRAMES > level.kept:
            found["b-pyramid"] = "none"  # which needs as many
    return tuple(found.items())


def lesser_profile(info: VideoInfo) -> str | None:
    """The source's profile by x264's name, where it has less than H.264's High profile."""
    return _LESSER_PROFILES.get(info.profile or "") if info.codec == "h264" else None


def profile_note(info: VideoInfo, codec: str, options: Mapping[str, str]) -> str | None:
    """A sentence where H.264 that simple devices play is written with a profile that has more."""
    if codec != "h264" or lesser_profile(info) in (None, options.get("profile")):
        return None
    return f"the video has the profile {info.profile} of H.264, and is written with one of more"


def h264_level(info: VideoInfo, scale: int) -> Level | None:
    """The source's own level of H.264, or the lowest that holds the video; None: none does."""
    frame = _macroblocks(info, scale)
    rate = frame * info.frames_per_second
    side = -(-max(info.width, info.height) * scale // 16)
    holding = [
        level
        for level in LEVELS
        if frame <= level.frame and rate <= level.per_second * _ROUNDING
        if side**2 <= level.frame * 8 and frame <= level.kept
    ]
    own = source_level(info)
    roomy = (level for level in holding if frame * _KEPT_FRAMES <= level.kept)
    return own if own in holding else next(roomy, None)


def _macroblocks(info: VideoInfo, scale: int) -> int:
    return -(-info.width * scale // 16) * -(-info.height * scale // 16)


def source_level(info: VideoInfo) -> Level | None:
    """The level that the source's header states; None: it is not H.264, or that is unknown."""
    units = [unit for unit in info.parameter_sets if is_sequence_set("h264", unit)]
    if info.codec != "h264" or not units or len(units[0]) < 4:
        return None
    name = _level_name(*units[0][1:4])
    return next((level for level in LEVELS if level.name == name), None)


def _level_name(profile: int, constraints: int, number: int) -> str:
    old = profile in (_BASELINE, _MAIN, _EXTENDED)
    if number == 9 or (old and number == 11 and constraints & _CONSTRAINT_SET3):
        return "1b"
    return f"{number // 10}.{number % 10}".removesuffix(".0")


def level_warning(info: VideoInfo, codec: str, scale: int) -> str | None:
    """A sentence where what is written needs a level above HIGHEST_USUAL."""
    width, height = info.width * scale, info.height * scale
    rate = info.frames_per_second
    if codec == "h264":
        level = h264_level(info, scale)
        above = level is None or level.name > HIGHEST_USUAL
    elif codec in _NAMES:
        pixels = width * height
        above = pixels > _MOST_PIXELS or pixels * rate > _MOST_PIXELS_PER_SECOND * _ROUNDING
    else:
        return None
    if not above:
        return None
    return (
        f"{width}x{height} at {rate:.4g} frames per second is above level {HIGHEST_USUAL} of "
        f"{_NAMES[codec]}, which is the highest that most devices decode; a smaller --scale or "
        "--size is played by more"
    )
