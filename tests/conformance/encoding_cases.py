"""Encoded video as other programs' decoders meet it: rates, keyframes, profiles, purposes."""

from __future__ import annotations

from fractions import Fraction
from functools import partial
from typing import Any

from conformance import copy_cases, time_cases
from conformance.cases import DEFAULT, Case, Make
from media import synthetic

_NTSC = Fraction(1001, 30000)
_ENCODED = (*DEFAULT, "output.copy_unchanged=false")
_PLAIN = {"crf": "16", "preset": "veryfast"}


def _made(codec: str = "libx264", *, every: int = 12, **how: Any) -> Make:
    """A video of 3 s that states its rate, with keyframes so many frames apart."""
    options = {"g": str(every), "keyint_min": str(every), "sc_threshold": "0", **_PLAIN}
    settings = {"pts": range(90), "time_base": _NTSC, "codec": codec, "options": options, **how}
    if "more" in settings:
        settings["options"] = options | settings.pop("more")
    return partial(synthetic.video, **settings)


def _encoded(name: str, make: Make, suffix: str, target: str | None = None, **how: Any) -> Case:
    return Case(name, make, suffix, target, how.pop("settings", _ENCODED), **how)


def _for(purpose: str, make: Make, suffix: str, target: str, **limits: str) -> Case:
    return _encoded(f"for {purpose}: {suffix[1:]} to {target[1:]}", make, suffix, target,
                    settings=(*DEFAULT, f"output.purpose={purpose}"), limits=limits)  # fmt: skip


_FIELDS: dict[str, Any] = {"interlaced": True, "filters": ["setfield=tff"]}
_VARIED = [0, 3, 4, 6, 7, 11, 13, 14, *range(16, 80)]
CASES = [
    *(
        _encoded(f"29.97 by h264 in {suffix[1:]}", _made(), suffix, shows=("stated rate",))
        for suffix in (".mp4", ".mov", ".mkv", ".ts")
    ),
    _encoded("29.97 by hevc in mkv", _made("libx265"), ".mkv", shows=("stated rate",)),
    _encoded("29.97 by h264, mkv to ts", _made(), ".mkv", ".ts", limits=time_cases.LATER),
    _encoded("29.97 interlaced", _made(**_FIELDS), ".mp4", shows=("stated rate",)),
    _encoded("variable by h264", _made(pts=_VARIED), ".mkv", shows=("stated rate",)),
    _encoded("variable by hevc", _made("libx265", pts=_VARIED), ".mkv", shows=("stated rate",)),
    _encoded("keyframes .8 s apart", _made(every=24), ".mp4", shows=("keyframes",)),
    _encoded("keyframes .8 s apart by hevc", _made("libx265", every=24), ".mp4"),
    _encoded("keyframes .8 s apart by vp9",
             _made("libvpx-vp9", every=24, more={"cpu-used": "8", "deadline": "realtime"}),
             ".webm", shows=("keyframes",)),
    _encoded("keyframes .8 s apart by av1",
             _made("libsvtav1", every=24, more={"preset": "11"}), ".mkv", shows=("keyframes",)),
    _encoded("each frame a keyframe", _made(every=1), ".mp4", shows=("keyframes",)),
    _encoded("keyframes that are rare, in ts", _made(every=250, pts=range(130)), ".ts"),
    *(
        _encoded(f"profile {profile}", _made(more={"profile": profile, "bf": bf, "level": "3"}),
                 ".mp4", shows=("profile",))
        for profile, bf in (("baseline", "0"), ("main", "2"), ("high", "2"))
    ),
    _encoded("profile baseline, twice as large",
             _made(more={"profile": "baseline", "bf": "0"}), ".mp4", scale=2, shows=("profile",)),
    _for("web", _made(), ".mov", ".mp4"),
    _for("web", _made("libvpx-vp9", more={"cpu-used": "8"}), ".webm", ".mp4"),
    _for("edit", _made(), ".mp4", ".mov", **{"pixel format": "prores_ks takes no yuv420p"}),
    _for("archive", _made(), ".mp4", ".mkv"),
    _for("device", _made(more={"profile": "baseline", "bf": "0"}), ".mp4", ".mp4"),
    copy_cases.visited("11.988 by h264, faces in its middle", ".mp4"),
]  # fmt: skip
