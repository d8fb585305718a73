"""Exports of recorders: bare streams, and streams in the formats of recorders."""

from __future__ import annotations

from fractions import Fraction
from functools import partial
from typing import Any

from conformance.cases import AV1, DEFAULT, X264, X265, Case, Make
from media import recorders, synthetic

_TIMELESS = dict.fromkeys(("pts", "duration", "streams", "sync"), "has no times")


def _video(codec: str, **how: Any) -> Make:
    given: dict[str, Any] = {"time_base": Fraction(1, 25), "pts": range(30)} | how
    return partial(synthetic.video, codec=codec, **given)


def _bare(name: str, codec: str, suffix: str, settings: tuple[str, ...] = X264, **how: Any) -> Case:
    return Case(f"bare {name}", _video(codec, **how), suffix, ".mkv", settings, limits=_TIMELESS)


_MPEG = {"b": "4000000", "g": "6", "bf": "2"}

CASES = [
    _bare("h264", "libx264", ".264"),
    _bare("h264 without b-frames", "libx264", ".h264", options={"bf": "0"}),
    _bare("h264 to mp4 by default", "libx264", ".h264", DEFAULT),
    _bare("hevc", "libx265", ".265", X265),
    _bare("hevc named .hevc", "libx265", ".hevc", X265),
    _bare("mjpeg", "mjpeg", ".mjpeg", pix_fmt="yuvj420p"),
    _bare("mpeg2", "mpeg2video", ".m2v", options=_MPEG),
    _bare("mpeg4", "mpeg4", ".m4v", options=_MPEG, format="m4v"),
    _bare("av1", "libsvtav1", ".obu", AV1, options={"preset": "11"}),
    Case("dav", partial(recorders.dhav, make=_video("libx264", options={"bf": "0"})), ".dav",
         ".mkv", tells="(2026-11-30 09:00:00 by the recorder's clock), the output at 0"),
    Case("dav with b-frames", partial(recorders.dhav, make=_video("libx264")), ".dav", ".mkv"),
]  # fmt: skip
