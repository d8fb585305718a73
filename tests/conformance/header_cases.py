"""Videos whose codec headers change on the way: other parameter sets, other sample rates."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from conformance import time_cases
from conformance.cases import DEFAULT, X264, X265, Case, Make, refused
from media import portraits, synthetic
from media.recordings import joined
from media.rejoined import headers_repeated, rejoined

_FRAMES = 50  # of each of two videos: spans begin within the second
_X264 = {"g": "15", "crf": "14", "bf": "2"}
_X264_OTHER = {"g": "15", "crf": "14", "bf": "0", "x264-params": "cabac=0:asm=0:ref=2"}
_X265 = {"g": "15", "crf": "14", "x265-params": "log-level=none:pools=1:open-gop=0"}
_X265_OTHER = {**_X265, "x265-params": "log-level=none:pools=1:open-gop=0:ctu=16:bframes=0"}
_AV1 = {"preset": "11", "crf": "20", "g": "15"}
_SLOW: dict[str, Any] = {"audio": 1, "audio_rate": 8000}


def _one(**how: Any) -> Make:
    given: dict[str, Any] = {"frames": _FRAMES, "options": _X264}
    return partial(synthetic.video, **(given | how))


def _two(second: dict[str, Any], *, through: str = ".mp4", **how: Any) -> Make:
    """Two videos in one; `how` of both, `second` what the second has otherwise."""
    return partial(rejoined, videos=(_one(**how), _one(**(how | second))), through=through)


H264 = _two({"options": _X264_OTHER})
HEVC = _two({"options": _X265_OTHER}, codec="libx265", options=_X265)
AV1 = _two({"options": _AV1 | {"crf": "30"}}, codec="libsvtav1", options=_AV1)
HEARD = _two({"options": _X264_OTHER, "audio_rate": 16000}, **_SLOW)
TWICE = partial(headers_repeated, video=_one(options=_X264_OTHER, audio=1, audio_rate=44100))
#: Faces in the first video alone: what would be copied is the second.
SEEN = partial(
    rejoined,
    videos=(
        partial(portraits.video, audio=0),
        _one(size=(portraits.WIDTH, portraits.HEIGHT), options=_X264_OTHER),
    ),
)


def _case(
    name: str, make: Make, suffix: str = ".mp4", target: str | None = None, **how: Any
) -> Case:
    where = suffix[1:] if target is None else f"{suffix[1:]} to {target[1:]}"
    given: dict[str, Any] = {"settings": DEFAULT}
    return Case(f"{name} in {where}", make, suffix, target, **(given | how))


def _other_rate(path: Path) -> Path:
    """A transport stream, in which each packet of AAC says its rate."""
    return joined(path, _one(**_SLOW), _one(**(_SLOW | {"audio_rate": 16000})))


def _cases() -> list[Case]:
    return [
        Case("faces before another header in mp4", SEEN, settings=DEFAULT, faces=True),
        _case("other header of h264", H264, copied="some"),
        _case("other header of h264", H264, ".mov", ".mkv", copied="some"),
        _case("other header of h264", H264, ".flv", ".mp4", copied="some"),
        _case("other header of h264", H264, ".flv", ".mkv", settings=X264),
        _case("other header of h264", H264, ".mp4", ".ts", copied="some"),
        _case("other parameter sets of h264", H264, ".ts", copied="all"),
        _case("other parameter sets of h264", H264, ".ts", ".mp4", copied="some"),
        _case("other header of hevc", HEVC),
        _case("other header of hevc", HEVC, ".flv", ".mkv", copied="some"),
        _case("other header of hevc", HEVC, ".flv", ".mov", settings=X265),
        _case("other parameter sets of hevc", HEVC, ".ts", ".mkv"),
        _case("other header of av1", AV1, ".mp4", ".mkv"),
        _case("headers once more", TWICE, ".flv", ".mkv", copied="all"),
        _case("headers once more", TWICE, ".flv", ".mp4", copied="all"),
        _case("headers once more", TWICE, ".flv", ".ts", settings=X264),
        _case("other header of aac", HEARD),
        _case("other header of aac", HEARD, ".flv", ".mov"),
        _case("other header of aac", HEARD, ".mp4", ".ts", limits=time_cases.LATER),
        *(
            _case(
                "other rate of aac",
                _other_rate,
                ".ts",
                target,
                refusal=f"{muxer} cannot hold stream 1 (audio, aac) from ",
            )
            for target, muxer in ((".mkv", "matroska"), (".mp4", "mp4"))
        ),
        *refused(
            _case("other header of aac", HEARD, ".flv", ".mkv"),
            "matroska cannot hold stream 1 (audio, aac) from 2.",
            streams="lost: stream 1 (audio, aac) from 2.",
        ),
    ]


CASES = _cases()
