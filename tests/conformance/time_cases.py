"""Times, fields, groups of pictures, sizes and orientations."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import partial
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from conformance import clips
from conformance.cases import FFV1, PRORES, VP9, X264, X265, Case, Make, refused
from media import synthetic
from media.patches import edited, encoded_by_program, pulldown, timeless

_RNG = np.random.default_rng(7)
UNEVEN = [0, *np.cumsum(_RNG.integers(100, 2000, 29)).tolist()]  # ticks of 1/12800
UNEVEN_MS = [round(t / 12.8) for t in UNEVEN]
_MS = Fraction(1, 1000)
_BASE = Fraction(1, 25)
_NTSC, _VIDEO = Fraction(1001, 30000), Fraction(1001, 24000)
_FAST_VP9 = {"cpu-used": "8", "deadline": "realtime", "crf": "10", "b": "0"}
_TFF, _BFF = ["setfield=tff"], ["setfield=bff"]
#: Two frames of every four are made of the fields of two pictures, as on NTSC tape.
_TELECINE = ["fps=24", "telecine=pattern=23", *_TFF]
_COPY_TIMES = {"mpegts_copyts": "1"}


def video(**how: object) -> Make:
    """A video of synthetic pictures."""
    return partial(synthetic.video, **how)  # type: ignore[arg-type]


def heard(make: Make, *sounds: clips.Extra, **how: object) -> Make:
    """The video with a tone beside it, or with what is given."""
    return lambda path: clips.assemble(path, make, *(sounds or (clips.Sound(),)), **how)  # type: ignore[arg-type]


def _interlaced(filters: list[str], codec: str = "libx264", **how: object) -> Make:
    settings: dict[str, object] = {"time_base": _BASE, "pts": range(12), "interlaced": True}
    if codec == "mpeg2video":
        settings["options"] = {"b": "4000000", "g": "6"}
    return video(codec=codec, filters=filters, **(settings | how))


def _fielded_prores(path: Path) -> Path:
    return synthetic.video(
        path, codec="prores_ks", pix_fmt="yuv422p10le", frames=8, interlaced=True, filters=_TFF
    )


def _telecined(codec: str, **options: str) -> Make:
    return video(
        codec=codec,
        filters=_TELECINE,
        pts=range(0, 80, 5),
        time_base=Fraction(1, 120),
        interlaced=True,
        options=options,
    )


def _soft_telecined(path: Path) -> Path:
    """Progressive MPEG-2 whose every other picture asks for a field to be shown again."""
    plain = video(codec="mpeg2video", pts=range(12), time_base=_NTSC, interlaced=True,
                 options={"b": "4000000", "bf": "0"})  # fmt: skip
    return pulldown(path, make=plain)


def _doubled(path: Path) -> Path:
    """Each second picture has the pts of the first."""
    plain = video(options={"bf": "0"})
    return clips.assemble(path, plain, clips.Sound(), retimed=lambda n, t: t - 512 * (n % 2))


def _gap(at: int, wide: int, count: int = 30) -> list[int]:
    return [synthetic.STEP * n + (wide if n >= at else 0) for n in range(count)]


def _wrapped(path: Path) -> Path:
    """Times that pass the end of what 33 bits hold."""
    begin = 2**33 // 3600 - 12
    return synthetic.video(
        path, pts=range(begin, begin + 30), time_base=_BASE, options={"bf": "0"},
        container_options=_COPY_TIMES,
    )  # fmt: skip


def _edits(*edits: tuple[int, int]) -> Make:
    """Edits are (length, first) in ms; a first of -1 is a pause."""
    return partial(edited, make=heard(video(options={"g": "5", "bf": "2"})), edits=edits)


def _turned(degrees: int, **mirrored: bool) -> Make:
    def mark(stream: av.VideoStream) -> None:
        stream.set_display_rotation(degrees, **mirrored)

    return heard(video(frames=12), matrix=mark)


def _aspect(codec: str = "libx264", **how: object) -> Make:
    return video(frames=12, codec=codec, aspect=Fraction(16, 11), **how)


def _rotated(suffix: str, degrees: int) -> Case:
    return Case(f"turned by {degrees} in {suffix[1:]}", _turned(degrees), suffix,
                shows=("rotation",))  # fmt: skip


def _sized(width: int, height: int, codec: str, pix_fmt: str = "yuv420p", frames: int = 8) -> Make:
    return video(size=(width, height), codec=codec, pix_fmt=pix_fmt, frames=frames)


def _tiled(number: int) -> NDArray[np.uint8]:
    """7680x4320, of 64 times the same."""
    return np.tile(synthetic.picture(number, 960, 540), (8, 8, 1))


def _alone(suffix: str, settings: tuple[str, ...] = X264, **how: object) -> Case:
    make: Callable[[Path], Path] = video(frames=1, **how)
    return Case(f"one frame in {suffix[1:]}", make, suffix, settings=settings)


_FIELDS = ("fields",)
_LOST_FLAGS = "lost: the interlacing flags"
LATER = dict.fromkeys(("pts", "duration", "streams"), "in step: mpegts delivers")
_TICK = {"pts": "come a tick after it"}
_CHEAP = ("output.codec=libx264", "output.preset=ultrafast", "detect.enlarge=1")
_WRITTEN = {"pixel format": "is written as"}

TIMES = [
    *(Case(f"vfr in {s[1:]}", heard(video(pts=UNEVEN)), s)
      for s in (".mp4", ".mov", ".mkv", ".ts")),
    Case("vfr mkv to mp4", heard(video(pts=UNEVEN)), ".mkv", ".mp4"),
    Case("vfr mp4 to mkv", heard(video(pts=UNEVEN)), ".mp4", ".mkv"),
    Case("vfr hevc in mp4", heard(video(pts=UNEVEN, codec="libx265")), settings=X265),
    Case("vfr vp9 in webm", video(pts=UNEVEN_MS, time_base=_MS, codec="libvpx-vp9",
                                 options=_FAST_VP9), ".webm", settings=VP9),
    Case("vfr flv to mkv", video(pts=UNEVEN), ".flv", ".mkv"),
    Case("29.97 frames", video(pts=range(30), time_base=_NTSC)),
    Case("23.976 frames in mkv", video(pts=range(24), time_base=_VIDEO), ".mkv"),
    Case("23.976 frames in ts", video(pts=range(24), time_base=_VIDEO), ".ts"),
    Case("59.94 frames in mov", video(pts=range(60), time_base=Fraction(1001, 60000)), ".mov"),
    Case("5 frames a second", video(pts=range(20), time_base=Fraction(1, 5))),
    Case("240 frames a second", video(pts=range(60), time_base=Fraction(1, 240))),
    Case("a frame in ten seconds", video(pts=range(5), time_base=Fraction(10)), ".mkv"),
    *(Case(f"late video in {s[1:]}", heard(video(), shift=0.85), s)
      for s in (".mp4", ".mkv", ".ts", ".mov")),
    Case("late video mkv to mp4", heard(video(), shift=0.85), ".mkv", ".mp4"),
    Case("starts after an hour", heard(video(), clips.Sound(start=3600.0), shift=3600.0), ".mkv"),
    Case("starts after an hour in ts", heard(video(), clips.Sound(start=3600.0), shift=3600.0,
         options=_COPY_TIMES), ".ts"),
    Case("negative start in mp4", synthetic.negative_start),
    Case("negative start in mov", synthetic.negative_start, ".mov"),
    Case("negative start mp4 to mkv", synthetic.negative_start, ".mp4", ".mkv"),
    # With frames in another order, FFmpeg's muxer lets the source's last one last 2.4 s longer.
    Case("gap of three seconds", heard(video(pts=_gap(15, 38400), options={"bf": "0"}))),
    Case("gap of three seconds in mkv", heard(video(pts=_gap(15, 38400))), ".mkv"),
    Case("gap of a minute in ts", video(pts=_gap(15, 768000)), ".ts"),
    Case("duplicate pts in mkv", _doubled, ".mkv", limits=_TICK),
    Case("duplicate pts mkv to mp4", _doubled, ".mkv", ".mp4", limits=_TICK),
    Case("missing pts in ts", partial(timeless, make=video(time_base=_BASE, pts=range(30),
         options={"bf": "0"})), ".ts"),
    Case("missing pts in ts with b-frames", partial(timeless, make=video(time_base=_BASE,
         pts=range(30), options={"bf": "2"})), ".ts"),
    Case("clock wraps in ts", _wrapped, ".ts"),
    Case("b-pyramid", synthetic.b_pyramid),
    Case("b-pyramid in mkv", synthetic.b_pyramid, ".mkv"),
    Case("b-pyramid in ts", synthetic.b_pyramid, ".ts"),
    Case("open gop", synthetic.open_gop),
    Case("open gop hevc", partial(synthetic.open_gop, codec="libx265"), ".mkv", settings=X265),
    Case("open gop in ts", synthetic.open_gop, ".ts"),
    Case("edit list that cuts the beginning", _edits((700, 320))),
    Case("edit list that cuts both ends", _edits((400, 320))),
    Case("edit list with a pause first", _edits((500, -1), (1000, 0))),
    Case("edit list with a piece taken out", _edits((400, 0), (400, 600))),
    Case("edit list with a piece twice", _edits((400, 200), (400, 200))),
    Case("edit list mp4 to mkv", _edits((700, 320)), ".mp4", ".mkv"),
    _alone(".mp4"), _alone(".mkv"), _alone(".ts"), _alone(".webm", VP9, codec="libvpx-vp9"),
    Case("interlaced top first", _interlaced(_TFF), shows=_FIELDS),
    Case("interlaced bottom first", _interlaced(_BFF), shows=_FIELDS),
    Case("interlaced top first in mkv", _interlaced(_TFF), ".mkv", shows=_FIELDS),
    Case("interlaced bottom first in mov", _interlaced(_BFF), ".mov", shows=_FIELDS),
    Case("interlaced mpeg2 in ts", _interlaced(_TFF, "mpeg2video"), ".ts", shows=_FIELDS),
    Case("interlaced mpeg2 bottom first to mkv", _interlaced(_BFF, "mpeg2video"), ".mpg", ".mkv",
         shows=_FIELDS),
    Case("interlaced dv", _interlaced(_BFF, "dvvideo", size=(720, 576), pix_fmt="yuv420p",
         pts=range(5)), ".avi", ".mkv", shows=_FIELDS),
    *refused(Case("interlaced to hevc", _interlaced(_TFF), ".mp4", None, X265, shows=_FIELDS),
             "mp4 cannot hold the interlacing flags of its frames", fields=_LOST_FLAGS),
    *refused(Case("interlaced to vp9", _interlaced(_TFF), ".mkv", ".webm", VP9, shows=_FIELDS),
             "webm cannot hold the interlacing flags of its frames", fields=_LOST_FLAGS),
    Case("interlaced ffv1", _interlaced(_TFF, "ffv1"), ".mkv", settings=FFV1, shows=_FIELDS),
    Case("interlaced prores", _fielded_prores, ".mov", settings=PRORES, shows=_FIELDS),
    Case("telecine h264", _telecined("libx264"), shows=_FIELDS),
    Case("telecine mpeg2 in ts", _telecined("mpeg2video", b="4000000"), ".ts", shows=_FIELDS),
    Case("soft telecine mpeg2", _soft_telecined, ".ts", ".mkv", shows=_FIELDS,
         limits={"fields": "ask for a field to be shown twice"}),
]  # fmt: skip

SHAPES = [
    Case("aspect in mp4", _aspect(), shows=("aspect",)),
    Case("aspect in mkv", _aspect(), ".mkv", shows=("aspect",)),
    Case("aspect in ts", _aspect(), ".ts", shows=("aspect",)),
    Case("aspect hevc in mov", _aspect("libx265"), ".mov", settings=X265, shows=("aspect",)),
    Case("aspect ffv1 in mkv", partial(encoded_by_program, codec="ffv1", pix_fmt="yuv420p",
         options=("-vf", "setsar=16/11")), ".mkv", settings=FFV1, shows=("aspect",),
         program="ffmpeg"),
    Case("aspect prores in mov", _aspect("prores_ks", pix_fmt="yuv422p10le"), ".mov",
         settings=PRORES, shows=("aspect",)),
    Case("aspect vp9 in mp4 to webm", _aspect("libvpx-vp9", options=_FAST_VP9), ".mp4", ".webm",
         settings=VP9, shows=("aspect",)),
    Case("aspect vp9 in mp4 to mkv, enlarged", _aspect("libvpx-vp9", options=_FAST_VP9), ".mp4",
         ".mkv", settings=VP9, scale=2, shows=("aspect",)),
    Case("aspect vp9 in mp4", _aspect("libvpx-vp9", options=_FAST_VP9), settings=VP9,
         shows=("aspect",)),
    *(_rotated(".mp4", degrees) for degrees in (90, 180, 270)),
    _rotated(".mov", 90), _rotated(".mkv", 90),
    Case("mirrored", _turned(0, hflip=True), shows=("rotation",)),
    Case("mirrored in mkv", _turned(0, hflip=True), ".mkv", shows=("rotation",)),
    Case("turned and mirrored", _turned(90, vflip=True), shows=("rotation",)),
    *refused(Case("turned mp4 to ts", _turned(90), ".mp4", ".ts", shows=("rotation",),
                  limits=LATER), "mpegts cannot hold the rotation", rotation="lost: the rotation"),
    Case("odd size ffv1", _sized(97, 65, "ffv1"), ".mkv", settings=FFV1),
    Case("odd size vp9", _sized(97, 65, "libvpx-vp9"), ".webm", settings=VP9),
    Case("odd size h264 4:4:4", _sized(97, 65, "libx264", "yuv444p"), ".mkv"),
    Case("odd size to h264", _sized(97, 65, "ffv1"), ".mkv", ".mp4", limits=_WRITTEN),
    Case("odd size mjpeg", _sized(97, 65, "mjpeg", "yuvj420p"), ".mov", limits=_WRITTEN),
    Case("size that is no multiple of 16", _sized(102, 74, "libx264")),
    Case("16x16", _sized(16, 16, "libx264")),
    Case("16x16 hevc", _sized(16, 16, "ffv1"), ".mkv", settings=X265, lossy=True),
    Case("2x2", _sized(2, 2, "ffv1"), ".mkv"),
    Case("tall", _sized(34, 602, "libx264")),
    Case("7680x4320", video(size=(7680, 4320), frames=2, pictures=_tiled), settings=_CHEAP),
    Case("twice as large", video(frames=12, aspect=Fraction(16, 11)), scale=2, shows=("aspect",)),
]  # fmt: skip
