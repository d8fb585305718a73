"""Videos in which a packet is not a frame: fields of H.264 apart, hidden frames of VP9 and AV1."""

from __future__ import annotations

from functools import partial
from typing import Any

from conformance.cases import AV1, DEFAULT, VP9, X264, Case, Make
from media import portraits, synthetic
from media.fields import field_coded
from media.hidden import hidden_apart

_ADAPTIVE = {"framed": (3, 4, 17, 20, 21)}
_APART = {"apart": True}
_VP9 = {"cpu-used": "8", "deadline": "realtime", "error-resilient": "1", "g": "12", "b": "1M"}
_AV1 = {"preset": "11", "crf": "20", "g": "24"}


def _fields(**how: Any) -> Make:
    return partial(field_coded, **how)


def _hidden(codec: str, options: dict[str, str]) -> Make:
    return partial(
        hidden_apart, video=partial(synthetic.video, codec=codec, options=options, frames=48)
    )


def _case(name: str, make: Make, suffix: str, target: str | None = None, **how: Any) -> Case:
    where = suffix[1:] if target is None else f"{suffix[1:]} to {target[1:]}"
    return Case(f"{name} in {where}", make, suffix, target, **how)


_COPIED: dict[str, Any] = {"settings": DEFAULT, "copied": "all"}
_SEEN: dict[str, Any] = {
    "pictures": portraits.scene, "size": (portraits.WIDTH, portraits.HEIGHT), "frames": 20,
}  # fmt: skip
CASES = [
    _case("fields", _fields(), ".ts", settings=X264, shows=("fields",)),
    _case("fields, untouched", _fields(), ".ts", **_COPIED, shows=("fields",)),
    _case("fields, untouched", _fields(), ".ts", ".mp4", **_COPIED, shows=("fields",)),
    _case("fields of some frames, untouched", _fields(**_ADAPTIVE), ".ts", ".mkv", **_COPIED),
    _case("fields apart", _fields(**_APART), ".mkv", ".mp4", settings=X264),
    _case("fields apart, untouched", _fields(**_APART), ".mkv", **_COPIED),
    _case("fields apart, untouched", _fields(**_APART, **_ADAPTIVE), ".mp4", **_COPIED),
    _case("fields apart, untouched", _fields(**_APART), ".mp4", ".ts", **_COPIED),
    Case("faces in fields in ts", _fields(**_SEEN), ".ts", settings=DEFAULT, faces=True),
    _case("hidden frames apart, vp9", _hidden("libvpx-vp9", _VP9), ".webm", settings=VP9),
    _case("hidden frames apart, vp9, untouched", _hidden("libvpx-vp9", _VP9), ".webm", **_COPIED),
    _case("hidden frames apart, vp9, untouched", _hidden("libvpx-vp9", _VP9), ".webm", ".mp4",
          **_COPIED),
    _case("hidden frames apart, av1", _hidden("libsvtav1", _AV1), ".mkv", settings=AV1),
    _case("hidden frames apart, av1, untouched", _hidden("libsvtav1", _AV1), ".mkv", **_COPIED),
]  # fmt: skip
