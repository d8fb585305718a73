"""Depths, chroma, colour models, alpha, colour tags and light levels."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

from conformance.cases import (
    AV1,
    FFV1,
    PRORES,
    PRORES_4444,
    VP9,
    X264,
    X264_RGB,
    X265,
    Case,
    Make,
    refused,
)
from media import synthetic
from media.patches import coloured, encoded_by_program

_WRITTEN = "is written as"
_LOST_ALPHA, _LOST_DEPTH = "lost: the alpha", "lost: the depth"
_LOST_LIGHT = "lost: the content light level, the mastering display"
_MS = Fraction(1, 1000)
# range, matrix, primaries and transfer by H.273
BT601_PAL, BT601_NTSC, BT709 = (1, 5, 5, 6), (1, 6, 6, 6), (1, 1, 1, 1)
PQ, HLG, BT2020 = (1, 9, 9, 16), (1, 9, 9, 18), (1, 9, 9, 14)
FULL, FULL_NTSC = (2, 1, 1, 1), (2, 6, 6, 6)
_DISPLAY = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"
_SVT = "G(0.265,0.69)B(0.15,0.06)R(0.68,0.32)WP(0.3127,0.329)L(1000.0,0.005)"
_TOP_LEFT = {"chroma_sample_location": "topleft"}
_FAST_VP9 = {"cpu-used": "8", "deadline": "realtime", "crf": "10", "b": "0"}


def _video(codec: str, pix_fmt: str, **how: Any) -> Make:
    options = {"crf": "8"} if codec.startswith("libx26") else {}
    options |= how.pop("options", {})
    made: dict[str, Any] = {"frames": 10, "options": options} | how
    return partial(synthetic.video, codec=codec, pix_fmt=pix_fmt, **made)


def _kept(codec: str, settings: tuple[str, ...], suffix: str, *formats: str) -> list[Case]:
    short = codec.removeprefix("lib").removesuffix("_ks")
    return [Case(f"{short} {f}", _video(codec, f), suffix, settings=settings) for f in formats]


def _tagged(name: str, colour: tuple[int, int, int, int], pix_fmt: str = "yuv420p") -> list[Case]:
    make = _video("libx264", pix_fmt, colour=colour)
    hevc = _video("libx265", pix_fmt, colour=colour)
    return [Case(f"{name} h264", make), Case(f"{name} hevc", hevc, ".mkv", settings=X265)]


def x265(light: str) -> dict[str, str]:
    """Options that make libx265 write levels of light."""
    return {"x265-params": f"{light}:log-level=none:pools=1"}


def _hdr(name: str, colour: tuple[int, int, int, int], light: str, suffix: str) -> Case:
    make = _video("libx265", "yuv420p10le", colour=colour, options=x265(light))
    return Case(f"{name} in {suffix[1:]}", make, suffix, settings=X265, shows=("light",))


def _alpha(codec: str, pix_fmt: str, **options: str) -> Make:
    return _video(codec, pix_fmt, options=options, pictures=synthetic.shape)


def _by_program(codec: str, pix_fmt: str, *options: str) -> Callable[[Path], Path]:
    return partial(encoded_by_program, codec=codec, pix_fmt=pix_fmt, options=options)


MASTERED = f"master-display={_DISPLAY}:max-cll=1000,400"
_AV1_LIGHT = {
    "preset": "11",
    "crf": "10",
    "svtav1-params": f"mastering-display={_SVT}:content-light=1000,400:lp=1",
}

CASES = [
    *_kept("libx264", X264, ".mp4", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le",
           "yuv444p10le", "nv12", "gray", "gray10le"),
    *_kept("libx264rgb", X264_RGB, ".mkv", "bgr0", "rgb24"),
    *_kept("libx265", X265, ".mp4", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le",
           "yuv444p10le", "yuv420p12le", "yuv422p12le", "yuv444p12le", "gray", "gray10le",
           "gray12le", "gbrp", "gbrp10le", "gbrp12le"),
    *_kept("ffv1", FFV1, ".mkv", "yuv422p", "yuv444p", "yuv411p", "yuv410p", "yuv440p",
           "yuv420p10le", "yuv420p12le", "yuv422p16le", "yuv444p16le", "gray", "gray10le",
           "gray12le", "gray16le", "bgr0", "gbrp10le", "gbrp12le", "gbrp16le"),
    *(Case(f"ffv1 {f} with alpha", _alpha("ffv1", f), ".mkv", settings=FFV1)
      for f in ("yuva420p", "yuva444p10le", "bgra", "gbrap12le")),
    *_kept("libvpx-vp9", VP9, ".webm", "yuv422p", "yuv444p", "yuv440p", "gbrp"),
    Case("vp9 alpha in webm", synthetic.see_through, ".webm", settings=VP9),
    Case("vp9 alpha in mkv to ffv1", synthetic.see_through, ".mkv", settings=FFV1),
    Case("vp9 10 bit to hevc", _by_program("libvpx-vp9", "yuv420p10le"), ".webm", ".mkv", X265,
         program="ffmpeg"),
    Case("vp9 12 bit 4:4:4 to hevc", _by_program("libvpx-vp9", "yuv444p12le"), ".webm", ".mkv",
         X265, program="ffmpeg"),
    *refused(Case("vp9 10 bit to vp9", _by_program("libvpx-vp9", "yuv420p10le"), ".webm", None,
                  VP9, program="ffmpeg"), "webm cannot hold the depth", pixel_format=_LOST_DEPTH),
    Case("av1 10 bit", _video("libsvtav1", "yuv420p10le", options={"preset": "11", "crf": "10"}),
         settings=AV1),
    Case("av1 12 bit 4:2:2 to hevc", _by_program("libaom-av1", "yuv422p12le", "-cpu-used", "8"),
         ".mkv", None, X265, program="ffmpeg"),
    *refused(Case("av1 12 bit 4:2:2 to av1",
                  _by_program("libaom-av1", "yuv422p12le", "-cpu-used", "8"), ".mkv", None, AV1,
                  program="ffmpeg"), "matroska cannot hold the depth", pixel_format=_LOST_DEPTH),
    Case("av1 4:4:4 to h264", _by_program("libaom-av1", "yuv444p", "-cpu-used", "8"), ".mkv",
         program="ffmpeg"),
    Case("prores 4:4:4:4 with alpha", _alpha("prores_ks", "yuva444p10le", profile="4444"), ".mov",
         settings=PRORES_4444),
    Case("prores 4:4:4", _video("prores_ks", "yuv444p10le", options={"profile": "4444"}), ".mov",
         settings=PRORES_4444),
    *refused(Case("prores 4444 in mov to h264",
                  _alpha("prores_ks", "yuva444p10le", profile="4444"), ".mov", ".mp4", X264),
             "mp4 cannot hold the alpha", pixel_format=_LOST_ALPHA, pictures=_LOST_ALPHA),
    Case("mpeg2 4:2:2", _video("mpeg2video", "yuv422p", options={"b": "9000000"},
         time_base=Fraction(1, 25), pts=range(10)), ".ts"),
    Case("mjpeg 4:4:4", _video("mjpeg", "yuvj444p", options={"b": "30M"}), ".mov"),
    Case("png rgb in mov to rgb h264", _video("png", "rgb24"), ".mov", ".mkv", X264_RGB),
    Case("png rgba in mov to ffv1", _alpha("png", "rgba"), ".mov", ".mkv", FFV1),
    *refused(Case("png rgba in mov to h264", _alpha("png", "rgba"), ".mov", ".mp4", X264,
                  limits={"colour": _WRITTEN}), "mp4 cannot hold the alpha",
             pixel_format=_LOST_ALPHA, pictures=_LOST_ALPHA),
    Case("rgb ffv1 to h264", _video("ffv1", "bgr0"), ".mkv", ".mp4", X264,
         limits=dict.fromkeys(("pixel format", "colour"), _WRITTEN)),
    *refused(Case("12 bit ffv1 to h264", _video("ffv1", "yuv420p12le"), ".mkv", ".mp4", X264),
             "mp4 cannot hold the depth", pixel_format=_LOST_DEPTH),
    Case("raw uyvy in mov to ffv1", _video("rawvideo", "uyvy422"), ".avi", ".mkv", FFV1),
    Case("palette in gif", _video("gif", "rgb8"), ".gif", ".mkv", FFV1),
    *_tagged("bt601 pal", BT601_PAL),
    *_tagged("bt601 ntsc", BT601_NTSC),
    *_tagged("bt709", BT709),
    *_tagged("bt2020 sdr", BT2020, "yuv420p10le"),
    *_tagged("full range bt709", FULL),
    *_tagged("full range bt601", FULL_NTSC),
    Case("full range yuvj420p", _video("libx264", "yuvj420p", colour=FULL)),
    Case("full range 10 bit", _video("libx264", "yuv420p10le", colour=FULL)),
    Case("untagged", _video("libx264", "yuv420p")),
    Case("untagged 10 bit hevc", _video("libx265", "yuv420p10le"), ".mkv", settings=X265),
    Case("untagged 720p", _video("libx264", "yuv420p", size=(1280, 720), frames=3)),
    Case("range alone", _video("libx264", "yuv420p", colour=(2, 2, 2, 2))),
    Case("primaries alone", _video("libx264", "yuv420p", colour=(0, 2, 9, 2))),
    Case("bt709 vp9", _video("libvpx-vp9", "yuv420p", options=_FAST_VP9, colour=BT709), ".webm",
         settings=VP9),
    Case("bt709 full av1", _video("libsvtav1", "yuv420p", options={"preset": "11", "crf": "10"},
                                 colour=FULL), ".mkv", settings=AV1),
    Case("bt709 prores", _video("prores_ks", "yuv422p10le", colour=BT709), ".mov", settings=PRORES),
    Case("bt2020 ffv1", _video("ffv1", "yuv420p10le", colour=BT2020), ".mkv", settings=FFV1),
    Case("chroma at the top left hevc", _video("libx265", "yuv420p10le", colour=PQ,
         options=_TOP_LEFT), settings=X265),
    Case("chroma at the top left h264", _video("libx264", "yuv420p", options=_TOP_LEFT)),
    *(_hdr("pq with mastering and levels", PQ, MASTERED, s) for s in (".mp4", ".mkv", ".mov")),
    _hdr("pq with mastering and levels", PQ, MASTERED, ".ts"),
    _hdr("pq with levels", PQ, "max-cll=1000,400", ".mp4"),
    _hdr("hlg with mastering", HLG, f"master-display={_DISPLAY}", ".mp4"),
    Case("hlg h264", _video("libx264", "yuv420p10le", colour=HLG)),
    Case("pq with levels by h264", _video("libx264", "yuv420p10le", colour=PQ, options={
        "x264-params": f"mastering-display={_DISPLAY}:cll=1000,400:asm=0"}), shows=("light",)),
    Case("pq with levels by av1", _video("libsvtav1", "yuv420p10le", colour=PQ, options=_AV1_LIGHT),
         ".mkv", settings=AV1, shows=("light",)),
    *refused(Case("pq by vp9 in webm", partial(coloured, make=_video("libvpx-vp9", "yuv420p",
                  options=_FAST_VP9, colour=PQ)), ".webm", settings=VP9, shows=("light",)),
             "webm cannot hold the content light level", light=_LOST_LIGHT),
    *refused(Case("pq hevc to ffv1", _video("libx265", "yuv420p10le", colour=PQ,
                  options=x265(MASTERED)), ".mp4", ".mkv", FFV1, shows=("light",)),
             "matroska cannot hold the content light level", light=_LOST_LIGHT),
]  # fmt: skip
