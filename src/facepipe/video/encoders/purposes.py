"""Purposes of a video (`--for`): codec, pixel format, options; the containers are in their rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from facepipe.configs.settings import OutputSettings, Purpose
from facepipe.datatypes import VideoInfo
from facepipe.errors import UsageError
from facepipe.video.containers import CONTAINERS
from facepipe.video.encoders.levels import h264_level, lesser_profile, source_level
from facepipe.video.encoders.selection import KEPT

#: Codecs of audio that browsers play in mp4.
_BROWSERS_PLAY = ("aac", "mp3", "opus", "flac")


@dataclass(frozen=True)
class PurposeSpec:
    """What a purpose asks for; options of the command line and of settings go before it.

    `codec` is an encoder's name, None: the source's codec.
    """

    codec: str | None = None
    pix_fmt: str | None = None


PURPOSES: Mapping[Purpose, PurposeSpec] = {
    # 8 bits of 4:2:0 are H.264's High profile, or less; the muxer writes the index first anyway.
    "web": PurposeSpec("libx264", "yuv420p"),
    "edit": PurposeSpec("prores_ks", None),
    "archive": PurposeSpec("ffv1", None),
    "device": PurposeSpec(),
}


def suffixes_for(purpose: Purpose | None) -> tuple[str, ...]:
    """Suffixes of the containers that a purpose is for, the usual one first; empty: any."""
    return next((one.suffixes for one in CONTAINERS if purpose in one.purposes), ())


def suffix_for(purpose: Purpose | None, suffix: str) -> str:
    """The suffix of a file for a purpose: the one it has, where the purpose takes that."""
    suffixes = suffixes_for(purpose)
    return suffix if not suffixes or suffix.lower() in suffixes else suffixes[0]


def for_purpose(output: OutputSettings, info: VideoInfo, target: Path) -> OutputSettings:
    """The settings with what their purpose asks for, where they do not say otherwise themselves.

    Errors: UsageError for a target of another container.
    """
    purpose = output.purpose
    if purpose is None:
        return output
    spec = PURPOSES[purpose]
    if suffix_for(purpose, target.suffix) != target.suffix:
        allowed = " or ".join(suffixes_for(purpose))
        raise UsageError(f"--for {purpose} writes {allowed}, not {target.name}")
    codec = spec.codec or (KEPT.get(info.codec) if purpose == "device" else None)
    changes: dict[str, object] = {}
    if output.codec == "auto" and codec is not None:
        changes["codec"] = codec
    if output.pix_fmt is None and spec.pix_fmt is not None:
        changes["pix_fmt"] = spec.pix_fmt
    if output.codec in ("auto", spec.codec):
        changes["options"] = _limits(purpose, info, output) | output.options
    return output.model_copy(update=changes)


def _limits(purpose: Purpose, info: VideoInfo, output: OutputSettings) -> dict[str, str]:
    """The bit rate that a decoder of the level takes, for H.264 that is to play on a device."""
    is_bounded = purpose == "device" and info.codec == "h264"
    level = h264_level(info, output.scale) if is_bounded else None
    if level is None:
        return {}
    factor = 1.0 if lesser_profile(info) else 1.25  # of the High profile
    return {
        "maxrate": f"{round(level.kilobits * factor)}k",
        "bufsize": f"{round(level.buffer * factor)}k",
    }


def purpose_notes(purpose: Purpose | None, info: VideoInfo, scale: int) -> list[str]:
    """What of a video does not suit its purpose and stays all the same, a sentence each."""
    notes = []
    if purpose == "web":
        audio = {stream.codec for stream in info.others if stream.kind == "audio"}
        for codec in sorted(audio - {*_BROWSERS_PLAY}):
            notes.append(f"few browsers play {codec}, and audio is never encoded again")
        if info.fields:
            notes.append("interlaced frames stay so; browsers show both fields at once")
    own = source_level(info)
    written = h264_level(info, scale)
    if purpose == "device" and own is not None and written not in (own, None):
        assert written is not None
        notes.append(f"level {written.name} of H.264 is needed, where the source has {own.name}")
    return notes
