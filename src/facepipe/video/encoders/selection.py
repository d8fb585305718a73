"""Which encoder a film gets when nobody names one: the source's own codec wherever that is good."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from facepipe.datatypes import VideoInfo
from facepipe.errors import UsageError
from facepipe.video.containers import holds_video, loses_aspect, muxer_of
from facepipe.video.encoders.settings import (
    EncodeSettings,
    find_encoder,
    loss,
    open_refusal,
    output_pix_fmt,
    same_values,
)
from facepipe.video.pixel_formats import pixel_format, working_format

#: The software encoder of each codec that is kept.
KEPT = {
    "h264": "libx264",
    "hevc": "libx265",
    "av1": "libsvtav1",
    "vp9": "libvpx-vp9",
    "ffv1": "ffv1",
    "prores": "prores_ks",
}
#: For films whose codec is not kept: first those that every player knows, then those that hold
#: all there is at many times the size.
_USUAL = ("libx264", "libx264rgb", "libx265", "libvpx-vp9", "libsvtav1")
_WEB = ("libvpx-vp9", "libsvtav1")
_LARGE = ("ffv1", "prores_ks")
#: What prores_ks calls the profiles that its decoder names.
PRORES = {
    "Proxy": "proxy",
    "LT": "lt",
    "Standard": "standard",
    "HQ": "hq",
    "4444": "4444",
    "XQ": "4444xq",
}


@dataclass(frozen=True)
class Chosen:
    """An encoder, the options that it must have for this film, and why it is another codec."""

    codec: str
    options: tuple[tuple[str, str], ...] = ()
    note: str | None = None


@dataclass(frozen=True)
class _Fit:
    """How well an encoder holds a film's pictures."""

    codec: str
    pix_fmt: str
    lost: tuple[int, ...]  # zeros: nothing
    exact: bool  # the same values at the same places


def choose_encoder(info: VideoInfo, suffix: str, scale: int = 1) -> Chosen:
    """The encoder for a film that goes to a file of this suffix, `scale` times as large.

    The source's codec stays where there is a good software encoder of it that loses nothing of the
    pixel format and the container takes it. Else the first that loses nothing, among those that
    everyone plays before those that make large files; where none is, the one that loses least.
    Decided by `info`, `suffix` and `scale` alone, among the encoders that open here. Errors:
    UsageError for an unknown suffix, or where no encoder opens.
    """
    muxer = muxer_of(Path(f"film{suffix}"))
    own = KEPT.get(info.codec)
    if own == "libx264" and working_format(info.pix_fmt).model == "rgb":
        own = "libx264rgb"
    tried: list[_Fit] = []
    if own is not None:
        fit = _fit(own, info, muxer, scale)
        if fit is not None and not any(fit.lost):
            return Chosen(own, _forced(own, info, fit.pix_fmt), None)
        tried += [fit] if fit else []
    for group in (_WEB if muxer == "webm" else _USUAL, _large(info, muxer)):
        fits = [fit for codec in group if (fit := _fit(codec, info, muxer, scale)) is not None]
        whole = [fit for fit in fits if not any(fit.lost)]
        best = next((fit for fit in whole if fit.exact), whole[0] if whole else None)
        if best is not None:
            return _chosen(best, info, own, muxer)
        tried += fits
    if not tried:
        raise UsageError(
            f"no encoder here writes {info.pix_fmt} of {info.width * scale}x{info.height * scale} "
            f"to {suffix}; name another target, such as .mkv, or an encoder with --codec"
        )
    return _chosen(min(tried, key=lambda fit: fit.lost), info, own, muxer)  # first among equals


def named_encoder(name: str, info: VideoInfo, pix_fmt: str | None, scale: int = 1) -> Chosen:
    """The encoder that the user named, or of the codec that was named, and what it must be told.

    `pix_fmt` is the pixel format that was named, None: none. Errors: UsageError for no encoder.
    """
    codec = KEPT.get(name, name)
    settings = EncodeSettings(codec, pix_fmt=pix_fmt, scale=scale)
    return Chosen(codec, _forced(codec, info, output_pix_fmt(settings, info)[0]))


def _large(info: VideoInfo, muxer: str) -> Sequence[str]:
    """ProRes before FFV1 where only that is usual: in mov, for transparency."""
    alpha = working_format(info.pix_fmt).alpha
    return tuple(reversed(_LARGE)) if muxer == "mov" and alpha else _LARGE


def _fit(codec: str, info: VideoInfo, muxer: str, scale: int) -> _Fit | None:
    """How well `codec` holds the film; None where it cannot write it at all."""
    try:
        canonical = find_encoder(codec).canonical_name
    except UsageError:  # left out of this build of FFmpeg
        return None
    if not holds_video(muxer, canonical) or loses_aspect(info, canonical, muxer):
        return None
    settings = EncodeSettings(codec, scale=scale)
    pix_fmt, _ = output_pix_fmt(settings, info)
    if open_refusal(settings, info, pix_fmt) is not None:
        return None
    source, target = working_format(info.pix_fmt), pixel_format(pix_fmt)
    if target.alpha and not keeps_alpha(codec, muxer):
        return None
    gray, alpha, bits, colours, chroma = loss(source, target)[:5]
    if codec == "prores_ks":
        # A ProRes stream has no depth of its own: FFmpeg reads 4444 as 12 bit and writes it from
        # 10. And 8 bits of RGB come back out of 10 bits of YUV.
        bits = bits if source.bits > 12 or info.codec != "prores" else 0
        colours = colours and source.bits > 8
    lost = (int(gray), int(alpha), int(bits), int(colours), int(chroma))
    return _Fit(codec, pix_fmt, lost, same_values(source, target))


def keeps_alpha(codec: str, muxer: str) -> bool:
    """Whether the alpha that an encoder takes can be kept in a container."""
    # VP9 keeps transparency beside the packets, where Matroska and WebM alone have room.
    return codec != "libvpx-vp9" or muxer in ("matroska", "webm")


def _chosen(fit: _Fit, info: VideoInfo, own: str | None, muxer: str) -> Chosen:
    options = _forced(fit.codec, info, fit.pix_fmt)
    return Chosen(fit.codec, options, _why(fit, info, own, muxer))


def _forced(codec: str, info: VideoInfo, pix_fmt: str) -> tuple[tuple[str, str], ...]:
    """The profile that ProRes must have: the source's, or one that holds the pixel format."""
    if codec != "prores_ks":
        return ()
    rich = pixel_format(pix_fmt).shift_x == 0
    own = PRORES.get(info.profile or "") if info.codec == "prores" else None
    if own is not None and rich == own.startswith("4444"):
        return (("profile", own),)
    return (("profile", "4444"),) if rich else ()


def _why(fit: _Fit, info: VideoInfo, own: str | None, muxer: str) -> str:
    written = find_encoder(fit.codec).canonical_name
    if written == info.codec:
        return f"{info.codec} is written by {fit.codec}, which holds {info.pix_fmt} best"
    if own is None:
        reason = f"facepipe writes no {info.codec}"
    elif not holds_video(muxer, info.codec):
        reason = f"{muxer} cannot hold {info.codec}"
    elif loses_aspect(info, info.codec, muxer):
        reason = f"{muxer} would lose the shape of its pixels in {info.codec}"
    elif working_format(info.pix_fmt).alpha and not keeps_alpha(own, muxer):
        reason = f"{muxer} would lose its alpha in {info.codec}"
    else:
        reason = f"{own} cannot write {info.pix_fmt} of {info.width}x{info.height} without loss"
    return f"the video was {info.codec} and is written as {written} by {fit.codec}: {reason}"
