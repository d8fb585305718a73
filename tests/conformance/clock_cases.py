"""Clocks that begin anew, jump, wrap, or begin anywhere; recordings cut in a group."""

from __future__ import annotations

from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

from conformance import clips
from conformance.cases import DEFAULT, VP9, X264, Case, Make
from conformance.time_cases import heard, video
from media.recordings import end_to_end, fragmented, joined, without_head, wrong_time

_COPY_TIMES = {"mpegts_copyts": "1"}
_WRAP = 2**33 / 90000  # seconds
_ANEW = "the clock begins anew at"
_MIDDLE = "refer to pictures before it"
_MPEG2: dict[str, Any] = {"codec": "mpeg2video", "pts": range(20), "time_base": Fraction(1, 25),
          "options": {"b": "2000000", "g": "10", "bf": "2"}}  # fmt: skip
_VP8: dict[str, Any] = {
    "codec": "libvpx",
    "options": {"cpu-used": "8", "deadline": "realtime", "g": "10"},
}


def _at(seconds: float, frames: int = 20, sound: str = "aac", **how: Any) -> Make:
    """A recording with sound whose clock begins at `seconds`."""
    settings: dict[str, object] = {"options": {"bf": "2", "g": "10"}, **how}
    return heard(
        video(frames=frames, **settings),
        clips.Sound(sound, 8000 if sound == "aac" else 48000, start=seconds, seconds=frames / 25),
        shift=seconds,
        options=_COPY_TIMES,
        through=".mkv" if "codec" in how else ".mp4",
    )


def _silent(seconds: float, frames: int = 20, **how: Any) -> Make:
    settings: dict[str, object] = {"options": {"bf": "2", "g": "10"}, **how}
    return lambda path: clips.assemble(
        path, video(frames=frames, **settings), shift=seconds, options=_COPY_TIMES
    )


def _anew(
    name: str,
    suffix: str,
    *makes: Make,
    target: str | None = None,
    settings: tuple[str, ...] = X264,
    alike: str | None = None,
) -> Case:
    """Recordings one behind the other, held against the same end to end; in `alike` files."""

    def source(path: Path) -> Path:
        return joined(path, *makes)

    def like(path: Path) -> Path:
        return end_to_end(path.with_suffix(alike or suffix), *makes)

    return Case(name, source, suffix, target, settings, like=like, tells=_ANEW)


def _cut(path: Path) -> Path:
    return without_head(path, make=video(options={"bf": "2", "g": "10"}), packets=4)


def _rest(path: Path) -> Path:
    """What `_cut` holds that decodes."""
    return without_head(path, make=video(options={"bf": "2", "g": "10"}), packets=10)


_FRAGMENTED = partial(fragmented, make=_at(0))
CASES = [
    _anew("joined ts", ".ts", _at(1.4), _at(1.4)),
    _anew("joined ts to mp4", ".ts", _at(1.4), _at(1.4), target=".mp4"),
    _anew("joined ts to mkv, copied", ".ts", _at(1.4), _at(1.4), target=".mkv", settings=DEFAULT),
    _anew("three joined ts of different lengths", ".ts", _at(3), _at(1, 10), _at(0.2, 30)),
    _anew("joined ts without sound", ".ts", _silent(2), _silent(2), target=".mp4"),
    _anew("joined ts, sound from the second on", ".ts", _silent(2), _at(2), target=".mp4"),
    _anew("joined ts, sound from the second on, to mkv", ".ts", _silent(2), _at(2), target=".mkv",
          settings=DEFAULT),
    _anew("joined ts, sound in the first alone", ".ts", _at(2), _silent(2)),
    _anew("clock an hour back in ts", ".ts", _at(36000), _at(32400), target=".mp4"),
    _anew("clock an hour ahead in ts", ".ts", _at(32400), _at(36000)),
    _anew("clock from 20 hours to 0 in ts", ".ts", _at(72000), _at(0.5), target=".mkv"),
    _anew("joined dvd cells", ".vob", _at(0.5, sound="mp2", **_MPEG2),
          _at(0.5, sound="mp2", **_MPEG2), target=".mkv"),
    _anew("joined mpg to ts", ".mpg", _at(9, sound="mp2", **_MPEG2),
          _at(0.5, sound="mp2", **_MPEG2), target=".ts", alike=".ts"),
    _anew("joined webm", ".webm", _at(0, sound="libopus", **_VP8),
          _at(0, sound="libopus", **_VP8), target=".mkv"),
    _anew("joined mkv", ".mkv", _silent(0), _silent(0), alike=".mp4"),
    _anew("joined flv", ".flv", _at(0), _at(0), target=".mp4"),
    _anew("joined fragments", ".mp4", _FRAGMENTED, _FRAGMENTED),
    Case("one wrong time in ts", partial(wrong_time, make=_silent(2), number=13, seconds=3600),
         ".ts", ".mp4", like=_silent(2)),
    Case("one wrong time beside sound", partial(wrong_time, make=_at(2), number=13, seconds=3600),
         ".ts", ".mp4", like=_at(2)),
    Case("clock at ten hours to mp4", _at(36000), ".ts", ".mp4",
         tells="the clock of the source begins at 35999.872 s"),
    Case("clock at ten hours in ts", _at(36000), ".ts"),
    Case("clock at ten hours to mkv, copied", _at(36000), ".ts", ".mkv", DEFAULT),
    Case("mkv that begins late", _at(7.5), ".mkv"),
    Case("mkv that begins late to mp4", _at(7.5), ".mkv", ".mp4"),
    Case("webm that begins late", _at(50, sound="libopus", **_VP8), ".webm", ".webm", VP9,
         lossy=True),
    Case("mp4 that begins late", _at(7.5)),
    Case("fragments that begin late", partial(fragmented, make=_at(7.5)), ".mp4"),
    Case("mp4 that begins late to ts", _at(7.5), ".mp4", ".ts"),
    Case("clock that wraps to mp4", _at(_WRAP - 0.4), ".ts", ".mp4"),
    Case("clock that wraps to mkv", _at(_WRAP - 0.4), ".ts", ".mkv"),
    Case("clock that wraps in ts", _at(_WRAP - 0.4), ".ts"),
    Case("clock that wraps, copied", _at(_WRAP - 0.4), ".ts", settings=DEFAULT),
    Case("begins in the middle of a group", _cut, ".ts", ".mp4", like=_rest, tells=_MIDDLE),
    Case("begins in the middle of a group in ts", _cut, ".ts", like=_rest, tells=_MIDDLE),
    Case("begins in the middle of a group, copied", _cut, ".ts", ".mkv", DEFAULT, like=_rest,
         tells=_MIDDLE),
]  # fmt: skip
