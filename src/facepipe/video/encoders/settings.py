"""What the encoders take: codecs, pixel formats, options, and HDR metadata for each."""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache

import av
import numpy as np
from av.codec import Codec
from av.sidedata.sidedata import Type

from facepipe.datatypes import PixelFormat, VideoInfo
from facepipe.errors import InputError, UsageError, did_you_mean
from facepipe.video.containers import MOV, NUT, Container
from facepipe.video.pixel_formats import pixel_format, same_layout, side_data, working_format
from facepipe.video.pyav.log import captured_log
from facepipe.video.pyav.scheduling import kept_scheduling
from facepipe.video.sources import describe

_EXAMPLES = "libx264, libx265, libsvtav1, libvpx-vp9, ffv1"
_SCALES = (1, 2, 4)
# FFmpeg's own encoders close their groups only where they do not look for cuts.
_OLD = ("mpeg1video", "mpeg2video", "mpeg4", "msmpeg4", "flv", "h263p")
_PARAMETERS = {
    "libx264": "x264-params",
    "libx264rgb": "x264-params",
    "libx265": "x265-params",
    "libsvtav1": "svtav1-params",
}
# Encoders that make a keyframe of each frame that is asked for as one, and how many frames lie
# between two keyframes at most where nothing is asked for. Of others, drivers may know better.
_HEEDING = (*("libx264", "libx264rgb", "libx265", "libsvtav1", "libvpx", "libvpx-vp9"), *_OLD)
_USUAL_DISTANCE = 120
# Options by which frames that are asked for as keyframes are such at which decoding can begin; by
# the encoder's name, or the end of it.
_CLOSED_KEYFRAMES = {
    "libx265": "forced-idr",
    "nvenc": "forced-idr",
    "qsv": "forced_idr",
    "amf": "forced_idr",
}


@dataclass(frozen=True)
class EncodeSettings:
    """How video is encoded: FFmpeg's encoder name and options (crf, preset, qp, ...).

    `pix_fmt` None keeps the source's as far as the encoder can; `threads` is fixed so that the
    same frames always give the same bytes; `scale` says how many times larger than the source the
    frames are. `keyframe_seconds` is as of `planned_keyframes`, `keyframes` are pts of more.
    """

    codec: str = "libx264"
    options: tuple[tuple[str, str], ...] = ()
    pix_fmt: str | None = None
    threads: int = 2
    scale: int = 1
    keyframe_seconds: float | None = None
    keyframes: tuple[int, ...] = ()


def check_encoder(settings: EncodeSettings, info: VideoInfo) -> None:
    """Open the encoder once as `encode` will; UsageError says what it refuses and what it takes."""
    if settings.scale not in _SCALES:
        raise UsageError(f"scale {settings.scale} is not possible; use 1, 2 or 4")
    if settings.threads < 1:
        raise UsageError(f"{settings.threads} encoder threads are not possible; use 1 or more")
    codec = find_encoder(settings.codec)
    allowed = _pix_fmts(codec)
    if settings.pix_fmt is not None and allowed and settings.pix_fmt not in allowed:
        raise UsageError(
            f"{settings.codec} does not take pixel format {settings.pix_fmt!r}; "
            f"it takes {', '.join(allowed)}"
        )
    pix_fmt, _ = output_pix_fmt(settings, info)
    part_container(settings.codec)
    context, refusal = _try_open(settings, info, pix_fmt)
    if refusal is not None:
        raise UsageError(
            f"{settings.codec} does not open with {dict(settings.options)} for {pix_fmt} at "
            f"{info.width * settings.scale}x{info.height * settings.scale}: {refusal}"
        )
    unknown = sorted(set(context.options) & {name for name, _ in settings.options})
    if unknown:
        raise UsageError(f"{settings.codec} has no option {', '.join(unknown)}")


def output_pix_fmt(settings: EncodeSettings, info: VideoInfo) -> tuple[str, str | None]:
    """The pixel format that will be encoded, and a note where it is not the source's own.

    Of what the encoder takes, the one that loses least: colour model and alpha first, then
    depth, then chroma, and an odd width or height only fits formats whose chroma divides it.
    """
    source = working_format(info.pix_fmt)
    codec = find_encoder(settings.codec)
    if settings.pix_fmt is not None:
        chosen = settings.pix_fmt
    else:
        names = _pix_fmts(codec) or (source.name,)
        ranked = sorted((pix_fmt_loss(source, pixel_format(n)), i, n) for i, n in enumerate(names))
        chosen = _first_that_opens(settings, info, [name for _, _, name in ranked])
    if same_values(source, pixel_format(chosen)):
        return chosen, None
    why = (
        "as asked for"
        if settings.pix_fmt is not None
        else f"{settings.codec} takes no {info.pix_fmt} of "
        f"{info.width * settings.scale}x{info.height * settings.scale}"
    )
    return chosen, f"pixel format {info.pix_fmt} is written as {chosen}: {why}"


def same_values(source: PixelFormat, target: PixelFormat) -> bool:
    """Whether two formats hold the same values, though perhaps in another order."""
    return same_layout(source.name, target.name) or (
        (source.model, source.bits, source.shift_x, source.shift_y, source.alpha)
        == (target.model, target.bits, target.shift_x, target.shift_y, target.alpha)
    )


def open_refusal(settings: EncodeSettings, info: VideoInfo, pix_fmt: str) -> str | None:
    """Why the encoder does not open for this video in that pixel format, None where it does."""
    return _try_open(settings, info, pix_fmt)[1]


@cache
def part_container(codec: str) -> Container:
    """The container of rendered parts that takes this encoder's video and keeps exact times.

    UsageError where there is none.
    """
    for container in (NUT, MOV):
        if container.takes(codec):
            return container
    raise UsageError(f"facepipe cannot keep what {codec} writes; use for instance {_EXAMPLES}")


def find_encoder(name: str) -> Codec:
    """The encoder of that name; UsageError when it is none or not for video."""
    try:
        codec = Codec(name, "w")
    except ValueError as error:
        raise UsageError(
            f"there is no encoder {name!r} here; use for instance {_EXAMPLES}"
            + did_you_mean(name, re.split(r"\W*(?:,| or )\s*", _EXAMPLES))
        ) from error
    if codec.type != "video":
        raise UsageError(f"{name!r} encodes {codec.type}, not video; use {_EXAMPLES}")
    return codec


def configure(
    context: av.VideoCodecContext, settings: EncodeSettings, info: VideoInfo, pix_fmt: str
) -> None:
    """Set all that must be the same in every span of a video, so that its parts can be joined."""
    if settings.codec == "libsvtav1":
        os.environ.setdefault("SVT_LOG", "1")  # else it writes to stderr, past FFmpeg's log
    context.width = info.width * settings.scale
    context.height = info.height * settings.scale
    context.pix_fmt = pix_fmt
    context.time_base = info.time_base
    rate = Fraction(info.frames_per_second).limit_denominator(1001)
    context.framerate = rate if 0 < rate <= 1000 else Fraction(25)
    context.thread_count = settings.threads
    if info.sample_aspect_ratio is not None:
        context.sample_aspect_ratio = info.sample_aspect_ratio
    context.flags |= av.codec.context.Flags.global_header
    if not context.codec.intra_only:  # Motion JPEG does not open with closed groups
        context.flags |= av.codec.context.Flags.closed_gop


def encoder_options(settings: EncodeSettings, first: av.VideoFrame | None) -> dict[str, str]:
    """FFmpeg options: the settings' own, bounded threads, and the first frame's HDR levels."""
    options = dict(settings.options)
    for name in {settings.codec, settings.codec.rpartition("_")[2]} & _CLOSED_KEYFRAMES.keys():
        options = {_CLOSED_KEYFRAMES[name]: "1"} | options
    if settings.codec in _OLD:
        return {"sc_threshold": str(10**9)} | options
    if settings.codec not in _PARAMETERS:
        return options
    extra = _own_parameters(settings)
    if first is not None:
        extra |= _light(settings.codec, first)
    return with_parameters(options, settings.codec, extra)


def with_parameters(
    options: Mapping[str, str], codec: str, extra: Mapping[str, str]
) -> dict[str, str]:
    """Options with further parameters of x264, x265 or SVT-AV1, unless they are given already."""
    key = _PARAMETERS[codec]
    given = options.get(key, "")
    taken = {item.split("=")[0] for item in given.split(":")}
    added = [f"{name}={value}" for name, value in extra.items() if name not in taken]
    joined = ":".join([given, *added] if given else added)
    return {**options, key: joined} if joined else {**options}


def with_distance(settings: EncodeSettings, frames: int) -> EncodeSettings:
    """The settings for keyframes so many frames apart at most, where they are not just asked for.

    Encoders place keyframes of their own where none is asked for in a long time; and those of a
    device, which may not heed what is asked for, place all of them.
    """
    asked = settings.keyframe_seconds is not None and frames > _USUAL_DISTANCE
    if "g" in dict(settings.options) or not (asked or settings.codec not in _HEEDING):
        return settings
    return replace(settings, options=(*settings.options, ("g", str(frames))))


def _own_parameters(settings: EncodeSettings) -> dict[str, str]:
    """What x264 and x265 always get among their parameters."""
    extra: dict[str, str] = {}
    if settings.codec in ("libx264", "libx264rgb") and _has_avx512():
        # With AVX-512, x264's macroblock trees came out differently from run to run on the same
        # frames (96, 160, 272 and 480 pixels wide); with AVX2 they never did.
        extra["asm"] = "avx2"
    if settings.codec == "libx265":
        extra["pools"] = str(settings.threads)
        extra["log-level"] = "none"
    return extra


def _light(codec: str, frame: av.VideoFrame) -> dict[str, str]:
    """Mastering display and content light level as options of each encoder.

    The side data are AVMasteringDisplayMetadata (ten rationals and two flags) and
    AVContentLightMetadata (two unsigned numbers).
    """
    found: dict[str, str] = {}
    levels = side_data(frame, Type.CONTENT_LIGHT_LEVEL)
    if len(levels) >= 8:
        most, average = struct.unpack("=2I", levels[:8])
        name = {"libsvtav1": "content-light", "libx265": "max-cll"}.get(codec, "cll")
        found[name] = f"{most},{average}"
    display = side_data(frame, Type.MASTERING_DISPLAY_METADATA)
    if len(display) >= 88:
        numbers = struct.unpack("=22i", display[:88])
        values = [
            n / d if d else 0.0 for n, d in zip(numbers[0:20:2], numbers[1:20:2], strict=True)
        ]
        if numbers[20] and numbers[21]:
            name = "master-display" if codec == "libx265" else "mastering-display"
            found[name] = _display(values, whole=codec != "libsvtav1")
    return found


def _display(values: list[float], *, whole: bool) -> str:
    # H.265 counts chromaticity in 1/50000 and luminance in 1/10000 cd/m2; AV1's encoder divides.
    xy = [str(round(v * 50000)) if whole else f"{v:.5f}" for v in values[:8]]
    low, high = (str(round(v * 10000)) if whole else f"{v:.4f}" for v in values[8:10])
    red, green, blue, white = (f"({xy[i]},{xy[i + 1]})" for i in (0, 2, 4, 6))
    return f"G{green}B{blue}R{red}WP{white}L({high},{low})"


def _has_avx512() -> bool:
    found = np.show_config(mode="dicts")
    extensions = found.get("SIMD Extensions", {}) if isinstance(found, dict) else {}
    names = (*extensions.get("baseline", ()), *extensions.get("found", ()))
    return any("AVX512" in name or name == "X86_V4" for name in names)


def _pix_fmts(codec: Codec) -> tuple[str, ...]:
    """Software formats that the encoder lists; empty when it lists none."""
    return tuple(f.name for f in codec.video_formats or () if f.components and _known(f.name))


def _known(name: str) -> bool:
    try:
        pixel_format(name)
    except InputError:  # floating point, Bayer, XYZ
        return False
    return True


def pix_fmt_loss(source: PixelFormat, target: PixelFormat) -> tuple[int, ...]:
    """Loss of a conversion between pixel formats, most important first; then what is added.

    The first five are lost for good: colour, alpha, bits, RGB as such, chroma resolution.
    """
    chroma = max(target.shift_x - source.shift_x, 0) + max(target.shift_y - source.shift_y, 0)
    return (
        source.model != target.model and target.model == "gray",
        source.alpha and not target.alpha,
        max(source.bits - target.bits, 0),
        source.model != target.model and source.model == "rgb",
        chroma if source.model != "gray" else 0,
        source.model != target.model,
        not same_layout(source.name, target.name),
        max(target.bits - source.bits, 0),
        max(source.shift_x - target.shift_x, 0) + max(source.shift_y - target.shift_y, 0),
        target.alpha and not source.alpha,
        source.name != target.name,
        # between equals, the planar form needs no reshuffling
        not target.name.endswith(("p", "le")),
    )


def _first_that_opens(settings: EncodeSettings, info: VideoInfo, names: list[str]) -> str:
    openable = (name for name in names if open_refusal(settings, info, name) is None)
    return next(openable, names[0])


def _try_open(
    settings: EncodeSettings, info: VideoInfo, pix_fmt: str
) -> tuple[av.VideoCodecContext, str | None]:
    context = find_encoder(settings.codec).create("video")
    configure(context, settings, info, pix_fmt)
    context.options = encoder_options(settings, None)
    with captured_log() as log:
        try:
            with kept_scheduling():
                context.open()
        except av.FFmpegError as error:
            refused = error
        else:
            return context, None
    return context, "; ".join(log.lines()) or describe(refused)
