"""Codecs and containers: each written again with its own codec where there is an encoder."""

from __future__ import annotations

from fractions import Fraction
from functools import partial

from cases import AV1, FFV1, PRORES, VP9, X264, X265, Case, Make

import synthetic

RATE = Fraction(1, 25)
FRAMES = 45  # cut into two spans where keyframes are 20 frames apart
_VP9 = {"cpu-used": "8", "deadline": "realtime", "g": "20", "crf": "10", "b": "0"}
_AV1 = {"preset": "11", "crf": "20", "g": "20"}
_MPEG = {"g": "20", "b": "4000000"}
_X26 = {"g": "20", "crf": "12"}


def made(codec: str, pix_fmt: str = "yuv420p", **options: str) -> Make:
    """A film of that codec at 25 frames a second."""
    return partial(
        synthetic.film,
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
VP9_FILM = made("libvpx-vp9", **_VP9)
AV1_FILM = made("libsvtav1", **_AV1)
MPEG1 = made("mpeg1video", bf="2", **_MPEG)
MPEG2_FILM = made("mpeg2video", bf="2", **_MPEG)
MPEG4_FILM = made("mpeg4", **_MPEG)
MPEG4_B = made("mpeg4", bf="2", **_MPEG)
MJPEG_FILM = made("mjpeg", "yuvj420p", b="20M")
PRORES_FILM = made("prores_ks", "yuv422p10le")
FFV1_FILM = made("ffv1", g="20")


def _ours(name: str, make: Make, settings: tuple[str, ...], *suffixes: str) -> list[Case]:
    return [Case(f"{name} in {s[1:]}", make, s, settings=settings) for s in suffixes]


def _moved(name: str, make: Make, settings: tuple[str, ...], suffix: str, target: str) -> Case:
    return Case(f"{name} in {suffix[1:]} to {target[1:]}", make, suffix, target, settings)


def _refused(codec: str) -> Case:
    settings = (f"output.codec={codec}",)
    return Case(f"by {codec}", H264, settings=settings, refusal=f"{codec} does not open")


def _never(suffix: str) -> Case:
    known = "cannot tell the container"
    return Case(f"to {suffix[1:]}", PLAIN_H264, ".mp4", suffix, refusal=known)


CASES = [
    *_ours("h264", H264, X264, ".mp4", ".mov", ".mkv", ".ts"),
    _moved("h264", PLAIN_H264, X264, ".avi", ".mkv"),
    _moved("h264", PLAIN_H264, X264, ".avi", ".mp4"),
    _moved("h264 with b-frames", H264, X264, ".avi", ".mp4"),
    _moved("h264", H264, X264, ".flv", ".mp4"),
    _moved("h264", H264, X264, ".flv", ".mkv"),
    *_ours("hevc", HEVC, X265, ".mp4", ".mov", ".mkv", ".ts"),
    _moved("hevc", HEVC, X265, ".flv", ".mp4"),
    *_ours("vp9", VP9_FILM, VP9, ".webm", ".mkv", ".mp4"),
    *_ours("av1", AV1_FILM, AV1, ".mp4", ".mkv", ".webm"),
    _moved("av1", AV1_FILM, AV1, ".flv", ".mp4"),
    *_ours("mpeg2", MPEG2_FILM, X264, ".ts", ".mkv", ".mp4", ".mov"),
    _moved("mpeg2", MPEG2_FILM, X264, ".avi", ".mkv"),
    _moved("mpeg2", MPEG2_FILM, X264, ".mpg", ".ts"),
    *_ours("mpeg4", MPEG4_FILM, X264, ".mp4", ".mov", ".mkv", ".ts"),
    _moved("mpeg4", MPEG4_FILM, X264, ".avi", ".mkv"),
    _moved("mpeg4 with b-frames", MPEG4_B, X264, ".avi", ".mp4"),
    *_ours("mjpeg", MJPEG_FILM, X264, ".mov", ".mp4", ".mkv"),
    _moved("mjpeg", MJPEG_FILM, X264, ".avi", ".mp4"),
    *_ours("prores", PRORES_FILM, PRORES, ".mov", ".mkv"),
    *_ours("ffv1", FFV1_FILM, FFV1, ".mkv", ".mp4"),
    _moved("ffv1", FFV1_FILM, FFV1, ".avi", ".mkv"),
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
    _moved("hevc", HEVC, X265, ".mkv", ".ts"),
    _moved("vp9", VP9_FILM, VP9, ".webm", ".mp4"),
    Case("h264 to webm", H264, ".mp4", ".webm", refusal="webm cannot hold stream 0 (video, h264)"),
    Case("prores to mp4", PRORES_FILM, ".mov", ".mp4", PRORES, refusal="mp4 cannot hold stream 0"),
    Case("ffv1 to mov", FFV1_FILM, ".mkv", ".mov", FFV1, refusal="mov cannot hold stream 0"),
    Case("vp9 to ts", VP9_FILM, ".webm", ".ts", VP9, refusal="mpegts cannot hold stream 0"),
    *(_refused(codec) for codec in ("mpeg2video", "mpeg4")),
    _never(".avi"),
    _never(".flv"),
]
