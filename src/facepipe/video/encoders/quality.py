"""Encoder options for each named quality and speed: one row for each encoder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from facepipe.configs.settings import OutputSettings, Quality, Speed
from facepipe.errors import UsageError

_X26X = (
    *("ultrafast", "superfast", "veryfast", "faster", "fast", "medium"),
    *("slow", "slower", "veryslow", "placebo"),
)


@dataclass(frozen=True)
class EncoderSpec:
    """Options of one encoder for qualities and speeds.

    `quality` are its options for each quality, over `always`; `speed` those that replace them for
    each speed but the middle one. `crf` are the options that take a constant quality, none: it has
    no such thing. `presets` are the names of its own, None: its driver's or none.
    """

    quality: dict[Quality, dict[str, str]]
    speed: dict[Speed, dict[str, str]] = field(default_factory=dict)
    crf: tuple[str, ...] = ()
    presets: tuple[str, ...] | None = None
    always: dict[str, str] = field(default_factory=dict)


def _numbers(small: int, usual: int, archive: int, *keys: str) -> dict[Quality, dict[str, str]]:
    """Qualities that differ by a number alone."""
    given: dict[Quality, int] = {"small": small, "visually-lossless": usual, "archive": archive}
    return {quality: dict.fromkeys(keys, str(number)) for quality, number in given.items()}


def _speeds(key: str, fast: str, slow: str) -> dict[Speed, dict[str, str]]:
    return {"fast": {key: fast}, "slow": {key: slow}}


_X26X_SPEEDS = _speeds("preset", "veryfast", "slow")
_X264 = EncoderSpec(_numbers(24, 18, 12, "crf"), _X26X_SPEEDS, ("crf",), _X26X)
_X265_NUMBERS = _numbers(23, 17, 14, "crf")
# What moves stays as near to the source as what rests.
_X265_NUMBERS["archive"] |= {"x265-params": "cutree=0:qcomp=0.7"}
_X265 = EncoderSpec(_X265_NUMBERS, _X26X_SPEEDS, ("crf",), _X26X)
_NVENC = EncoderSpec(
    _numbers(28, 19, 12, "cq"),
    _speeds("preset", "p2", "p7"),
    ("cq",),
    always={"b": "0", "preset": "p5", "rc": "vbr", "tune": "hq"},
)
_QSV = EncoderSpec(
    _numbers(28, 20, 12, "global_quality"),
    _speeds("preset", "veryfast", "veryslow"),
    ("global_quality",),
)
_AMF_SPEEDS = _speeds("quality", "speed", "quality")
_AMF_ALWAYS = {"quality": "balanced", "rc": "cqp"}
_AMF = {
    codec: EncoderSpec(_numbers(28, 20, 12, *keys), _AMF_SPEEDS, keys, always=_AMF_ALWAYS)
    for codec, keys in (
        ("h264_amf", ("qp_i", "qp_p", "qp_b")),
        ("hevc_amf", ("qp_i", "qp_p")),
        ("av1_amf", ("qp_i", "qp_p", "qp_b")),
    )
}
_VAAPI = EncoderSpec(_numbers(28, 20, 12, "qp"), crf=("qp",), always={"rc_mode": "CQP"})
# From 1, worst, to 100, each counted as FFmpeg counts quantizers, in 118ths.
_APPLE = EncoderSpec(
    _numbers(45 * 118, 65 * 118, 85 * 118, "global_quality"), always={"flags": "+qscale"}
)
_V4L2 = EncoderSpec(
    {"small": {"b": "3M"}, "visually-lossless": {"b": "12M"}, "archive": {"b": "40M"}}
)
#: By FFmpeg's name of the encoder. Others get no option but the user's. The numbers are such that
#: one name means about one similarity to the source: `benchmarks/quality/encoders.py`.
ENCODER_SPECS: dict[str, EncoderSpec] = {
    "libx264": _X264,
    "libx264rgb": _X264,
    "libx265": _X265,
    "libsvtav1": EncoderSpec(
        _numbers(31, 19, 9, "crf"),
        _speeds("preset", "8", "3"),
        ("crf",),
        tuple(str(number) for number in range(-1, 14)),
        {"preset": "5"},
    ),
    "libvpx-vp9": EncoderSpec(
        _numbers(32, 20, 9, "crf"),
        _speeds("cpu-used", "6", "2"),
        ("crf",),
        (),
        {"b": "0", "cpu-used": "4", "deadline": "good", "row-mt": "1"},
    ),
    "libaom-av1": EncoderSpec(
        _numbers(31, 19, 9, "crf"),
        _speeds("cpu-used", "8", "4"),
        ("crf",),
        (),
        {"b": "0", "cpu-used": "6", "row-mt": "1"},
    ),
    "ffv1": EncoderSpec(
        {"small": {}, "visually-lossless": {}, "archive": {}},  # nothing is ever lost
        presets=(),
        always={"g": "1", "level": "3", "slicecrc": "1", "slices": "4"},
    ),
    "prores_ks": EncoderSpec(
        {
            "small": {"profile": "lt"},
            "visually-lossless": {"profile": "hq"},
            "archive": {"profile": "hq"},
        },
        presets=(),
        always={"vendor": "apl0"},
    ),
    **{f"{codec}_nvenc": _NVENC for codec in ("h264", "hevc", "av1")},
    **{f"{codec}_qsv": _QSV for codec in ("h264", "hevc", "av1", "vp9", "mpeg2")},
    **{f"{codec}_vaapi": _VAAPI for codec in ("h264", "hevc", "av1", "vp9", "vp8")},
    **{f"{codec}_videotoolbox": _APPLE for codec in ("h264", "hevc")},
    **{f"{codec}_v4l2m2m": _V4L2 for codec in ("h264", "hevc", "vp8")},
    **_AMF,
}


def encoder_options_of(
    output: OutputSettings, codec: str, forced: tuple[tuple[str, str], ...], *, named: bool
) -> tuple[tuple[tuple[str, str], ...], tuple[str, ...]]:
    """The options that settings make for an encoder, sorted, and notes on what it cannot follow.

    The tables come first, then what the video itself asks for (`forced`), then --preset and --crf,
    then `output.options`. Where the user `named` the encoder, a constant quality or a preset that
    it does not know is a UsageError; where it was chosen for the video, a note, unless no encoder
    knows the preset.
    """
    spec = ENCODER_SPECS.get(codec, EncoderSpec({}))
    options = (
        spec.always
        | spec.quality.get(output.quality, {})
        | spec.speed.get(output.speed, {})
        | dict(forced)
    )
    asked, complaints = _asked_options(output, codec, spec)
    options |= asked
    unknown = output.preset is not None and not _is_preset(output.preset)
    if complaints and (named or unknown):
        raise UsageError(complaints[0 if named else -1])
    options = _with_own(options, output.options, codec, spec)
    notes = tuple(f"{complaint}; it was chosen for this video" for complaint in complaints)
    return tuple(sorted(options.items())), notes


def _with_own(
    options: dict[str, str], own: Mapping[str, str], codec: str, spec: EncoderSpec
) -> dict[str, str]:
    """Options with the user's `own`, less what contradicts these."""
    contradicted = set(spec.crf) if "qp" in own and "qp" not in spec.crf else set()
    found = {key: value for key, value in options.items() if key not in contradicted}
    found |= own
    is_lossless = "0" in (found.get("qp"), found.get("crf"))
    if codec == "libx264" and is_lossless and "profile" not in own:
        found.pop("profile", None)  # lossless H.264 has one of its own
    return found


def _asked_options(
    output: OutputSettings, codec: str, spec: EncoderSpec
) -> tuple[dict[str, str], list[str]]:
    """The options that --crf and --preset make, and why the encoder does not follow them."""
    options: dict[str, str] = {}
    complaints: list[str] = []
    if output.crf is not None:
        options |= dict.fromkeys(spec.crf, f"{output.crf:g}")
        if not spec.crf:
            complaints.append(f"--crf does not go with {codec}; it does with {_with_crf()}")
    if output.preset is not None:
        if spec.presets is None or output.preset in spec.presets:
            options["preset"] = output.preset
        else:
            known = ", ".join(spec.presets) or "none"
            complaints.append(f"--preset {output.preset} is none of {codec}; it has {known}")
    return options, complaints


def _is_preset(name: str) -> bool:
    """Whether any encoder knows a preset of that name, as far as their presets are known."""
    return any(name in (spec.presets or ()) for spec in ENCODER_SPECS.values())


def _with_crf() -> str:
    return ", ".join(name for name, spec in ENCODER_SPECS.items() if spec.crf and "_" not in name)
