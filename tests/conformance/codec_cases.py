"""Codecs and containers: each written again with its own codec where there is an encoder."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import partial
from pathlib import Path

from conformance.cases import AV1, DEFAULT, FFV1, PRORES, VP9, X264, X265, Case, Make
from media import synthetic

RATE = Fraction(1, 25)
FRAMES = 45  # cut into two spans where keyframes are 20 frames apart
_NO_ROOM = " cannot hold stream 0 (video"
_VP9 = {"cpu-used": "8", "deadline": "realtime", "g": "20", "crf": "10", "b": "0"}
_AV1 = {"preset": "11", "crf": "20", "g": "20"}
_MPEG = {"g": "20", "b": "4000000"}
_X26 = {"g": "20", "crf": "12"}


def made(codec: str, pix_fmt: str = "yuv420p", **options: str) -> Callable[..., Path]:
    """A video of that codec at 25 frames a second."""
    return partial(
        synthetic.video,
        codec=codec,
        pix_fmt=pix_fmt,
        pts=range(FRAMES),
        time_base=RATE,
        options=options,
    )


H264 = made("libx264", **_X26)
HEVC = made("libx265", **_X26)
PLAIN_H264 = made("libx264", bf="0", **_X26)  # for containers that keep decoding times alone
VP8 = made("libvpx", g="20", b="2M", crf="10")
VP9_VIDEO = made("libvpx-vp9", **_VP9)
AV1_VIDEO = made("libsvtav1", **_AV1)
MPEG1 = made("mpeg1video", bf="2", **_MPEG)
MPEG2_VIDEO = made("mpeg2video", bf="2", **_MPEG)
MPEG4_VIDEO = made("mpeg4", **_MPEG)
MPEG4_B = made("mpeg4", bf="2", **_MPEG)
MJPEG_VIDEO = made("mjpeg", "yuvj420p", b="20M")
PRORES_VIDEO = made("prores_ks", "yuv422p10le")
FFV1_VIDEO = made("ffv1", g="20")


def _ours(name: str, make: Make, settings: tuple[str, ...], *suffixes: str) -> list[Case]:
    return [Case(f"{name} in {s[1:]}", make, s, settings=settings) for s in suffixes]  # fmt: skip


def _moved(name: str, make: Make, settings: tuple[str, ...], suffix: str, target: str) -> Case:
    return Case(f"{name} in {suffix[1:]} to {target[1:]}", make, suffix, target, settings)


def _never(suffix: str) -> Case:
    known = "cannot tell the container"
    return Case(f"to {suffix[1:]}", PLAIN_H264, ".mp4", suffix, refusal=known)


def _by_default(name: str, make: Make, suffix: str, target: str, words: str = "") -> Case:
    """As nobody says anything about: the codec stays, or the program says which one comes."""
    limits = {"codec": words} if words else {}
    where = f"{suffix[1:]} to {target[1:]}" if suffix != target else suffix[1:]
    return Case(f"{name} in {where} by default", make, suffix, target, DEFAULT, limits)


CASES = [
    *_ours("h264", H264, X264, ".mp4", ".mov", ".mkv", ".ts"),
    _moved("h264", PLAIN_H264, X264, ".avi", ".mkv"),
    _moved("h264", PLAIN_H264, X264, ".avi", ".mp4"),
    _moved("h264 with b-frames", H264, X264, ".avi", ".mp4"),
    _moved("h264", H264, X264, ".flv", ".mp4"),
    _moved("h264", H264, X264, ".flv", ".mkv"),
    *_ours("hevc", HEVC, X265, ".mp4", ".mov", ".mkv", ".ts"),
    _moved("hevc", HEVC, X265, ".flv", ".mp4"),
    *_ours("vp9", VP9_VIDEO, VP9, ".webm", ".mkv", ".mp4"),
    *_ours("av1", AV1_VIDEO, AV1, ".mp4", ".mkv", ".webm"),
    _moved("av1", AV1_VIDEO, AV1, ".flv", ".mp4"),
    *_ours("mpeg2", MPEG2_VIDEO, X264, ".ts", ".mkv", ".mp4", ".mov"),
    _moved("mpeg2", MPEG2_VIDEO, X264, ".avi", ".mkv"),
    _moved("mpeg2", MPEG2_VIDEO, X264, ".mpg", ".ts"),
    *_ours("mpeg4", MPEG4_VIDEO, X264, ".mp4", ".mov", ".mkv", ".ts"),
    _moved("mpeg4", MPEG4_VIDEO, X264, ".avi", ".mkv"),
    _moved("mpeg4 with b-frames", MPEG4_B, X264, ".avi", ".mp4"),
    *_ours("mjpeg", MJPEG_VIDEO, X264, ".mov", ".mp4", ".mkv"),
    _moved("mjpeg", MJPEG_VIDEO, X264, ".avi", ".mp4"),
    *_ours("prores", PRORES_VIDEO, PRORES, ".mov", ".mkv"),
    *_ours("ffv1", FFV1_VIDEO, FFV1, ".mkv", ".mp4"),
    _moved("ffv1", FFV1_VIDEO, FFV1, ".avi", ".mkv"),
    _moved("vp8", VP8, VP9, ".webm", ".webm"),
    _moved("vp8", VP8, X264, ".webm", ".mkv"),
    _moved("flv1", made("flv", **_MPEG), X264, ".flv", ".mp4"),
    _moved("mpeg1", MPEG1, X264, ".mpg", ".mp4"),
    _moved("wmv2", made("wmv2", **_MPEG), X264, ".wmv", ".mkv"),
    _moved("h263", partial(made("h263", **_MPEG), size=(128, 96)), X264, ".3gp", ".mp4"),
    _moved("h264", H264, X264, ".mp4", ".mkv"),
    _moved("h264", H264, X264, ".mkv", ".mp4"),
    _moved("h264", H264, X264, ".ts", ".mp4"),
    _moved("h264", H264, X264, ".ts", ".mkv"),
    _moved("h264", H264, X264, ".ts", ".m2ts"),
    _moved("hevc", HEVC, X265, ".mkv", ".ts"),
    _moved("vp9", VP9_VIDEO, VP9, ".webm", ".mp4"),
    Case("h264 to webm", H264, ".mp4", ".webm", refusal=f"webm{_NO_ROOM}"),
    Case("prores to mp4", PRORES_VIDEO, ".mov", ".mp4", PRORES, refusal=f"mp4{_NO_ROOM}"),
    Case("ffv1 to mov", FFV1_VIDEO, ".mkv", ".mov", FFV1, refusal=f"mov{_NO_ROOM}"),
    Case("vp9 to ts", VP9_VIDEO, ".webm", ".ts", VP9, refusal=f"mpegts{_NO_ROOM}"),
    Case("by mpeg2video", H264, settings=("output.codec=mpeg2video",),
         refusal="mpeg2video does not open"),
    Case("by mpeg4", H264, settings=("output.codec=mpeg4", "output.options.b=9000000")),
    Case("by mjpeg", MJPEG_VIDEO, ".mov", None,
         ("output.codec=mjpeg", "output.options.b=30000000")),
    _by_default("hevc", HEVC, ".mkv", ".mp4"),
    _by_default("av1", AV1_VIDEO, ".mkv", ".mp4"),
    _by_default("vp9", VP9_VIDEO, ".webm", ".mkv"),
    _by_default("ffv1", FFV1_VIDEO, ".avi", ".mkv"),
    _by_default("prores", PRORES_VIDEO, ".mov", ".mkv"),
    _by_default("mpeg2", MPEG2_VIDEO, ".ts", ".ts", "is written as h264"),
    _by_default("mpeg4", MPEG4_VIDEO, ".avi", ".mp4", "is written as h264"),
    _by_default("mjpeg", MJPEG_VIDEO, ".avi", ".mkv", "is written as h264"),
    _by_default("vp8", VP8, ".webm", ".webm", "is written as vp9"),
    _by_default("h264", H264, ".mkv", ".webm", "is written as vp9"),
    _by_default("vp9", VP9_VIDEO, ".webm", ".ts", "is written as h264"),
    _by_default("av1", AV1_VIDEO, ".mp4", ".mov", "is written as h264"),
    _by_default("prores", PRORES_VIDEO, ".mov", ".mp4", "is written as h264"),
    _by_default("ffv1", FFV1_VIDEO, ".mkv", ".mov", "is written as h264"),
    _by_default("uncompressed", made("v210", "yuv422p10le"), ".mov", ".mov", "is written as"),
    _by_default("png", made("png", "rgb24"), ".mov", ".mkv", "is written as h264"),
    _by_default("gif", made("gif", "rgb8"), ".gif", ".mp4", "is written as ffv1"),
    _never(".avi"),
    _never(".flv"),
]  # fmt: skip
