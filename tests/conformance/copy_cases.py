"""Videos as they are written when nobody says how: what does not change is copied."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conformance import codec_cases, format_cases, stream_cases, time_cases
from conformance.cases import DEFAULT, Case, Make
from media import portraits, synthetic

_RATE = Fraction(2, 25)
_FRAMES, _SEEN = 60, range(24, 36)  # 4.8 s, of which one has faces
_FAST_VP9 = {"cpu-used": "8", "deadline": "realtime", "crf": "12", "b": "0", "g": "10"}
_OPEN_GOP = {
    "g": "10",
    "bf": "3",
    "preset": "medium",
    "crf": "16",
    "x264-params": "open-gop=1:keyint=10:min-keyint=10:scenecut=0:bframes=3:b-adapt=0:asm=0",
}
_CLOSED = {"g": "10", "crf": "14", "x265-params": "open-gop=0:log-level=none:pools=1"}
_UNEVEN = [0, *np.cumsum(np.random.default_rng(5).integers(500, 1600, _FRAMES - 1)).tolist()]
#: Videos that are written with their own codec in their own container.
_WHOLE = (
    *("h264 in mp4", "h264 in mov", "h264 in mkv", "h264 in ts"),
    *("hevc in mp4", "hevc in mkv", "hevc in ts"),
    *("vp9 in webm", "vp9 in mp4", "av1 in mp4", "av1 in mkv", "av1 in webm"),
    *("prores in mov", "prores in mkv", "ffv1 in mkv", "ffv1 in mp4"),
    *("h264 in avi to mkv", "h264 in flv to mp4", "h264 in mp4 to mkv", "h264 in mkv to mp4"),
    *("h264 in ts to mp4", "hevc in mkv to ts", "vp9 in webm to mp4"),
    *("h264 in ts to mkv", "hevc in flv to mp4", "ffv1 in avi to mkv"),
    *("x264 yuv444p10le", "x265 yuv420p12le", "vp9 alpha in webm", "prores 4:4:4:4 with alpha"),
    *("ffv1 yuva444p10le with alpha", "bt709 vp9", "bt2020 ffv1", "full range yuvj420p"),
    *("pq with mastering and levels in mp4", "pq with mastering and levels in mkv"),
    *("pq with levels by av1", "chroma at the top left h264", "primaries alone"),
    *("vfr in mp4", "vfr in mkv", "vfr in ts", "vfr vp9 in webm", "vfr flv to mkv"),
    *("29.97 frames", "23.976 frames in ts", "late video in mp4", "late video in ts"),
    *("negative start in mp4", "negative start mp4 to mkv", "gap of three seconds in mkv"),
    *("b-pyramid", "b-pyramid in ts", "open gop", "open gop hevc", "open gop in ts"),
    *("edit list that cuts the beginning", "edit list that cuts both ends"),
    *("edit list with a pause first", "edit list with a piece taken out"),
    *("edit list with a piece twice", "edit list mp4 to mkv", "duplicate pts in mkv"),
    *("missing pts in ts", "missing pts in ts with b-frames", "clock wraps in ts"),
    *("h264 with b-frames in avi to mp4", "one frame in mp4", "one frame in webm"),
    *("interlaced top first", "interlaced bottom first in mov", "interlaced ffv1"),
    *("telecine h264", "aspect in mkv", "aspect hevc in mov", "aspect in ts"),
    *("turned by 90 in mp4", "turned by 90 in mkv", "mirrored", "size that is no multiple of 16"),
    *("odd size ffv1", "odd size h264 4:4:4", "16x16"),
    *("all at once in mkv", "all at once in mp4", "sound longer than the pictures in mp4"),
    *("timecode in mov", "two video streams in mp4", "faces with closed captions"),
)
#: What is encoded all the same: times that packets do not have, or pictures that are hidden.
_ENCODED = (
    *("h264 in avi to mkv", "h264 with b-frames in avi to mp4", "duplicate pts in mkv"),
    *("missing pts in ts", "missing pts in ts with b-frames", "negative start in mp4"),
    "negative start mp4 to mkv",
    *("edit list that cuts the beginning", "edit list that cuts both ends"),
    *("edit list with a pause first", "edit list with a piece taken out"),
    *("edit list with a piece twice", "edit list mp4 to mkv"),
)


def _whole() -> Iterator[Case]:
    known = {
        case.name: case
        for cases in (
            codec_cases.CASES,
            format_cases.CASES,
            time_cases.TIMES,
            time_cases.SHAPES,
            stream_cases.SOUNDS,
            stream_cases.REST,
        )
        for case in cases
    }
    for name in _WHOLE:
        if name in known:
            yield replace(
                known[name],
                name=f"{name}, untouched",
                settings=DEFAULT,
                copied="" if name in _ENCODED else "all",
                lossy=False,
            )


def _scene(number: int) -> NDArray[np.uint8]:
    """A moving gradient, and two faces in the middle of the video."""
    picture = synthetic.picture(number, portraits.WIDTH, portraits.HEIGHT) // 2 + 60
    if number in _SEEN:
        picture = portraits.scene(number)
    return picture


def _visited(codec: str = "libx264", pix_fmt: str = "yuv420p", **how: Any) -> Make:
    settings: dict[str, Any] = {
        "codec": codec,
        "pix_fmt": pix_fmt,
        "pts": range(_FRAMES),
        "time_base": _RATE,
        "size": (portraits.WIDTH, portraits.HEIGHT),
        "pictures": _scene,
        "options": {"g": "10", "crf": "14"} if codec.startswith("libx26") else {"g": "10"},
        "audio": 1,
    }
    return partial(synthetic.video, **(settings | how))


def _joined(name: str, make: Make, suffix: str, target: str | None = None) -> Case:
    return Case(
        f"{name}, faces in its middle", make, suffix, target, DEFAULT, faces=True, copied="some"
    )


def visited(name: str, suffix: str) -> Case:
    """A video whose header says 12000/1001 frames per second, with faces in its middle."""
    options = {"g": "10", "crf": "14"}
    make = _visited(time_base=Fraction(1001, 12000), options=options)
    return Case(
        name, make, suffix, None, DEFAULT, faces=True, copied="some", shows=("stated rate",)
    )


_MUTE: dict[str, Any] = {"audio": 0}
CASES = [
    *_whole(),
    *(_joined(f"h264 in {s[1:]}", _visited(), s) for s in (".mp4", ".mov", ".mkv", ".ts")),
    replace(_joined("h264 mp4 to ts", _visited(), ".mp4", ".ts"), limits=time_cases.LATER),
    _joined("h264 ts to mp4", _visited(), ".ts", ".mp4"),
    replace(_joined("h264 with open groups", _visited(options=_OPEN_GOP), ".mkv"), copied=""),
    _joined("h264 10 bit", _visited(pix_fmt="yuv420p10le"), ".mp4"),
    _joined("h264 vfr", _visited(pts=_UNEVEN, time_base=synthetic.TICKS), ".mp4"),
    _joined("h264 interlaced", _visited(interlaced=True, filters=["setfield=tff"]), ".mkv"),
    _joined("h264 full range", _visited(pix_fmt="yuvj420p", colour=(2, 1, 1, 1)), ".mp4"),
    _joined("hevc in mkv", _visited("libx265", options=_CLOSED), ".mkv"),
    _joined("hevc in ts", _visited("libx265", options=_CLOSED), ".ts"),
    _joined("av1 in mkv", _visited("libsvtav1", options={"g": "10", "preset": "11"}, **_MUTE),
            ".mkv"),
    _joined("vp9 in webm", _visited("libvpx-vp9", options=_FAST_VP9, **_MUTE), ".webm"),
    _joined("vp9 in mp4", _visited("libvpx-vp9", options=_FAST_VP9), ".mp4"),
    _joined("prores in mov", _visited("prores_ks", "yuv422p10le", options={}), ".mov"),
    _joined("prores 4:4:4 in mov", _visited("prores_ks", "yuv444p10le",
            options={"profile": "4444"}), ".mov"),
]  # fmt: skip
