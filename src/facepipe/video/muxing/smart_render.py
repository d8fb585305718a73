"""Smart rendering: only what changes is encoded, the rest are the source's own packets.

Here is whether both can stand in one stream, and with which settings of the encoder.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from facepipe.datatypes import VideoInfo
from facepipe.video.bitstream import h264_is_lossless, h264_parameter_set_ids
from facepipe.video.containers import container_of
from facepipe.video.encoders.selection import PRORES
from facepipe.video.encoders.settings import EncodeSettings, find_encoder
from facepipe.video.pixel_formats import same_layout

_OWN_ID = "sps-id"
_IDS = range(31, 0, -1)


@dataclass(frozen=True)
class SmartRender:
    """How much of a source's video may be copied: none, all of it or nothing, or any part.

    `why` says what stands in the way of more.
    """

    extent: Literal["none", "whole", "parts"]
    why: str = ""


def smart_render_of(info: VideoInfo, settings: EncodeSettings, target: Path) -> SmartRender:
    """What may be copied to `target`; `settings`, with their pix_fmt chosen, encode the rest."""
    if settings.scale != 1:
        return SmartRender("none", "the video is enlarged")
    if info.has_second_view:
        return SmartRender("none", "a second view is coded on top of it")
    codec = find_encoder(settings.codec).canonical_name
    if codec != info.codec:
        return SmartRender("none", f"{info.codec} becomes {codec}")
    if settings.pix_fmt is None or not _same_pixels(settings.pix_fmt, info):
        return SmartRender("none", f"{info.pix_fmt} becomes {settings.pix_fmt}")
    container = container_of(target)
    if settings.codec not in container.joins:
        why = f"{settings.codec} does not join {info.codec} in {container.muxer}"
        return SmartRender("whole", why)
    options = dict(settings.options)
    if settings.codec == "prores_ks" and options.get("profile") != PRORES.get(info.profile or ""):
        return SmartRender("whole", f"ProRes {info.profile} joins no other profile")
    return _of_h264(info, options) if settings.codec == "libx264" else SmartRender("parts")


def _of_h264(info: VideoInfo, options: Mapping[str, str]) -> SmartRender:
    if _OWN_ID in options.get("x264-params", ""):
        return SmartRender("whole", f"{_OWN_ID} is given")
    lossless = "0" in (options.get("qp"), options.get("crf"))
    if h264_is_lossless(info.parameter_sets) is not lossless:
        # FFmpeg's decoder shows lossless frames wrong after lossy ones, and others after it.
        return SmartRender("whole", "lossless H.264 joins none that is not")
    return SmartRender("parts")


def joinable_settings(settings: EncodeSettings, info: VideoInfo) -> EncodeSettings:
    """The settings whose packets can stand in one stream with the source's own."""
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
