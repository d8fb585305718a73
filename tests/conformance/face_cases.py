"""Videos with faces, so that pictures are changed on their way through."""

from __future__ import annotations

from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conformance import clips
from conformance.cases import AV1, FFV1, PRORES, VP9, X264, X264_RGB, X265, Case, Make
from conformance.format_cases import BT709, FULL, MASTERED, PQ, x265
from media import portraits
from media.patches import captioned

_FRAMES = 14
_EVEN: dict[str, Any] = {"pts": range(_FRAMES), "time_base": Fraction(1, 25)}
_TWO_TIMES = (*X264, "output.scale=2")
_FAST_VP9 = {"cpu-used": "8", "deadline": "realtime", "crf": "10", "b": "0"}


def faces(**how: Any) -> Make:
    """Two faces that drift, with a tone."""
    return partial(portraits.video, frames=_FRAMES, **how)


def _quiet(codec: str, pix_fmt: str = "yuv420p", **how: Any) -> Make:
    settings: dict[str, Any] = {"audio": 0, "options": {}}
    return faces(codec=codec, pix_fmt=pix_fmt, **(settings | how))


def _through(number: int) -> NDArray[np.uint8]:
    scene = portraits.scene(number)
    y, x = np.mgrid[0 : scene.shape[0], 0 : scene.shape[1]]
    return np.dstack([scene, (128 + x // 4 + y // 4).astype(np.uint8)])


def _captioned(path: Path) -> Path:
    return captioned(path, make=faces(audio=0))


def _with(
    name: str, make: Make, suffix: str = ".mp4", target: str | None = None, **how: Any
) -> Case:
    return Case(f"faces {name}", make, suffix, target, faces=True, **how)


CASES = [
    _with("in mp4", faces()),
    _with("by default quality", faces(), settings=("output.codec=libx264",)),
    _with("in mkv", faces(), ".mkv"),
    _with("in ts", faces(), ".ts"),
    _with("twice as large", faces(), settings=X264, scale=2),
    _with("lying on their side", partial(portraits.rotated_video), shows=("rotation",)),
    *(_with(f"turned by {90 * turns} without a tag",
            partial(portraits.turned_video, turns=turns, frames=_FRAMES)) for turns in (1, 2, 3)),
    _with("interlaced", faces(interlaced=True, filters=["setfield=tff"]), shows=("fields",)),
    _with("interlaced bottom first in mkv", faces(interlaced=True, filters=["setfield=bff"]),
          ".mkv", shows=("fields",)),
    _with("full range", faces(pix_fmt="yuvj420p", colour=FULL)),
    _with("bt709", faces(colour=BT709)),
    _with("grey", _quiet("libx264", "gray")),
    _with("4:2:2", _quiet("libx264", "yuv422p")),
    _with("4:4:4 10 bit", _quiet("libx265", "yuv444p10le"), settings=X265),
    _with("12 bit", _quiet("libx265", "yuv420p12le"), settings=X265),
    _with("in rgb", _quiet("libx264rgb", "rgb24"), ".mkv", settings=X264_RGB),
    _with("pq with mastering and levels", _quiet("libx265", "yuv420p10le", colour=PQ,
          options=x265(MASTERED)), ".mkv", settings=X265, shows=("light",)),
    _with("prores", _quiet("prores_ks", "yuv422p10le"), ".mov", settings=PRORES),
    _with("prores interlaced", _quiet("prores_ks", "yuv422p10le", interlaced=True,
          filters=["setfield=tff"]), ".mov", settings=PRORES, shows=("fields",)),
    _with("vp9", _quiet("libvpx-vp9", options=_FAST_VP9), ".webm", settings=VP9),
    _with("vp9 with alpha", _quiet("libvpx-vp9", "yuva420p", pictures=_through,
          options=_FAST_VP9 | {"auto-alt-ref": "0"}), ".webm", settings=VP9),
    _with("av1", _quiet("libsvtav1", options={"preset": "11", "crf": "10"}), ".mkv", settings=AV1),
    _with("ffv1 with alpha", _quiet("ffv1", "yuva444p10le", pictures=_through), ".mkv",
          settings=FFV1),
    _with("mpeg2 in ts", _quiet("mpeg2video", options={"b": "6000000"}, **_EVEN), ".ts"),
    _with("mpeg4 in avi to mkv", _quiet("mpeg4", options={"b": "6000000"}), ".avi", ".mkv"),
    _with("with closed captions", _captioned, shows=("captions",)),
    _with("beside captions and chapters", lambda path: clips.assemble(
          path, faces(audio=0), clips.Sound(), clips.Captions("mov_text"),
          marks=clips.Marks(chapters=[(0.0, 0.2, "One"), (0.2, 0.5, "Two")])),
          shows=("streams", "chapters")),
]  # fmt: skip
