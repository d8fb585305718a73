"""What each encoder is told for a named quality and a named speed: one table of each."""

from __future__ import annotations

from dataclasses import dataclass

from facepipe.configs.settings import OutputSettings, Quality, Speed
from facepipe.errors import UsageError

_X26X = (
    *("ultrafast", "superfast", "veryfast", "faster", "fast", "medium"),
    *("slow", "slower", "veryslow", "placebo"),
)
#: FFmpeg counts a quantizer in these.
_LAMBDA = 118


@dataclass(frozen=True)
class Recipe:
    """How one encoder is told of quality.

    `quality` are its options for each quality, over `always`; `speed` what it says instead for
    each speed but the middle one. `crf` are the options that a constant quality is told by, in
    steps of `unit`; none: it has no such thing. `presets` are the names of its own, None: its
    driver's or none.
    """

    quality: dict[Quality, dict[str, str]]
    speed: dict[Speed, dict[str, str]]
    crf: tuple[str, ...] = ()
    unit: int = 1
    presets: tuple[str, ...] | None = None
    always: tuple[tuple[str, str], ...] = ()


def _rates(small: float, usual: float, archive: float, *keys: str, unit: int = 1) -> Recipe:
    """An encoder that differs between qualities by a number alone."""
    numbers: dict[Quality, float] = {
        "small": small,
        "visually-lossless": usual,
        "archive": archive,
    }
    told = {name: dict.fromkeys(keys, f"{n * unit:g}") for name, n in numbers.items()}
    return Recipe(told, {}, keys, unit)


def _with(
    recipe: Recipe,
    fast: dict[str, str],
    slow: dict[str, str],
    presets: tuple[str, ...] | None = None,
    **always: str,
) -> Recipe:
    speed: dict[Speed, dict[str, str]] = {"fast": fast, "slow": slow}
    fixed = tuple((name.replace("_", "-"), value) for name, value in always.items())
    return Recipe(recipe.quality, speed, recipe.crf, recipe.unit, presets, fixed)


def _preset(fast: str, slow: str) -> tuple[dict[str, str], dict[str, str]]:
    return {"preset": fast}, {"preset": slow}


_X264 = _with(_rates(24, 18, 12, "crf"), *_preset("veryfast", "slow"), _X26X)
_SVT_PRESETS = tuple(str(number) for number in range(-1, 14))
_NVENC = Recipe(
    _rates(28, 19, 12, "cq").quality,
    {"fast": {"preset": "p2"}, "slow": {"preset": "p7"}},
    ("cq",),
    always=(("b", "0"), ("preset", "p5"), ("rc", "vbr"), ("tune", "hq")),
)
_QSV = _with(_rates(28, 20, 12, "global_quality"), *_preset("veryfast", "veryslow"))
_AMF = Recipe(
    _rates(28, 20, 12, "qp_i", "qp_p", "qp_b").quality,
    {"fast": {"quality": "speed"}, "slow": {"quality": "quality"}},
    ("qp_i", "qp_p", "qp_b"),
    always=(("quality", "balanced"), ("rc", "cqp")),
)
_AMF_P = Recipe(
    _rates(28, 20, 12, "qp_i", "qp_p").quality, _AMF.speed, ("qp_i", "qp_p"), always=_AMF.always
)
_VAAPI = Recipe(_rates(28, 20, 12, "qp").quality, {}, ("qp",), always=(("rc_mode", "CQP"),))
_APPLE = Recipe(  # from 1, worst, to 100
    _rates(45, 65, 85, "global_quality", unit=_LAMBDA).quality, {}, always=(("flags", "+qscale"),)
)
_V4L2 = Recipe({"small": {}, "visually-lossless": {}, "archive": {}}, {})
_QSCALE = Recipe(
    _rates(6, 3, 2, "global_quality", unit=_LAMBDA).quality,
    {},
    ("global_quality",),
    _LAMBDA,
    always=(("flags", "+qscale"),),
)
#: By FFmpeg's name of the encoder. Those that are not here are told nothing but what the user says.
RECIPES: dict[str, Recipe] = {
    "libx264": _X264,
    "libx264rgb": _X264,
    "libx265": _with(_rates(26, 20, 14, "crf"), *_preset("veryfast", "slow"), _X26X),
    "libsvtav1": Recipe(
        _rates(38, 24, 14, "crf").quality,
        {"fast": {"preset": "10"}, "slow": {"preset": "5"}},
        ("crf",),
        presets=_SVT_PRESETS,
        always=(("preset", "8"),),
    ),
    "libvpx-vp9": Recipe(
        _rates(36, 24, 14, "crf").quality,
        {"fast": {"cpu-used": "6"}, "slow": {"cpu-used": "2"}},
        ("crf",),
        presets=(),
        always=(("b", "0"), ("cpu-used", "4"), ("deadline", "good"), ("row-mt", "1")),
    ),
    "libaom-av1": Recipe(
        _rates(38, 24, 14, "crf").quality,
        {"fast": {"cpu-used": "8"}, "slow": {"cpu-used": "4"}},
        ("crf",),
        presets=(),
        always=(("b", "0"), ("cpu-used", "6"), ("row-mt", "1")),
    ),
    "ffv1": Recipe(
        {"small": {"context": "1"}, "visually-lossless": {}, "archive": {}},
        {},
        presets=(),
        always=(("g", "1"), ("level", "3"), ("slicecrc", "1"), ("slices", "4")),
    ),
    "prores_ks": Recipe(
        {
            "small": {"profile": "lt"},
            "visually-lossless": {"profile": "hq"},
            "archive": {"profile": "hq"},
        },
        {},
        presets=(),
        always=(("vendor", "apl0"),),
    ),
    **dict.fromkeys(("mpeg2video", "mpeg4", "mjpeg"), _QSCALE),
    **{f"{codec}_nvenc": _NVENC for codec in ("h264", "hevc", "av1")},
    **{f"{codec}_qsv": _QSV for codec in ("h264", "hevc", "av1", "vp9", "mpeg2")},
    **{f"{codec}_vaapi": _VAAPI for codec in ("h264", "hevc", "av1", "vp9", "vp8")},
    **{f"{codec}_videotoolbox": _APPLE for codec in ("h264", "hevc")},
    **{f"{codec}_v4l2m2m": _V4L2 for codec in ("h264", "hevc", "vp8")},
    "h264_amf": _AMF,
    "hevc_amf": _AMF_P,
    "av1_amf": _AMF,
}


def encoder_options_of(
    output: OutputSettings, codec: str, forced: tuple[tuple[str, str], ...], *, named: bool
) -> tuple[tuple[tuple[str, str], ...], tuple[str, ...]]:
    """The options that settings make for an encoder, sorted, and notes on what it cannot follow.

    The tables come first, then what the film itself asks for (`forced`), then --preset and --crf,
    then `output.options`. Where the user `named` the encoder, a constant quality or a preset that
    it does not know is a UsageError; where it was chosen for the film, a note.
    """
    recipe = RECIPES.get(codec, Recipe({}, {}))
    options = (
        dict(recipe.always)
        | recipe.quality.get(output.quality, {})
        | recipe.speed.get(output.speed, {})
        | dict(forced)
    )
    complaints: list[str] = []
    if output.crf is not None:
        if recipe.crf:
            options |= dict.fromkeys(recipe.crf, f"{output.crf * recipe.unit:g}")
        else:
            complaints.append(f"--crf does not go with {codec}; it does with {_with_crf()}")
    if output.preset is not None:
        if recipe.presets is None or output.preset in recipe.presets:
            options["preset"] = output.preset
        else:
            known = ", ".join(recipe.presets) or "none"
            complaints.append(f"--preset {output.preset} is none of {codec}; it has {known}")
    if complaints and named:
        raise UsageError(complaints[0])
    if "qp" in output.options and "qp" not in recipe.crf:
        for key in recipe.crf:  # the user's own way to say how good
            options.pop(key, None)
    options |= output.options
    notes = tuple(f"{complaint}; it was chosen for this film" for complaint in complaints)
    return tuple(sorted(options.items())), notes


def _with_crf() -> str:
    return ", ".join(name for name, recipe in RECIPES.items() if recipe.crf and "_" not in name)
