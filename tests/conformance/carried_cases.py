"""What pictures and containers carry along that FFmpeg does not hand on."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import partial
from typing import Any

from conformance.cases import AV1, DEFAULT, VP9, X264, X265, Case, Make, refused
from media import portraits, synthetic
from media.user_data import Say, with_user_data

_X265 = {"preset": "ultrafast", "crf": "10", "x265-params": "log-level=none:pools=1"}
_SVT = {"preset": "12", "crf": "20"}
_MPEG2 = partial(
    synthetic.film, codec="mpeg2video", pts=range(8), time_base=Fraction(1, 25),
    options={"b": "4000000"},
)  # fmt: skip
_LOST = "lost: the user data of its pictures"


def _each(number: int) -> str:
    return f"{number} " + "x" * (300 * (number % 3))


def _late(number: int) -> str | None:
    return f"{number}" if number > 8 else None


def _spoken(
    codec: str = "libx264", say: Say = _each, *, registered: bool = False, **how: Any
) -> Make:
    options = {"libx265": _X265, "libsvtav1": _SVT}.get(codec, {"bf": "2"})
    film = partial(synthetic.film, codec=codec, options=options, frames=12, **how)
    return lambda path: with_user_data(path, film, say, registered=registered)


def _lost(name: str, make: Make, suffix: str, **how: Any) -> list[Case]:
    case = Case(name, make, suffix, shows=("user data",), **how)
    return refused(case, "mp4 cannot hold the", user_data=_LOST)


_SHOWN: dict[str, Any] = {"shows": ("user data",)}
CASES: Sequence[Case] = [
    Case("user data in mp4", _spoken(), **_SHOWN),
    Case("user data in ts", _spoken(), ".ts", **_SHOWN),
    Case("user data that begins late in mkv", _spoken(say=_late), ".mkv", **_SHOWN),
    Case("registered user data mov to ts", _spoken(registered=True), ".mov", ".ts", **_SHOWN),
    Case("user data hevc", _spoken("libx265"), ".mkv", settings=X265, **_SHOWN),
    Case("user data hevc to h264", _spoken("libx265"), ".mkv", ".mp4", settings=X264, **_SHOWN),
    Case("user data h264 to hevc", _spoken(registered=True), ".ts", ".mkv", settings=X265,
         **_SHOWN),
    Case("registered user data av1", _spoken("libsvtav1", registered=True), ".mkv", settings=AV1,
         lossy=True, **_SHOWN),
    Case("user data of a film enlarged", _spoken(), scale=2, **_SHOWN),
    Case("user data in flv to mkv", _spoken(), ".flv", ".mkv", **_SHOWN),
    *_lost("user data to vp9", _spoken(), ".mp4", settings=VP9),
    Case("user data of mpeg2", lambda path: with_user_data(path, _MPEG2, _each, registered=False),
         ".mkv", limits={"user data": _LOST}, **_SHOWN),
    Case("user data, some of it copied",
         lambda path: with_user_data(path, portraits.film, _each, registered=False),
         settings=DEFAULT, **_SHOWN),
]  # fmt: skip
