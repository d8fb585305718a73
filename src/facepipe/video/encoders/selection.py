"""Choice of the encoder where the user names none: of the source's codec wherever that is good."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from facepipe.datatypes import PixelFormat, VideoInfo
from facepipe.errors import UsageError
from facepipe.video.containers import GENERAL_SUFFIX, Container, container_of
from facepipe.video.encoders.levels import h264_options
from facepipe.video.encoders.settings import (
    EncodeSettings,
    find_encoder,
    open_refusal,
    output_pix_fmt,
    pix_fmt_loss,
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
#: For videos whose codec is not kept: first those that every player knows, then those that hold
#: all there is at many times the size.
_USUAL = ("libx264", "libx264rgb", "libx265", "libvpx-vp9", "libsvtav1")
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
class EncoderChoice:
    """An encoder, the options that it must have for this video, and why it is another codec."""

    codec: str
    options: tuple[tuple[str, str], ...] = ()
    note: str | None = None


@dataclass(frozen=True)
class _Candidate:
    """How well an encoder keeps a video's frames."""

    codec: str
    pix_fmt: str
    lost: tuple[int, ...]  # zeros: nothing
    exact: bool  # the same values at the same places


def choose_encoder(info: VideoInfo, suffix: str, scale: int = 1) -> EncoderChoice:
    """The encoder for a video that goes to a file of this suffix, `scale` times as large.

    The source's codec stays where there is a good software encoder of it that loses nothing of the
    pixel format and the container takes it. Else the first that loses nothing, among those that
    everyone plays before those that make large files; where none is, the one that loses least.
    Decided by `info`, `suffix` and `scale` alone, among the encoders that open here. Errors:
    UsageError for an unknown suffix, or where no encoder opens.
    """
    container = container_of(suffix)
    own = KEPT.get(info.codec)
    if own == "libx264" and working_format(info.pix_fmt).model == "rgb":
        own = "libx264rgb"
    tried = _candidates([] if own is None else [own], info, container, scale)
    for kept in tried:
        if not any(kept.lost):
            return EncoderChoice(kept.codec, _forced(kept.codec, info, kept.pix_fmt, scale), None)
    for group in (_USUAL, _LARGE):
        candidates = _candidates(group, info, container, scale)
        best = _best_lossless(candidates)
        if best is not None:
            return _chosen(best, info, own, container, scale)
        tried += candidates
    if not tried:
        raise UsageError(
            f"no encoder here writes {info.pix_fmt} of {info.width * scale}x{info.height * scale} "
            f"to {suffix}; name another target, such as {GENERAL_SUFFIX}, or an encoder with "
            "--codec"
        )
    least = min(tried, key=lambda candidate: candidate.lost)  # the first among equals
    return _chosen(least, info, own, container, scale)


def _candidates(
    codecs: Iterable[str], info: VideoInfo, container: Container, scale: int
) -> list[_Candidate]:
    """Those of `codecs` that can write the video."""
    found = (_candidate(codec, info, container, scale) for codec in codecs)
    return [candidate for candidate in found if candidate is not None]


def _best_lossless(candidates: Sequence[_Candidate]) -> _Candidate | None:
    """The first that loses nothing and is exact, else the first that loses nothing."""
    lossless = [candidate for candidate in candidates if not any(candidate.lost)]
    return next((one for one in lossless if one.exact), lossless[0] if lossless else None)


def named_encoder(name: str, info: VideoInfo, pix_fmt: str | None, scale: int = 1) -> EncoderChoice:
    """The encoder that the user named, or of the codec that was named, with its options.

    `pix_fmt` is the pixel format that was named, None: none. Errors: UsageError for no encoder.
    """
    codec = KEPT.get(name, name)
    settings = EncodeSettings(codec, pix_fmt=pix_fmt, scale=scale)
    return EncoderChoice(codec, _forced(codec, info, output_pix_fmt(settings, info)[0], scale))


def _candidate(codec: str, info: VideoInfo, container: Container, scale: int) -> _Candidate | None:
    """How well `codec` keeps the video; None where it cannot write it at all."""
    try:
        canonical = find_encoder(codec).canonical_name
    except UsageError:  # left out of this build of FFmpeg
        return None
    if not container.holds_video(canonical) or container.loses_aspect(info, canonical):
        return None
    settings = EncodeSettings(codec, scale=scale)
    pix_fmt, _ = output_pix_fmt(settings, info)
    if open_refusal(settings, info, pix_fmt) is not None:
        return None
    source, target = working_format(info.pix_fmt), pixel_format(pix_fmt)
    if target.alpha and not _keeps_alpha(codec, container):
        return None
    lost = _lost(codec, info, source, target)
    return _Candidate(codec, pix_fmt, lost, same_values(source, target))


def _lost(
    codec: str, info: VideoInfo, source: PixelFormat, target: PixelFormat
) -> tuple[int, int, int, int, int]:
    """What an encoder loses: colour, alpha, bits, the colour model, chroma samples; 0: nothing."""
    gray, alpha, bits, colours, chroma = pix_fmt_loss(source, target)[:5]
    if codec == "prores_ks":
        # A ProRes stream has no depth of its own: FFmpeg reads 4444 as 12 bit and writes it from
        # 10. And 8 bits of RGB come back out of 10 bits of YUV.
        bits = bits if source.bits > 12 or info.codec != "prores" else 0
        colours = colours and source.bits > 8
    return int(gray), int(alpha), int(bits), int(colours), int(chroma)


def _keeps_alpha(codec: str, container: Container) -> bool:
    """Whether the alpha that an encoder takes can be kept; VP9 has it in packets' side data."""
    return codec != "libvpx-vp9" or container.block_additions


def _chosen(
    chosen: _Candidate, info: VideoInfo, own: str | None, container: Container, scale: int
) -> EncoderChoice:
    options = _forced(chosen.codec, info, chosen.pix_fmt, scale)
    return EncoderChoice(chosen.codec, options, _why(chosen, info, own, container))


def _forced(codec: str, info: VideoInfo, pix_fmt: str, scale: int) -> tuple[tuple[str, str], ...]:
    """The profile that ProRes must have: the source's, or one that holds the pixel format.

    Of H.264, the profile and the level.
    """
    if codec == "libx264":
        return h264_options(info, pix_fmt, scale)
    if codec != "prores_ks":
        return ()
    rich = pixel_format(pix_fmt).shift_x == 0
    own = PRORES.get(info.profile or "") if info.codec == "prores" else None
    if own is not None and rich == own.startswith("4444"):
        return (("profile", own),)
    return (("profile", "4444"),) if rich else ()


def _why(chosen: _Candidate, info: VideoInfo, own: str | None, container: Container) -> str:
    muxer = container.muxer
    written = find_encoder(chosen.codec).canonical_name
    if written == info.codec:
        return f"{info.codec} is written by {chosen.codec}, which holds {info.pix_fmt} best"
    if own is None:
        reason = f"facepipe writes no {info.codec}"
    elif not container.holds_video(info.codec):
        reason = f"{muxer} cannot hold {info.codec}"
    elif container.loses_aspect(info, info.codec):
        reason = f"{muxer} would lose the shape of its pixels in {info.codec}"
    elif working_format(info.pix_fmt).alpha and not _keeps_alpha(own, container):
        reason = f"{muxer} would lose its alpha in {info.codec}"
    else:
        reason = f"{own} cannot write {info.pix_fmt} of {info.width}x{info.height} without loss"
    return f"the video was {info.codec} and is written as {written} by {chosen.codec}: {reason}"
