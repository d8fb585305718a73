"""Packets that state when they are decoded, in containers that say when frames are shown."""

from __future__ import annotations

from fractions import Fraction
from functools import partial

from conformance.cases import DEFAULT, X264, X265, Case, Make
from conformance.time_cases import video
from media.decode_timed import packed, timed_as_decoded

_H264 = video(options={"bf": "3", "g": "15"}, frames=45)
_HEVC = video(
    codec="libx265",
    options={"x265-params": "log-level=none:pools=1:keyint=15:open-gop=0"},
    frames=45,
)
_MPEG4 = video(
    codec="mpeg4",
    pts=range(45),
    time_base=Fraction(1, 25),
    options={"bf": "1", "g": "15", "b": "4000000"},
)


def _case(name: str, make: Make, suffix: str, like: Make, **how: object) -> Case:
    given: dict[str, object] = {"settings": X264, "like": like} | how
    return Case(name, make, suffix, tells="packets state when they are decoded", **given)  # type: ignore[arg-type]


CASES = [
    *(
        _case(f"times of decoding in {s[1:]}", partial(timed_as_decoded, make=_H264), s, _H264)
        for s in (".mp4", ".mov", ".mkv")
    ),
    _case("times of decoding in ts", partial(timed_as_decoded, make=_H264), ".ts", _H264,
          target=".mp4"),
    _case("times of decoding, as nobody says anything", partial(timed_as_decoded, make=_H264),
          ".mp4", _H264, settings=DEFAULT),
    _case("times of decoding hevc", partial(timed_as_decoded, make=_HEVC), ".mkv", _HEVC,
          settings=X265, lossy=True),
    _case("packed mpeg4 in avi to mkv", partial(packed, make=_MPEG4), ".avi", _MPEG4,
          target=".mkv"),
    _case("packed mpeg4 in avi to mp4", partial(packed, make=_MPEG4), ".avi", _MPEG4,
          target=".mp4"),
]  # fmt: skip
