"""Whether the source's own packets can stand beside ours in one stream, and what that takes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from facepipe.datatypes import VideoInfo
from facepipe.video.bitstream import h264_is_lossless, h264_parameter_set_ids
from facepipe.video.containers import muxer_of
from facepipe.video.encoders.selection import PRORES
from facepipe.video.encoders.settings import EncodeSettings, find_encoder
from facepipe.video.pixel_formats import same_layout

#: Encoders whose packets join the source's, and the muxers in which they do. H.264's parameter
#: sets all go into the header, ours by an id of their own. HEVC's come with every keyframe, which
#: Apple's players do not take in mp4. AV1's sequence headers always do, and mp4 wants but one.
_JOINED: dict[str, tuple[str, ...]] = {
    "libx264": ("mp4", "mov", "matroska", "mpegts", "nut"),
    "libx265": ("matroska", "mpegts", "nut"),
    "libsvtav1": ("matroska", "webm"),
    "libvpx-vp9": ("mp4", "matroska", "webm"),
    "prores_ks": ("mov", "matroska"),
}
_OWN_ID = "sps-id"
_IDS = range(31, 0, -1)


@dataclass(frozen=True)
class SmartRender:
    """What of a source may be copied: nothing, a film in which nothing is changed, or any part.

    `why` says what stands in the way of the next larger.
    """

    extent: Literal["none", "whole", "parts"]
    why: str = ""


def copyable(info: VideoInfo, settings: EncodeSettings, target: Path) -> SmartRender:
    """What may be copied to `target`; `settings` (pix_fmt settled) encode the rest."""
    if settings.scale != 1:
        return SmartRender("none", "the film is enlarged")
    codec = find_encoder(settings.codec).canonical_name
    if codec != info.codec:
        return SmartRender("none", f"{info.codec} becomes {codec}")
    if settings.pix_fmt is None or not _same_pixels(settings.pix_fmt, info):
        return SmartRender("none", f"{info.pix_fmt} becomes {settings.pix_fmt}")
    muxer = muxer_of(target)
    if muxer not in _JOINED.get(settings.codec, ()):
        return SmartRender("whole", f"{settings.codec} does not join {info.codec} in {muxer}")
    options = dict(settings.options)
    if settings.codec == "prores_ks" and options.get("profile") != PRORES.get(info.profile or ""):
        return SmartRender("whole", f"ProRes {info.profile} joins no other profile")
    if settings.codec != "libx264":
        return SmartRender("parts")
    if _OWN_ID in options.get("x264-params", ""):
        return SmartRender("whole", f"{_OWN_ID} is given")
    if h264_is_lossless(info.parameter_sets) is not (
        "0" in (options.get("qp"), options.get("crf"))
    ):
        # FFmpeg's decoder shows lossless pictures wrong after lossy ones, and others after it.
        return SmartRender("whole", "lossless H.264 joins none that is not")
    return SmartRender("parts")


def settings_to_join(settings: EncodeSettings, info: VideoInfo) -> EncodeSettings:
    """The settings with which packets are made that stand beside the source's own."""
    if settings.codec != "libx264":
        return settings
    taken = h264_parameter_set_ids(info.parameter_sets)
    own = next(number for number in _IDS if number not in taken)
    options = dict(settings.options)
    given = options.get("x264-params")
    options["x264-params"] = f"{given}:{_OWN_ID}={own}" if given else f"{_OWN_ID}={own}"
    return replace(settings, options=tuple(sorted(options.items())))


def _same_pixels(pix_fmt: str, info: VideoInfo) -> bool:
    # A ProRes stream has no depth of its own: FFmpeg reads 4444 as 12 bit and writes it from 10.
    own = info.pix_fmt.replace("12le", "10le") if info.codec == "prores" else info.pix_fmt
    return same_layout(pix_fmt, own)
