"""Choose how the video is encoded: the encoder, its options, and notes on what they change."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from facepipe.configs.settings import OutputSettings
from facepipe.datatypes import VideoInfo
from facepipe.errors import InputError, UsageError
from facepipe.video import EncodeSettings, output_pix_fmt
from facepipe.video.containers import container_of
from facepipe.video.encoders.levels import level_warning, profile_note
from facepipe.video.encoders.purposes import purpose_notes
from facepipe.video.encoders.quality import encoder_options_of
from facepipe.video.encoders.selection import choose_encoder, named_encoder
from facepipe.video.encoders.selftest import require_usable
from facepipe.video.encoders.settings import find_encoder
from facepipe.video.keyframes import keyframes_note, late_keyframe
from facepipe.video.pixel_formats import pixel_format

#: Threads of each encoder. Fixed, because x264's result depends on it and ours must not.
ENCODER_THREADS = 2


def encode_settings(
    output: OutputSettings, info: VideoInfo, target: Path, stop: int
) -> tuple[EncodeSettings, list[str]]:
    """How the video is encoded up to pts `stop`, and notes on where that differs from the source.

    Errors: UsageError for what no encoder can do.
    """
    if output.pix_fmt is not None:
        _check_pix_fmt(output.pix_fmt)
    named = output.codec != "auto"
    if named:
        require_usable(output.codec)
        chosen = named_encoder(output.codec, info, output.pix_fmt, output.scale)
    else:
        asked = info if output.pix_fmt is None else replace(info, pix_fmt=output.pix_fmt)
        chosen = choose_encoder(asked, target.suffix, output.scale)
    options, notes = encoder_options_of(output, chosen.codec, chosen.options, named=named)
    encode = EncodeSettings(
        codec=chosen.codec,
        options=options,
        pix_fmt=output.pix_fmt,
        threads=ENCODER_THREADS,
        scale=output.scale,
        keyframe_seconds=output.keyframes,
        keyframes=() if container_of(target).has_index else late_keyframe(info, stop),
    )
    pix_fmt, changed = output_pix_fmt(encode, info)
    codec = find_encoder(chosen.codec).canonical_name
    all_notes = (
        chosen.note,
        changed,
        *notes,
        profile_note(info, codec, dict(options)),
        keyframes_note(info, codec, output.keyframes),
        level_warning(info, codec, output.scale),
        *purpose_notes(output.purpose, info, output.scale),
    )
    return replace(encode, pix_fmt=pix_fmt), [note for note in all_notes if note]


def _check_pix_fmt(name: str) -> None:
    try:
        pixel_format(name)
    except InputError as error:
        raise UsageError(f"--pix-fmt {name}: {error}; use for instance yuv420p") from error
