"""What each container can hold, and how its muxer is set up for exact times."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer, OutputContainer
from av.stream import Disposition, Stream

from facepipe.errors import MediaError, OutputError
from facepipe.frames import VideoInfo
from facepipe.media.containers import holds_video, loses_aspect, muxer_of, open_source
from facepipe.media.encoders import EncodeSettings, find_encoder
from facepipe.media.probe import codec_name, has_decoder, is_chapter_track

_TRANSPORT_CODECS = (
    *("mpeg1video", "mpeg2video", "mpeg4", "h264", "hevc", "vvc", "av1"),
    *("aac", "aac_latm", "mp2", "mp3", "ac3", "eac3", "dts", "truehd", "opus"),
    *("dvb_subtitle", "dvb_teletext", "hdmv_pgs_subtitle", "klv", "scte_35", "timed_id3"),
)
# What mp4 stores as it is; other keys need QuickTime's free-form metadata.
_MP4_KEYS = (
    *("title", "artist", "album_artist", "composer", "album", "date", "encoder", "comment"),
    *("genre", "copyright", "grouping", "lyrics", "description", "synopsis", "show", "keywords"),
    *("episode_id", "network", "track", "disc", "creation_time", "timecode", "language"),
    *("major_brand", "minor_version", "compatible_brands"),
)
_NOT_COPIED = ("major_brand", "minor_version", "compatible_brands", "encoder", "duration")
# What mkvmerge and FFmpeg note about the packets that are replaced here.
_STATISTICS = ("bps", "number_of_", "_statistics_", "duration", "encoder", "alpha_mode")
_HOMELESS = ("unknown", "bin_data")  # data of a kind that no muxer knows
_COARSEST_VIDEO = 20000  # the mov muxer doubles video time scales until they pass half of this
_LARGEST_TIMESCALE = 2**31 - 1


def check_target(
    source: Path,
    info: VideoInfo,
    target: Path,
    *,
    settings: EncodeSettings,
    leave_out: Collection[int] = (),
) -> None:
    """Raise before hours of work if the target's container cannot hold a stream.

    `leave_out` are indices of source streams not to be copied. Errors: UsageError for an unknown
    suffix, OutputError for a missing folder, MediaError naming stream, codec, container and one
    that can hold it.
    """
    muxer = muxer_of(target)
    if not target.absolute().parent.is_dir():
        raise OutputError(f"the folder of {target} does not exist; make it first")
    with (
        open_source(source) as opened,
        av.open(f"{target}.never-written", "w", format=muxer) as trial,
    ):
        codec = find_encoder(settings.codec).canonical_name
        held = holds_video(muxer, codec) and _takes(trial, settings.codec)
        _require(info.stream_index, "video", codec, held, muxer)
        _require_aspect(info, codec, muxer)
        for stream in opened.streams:
            if stream.index == info.stream_index or not is_copied(stream, muxer, leave_out):
                continue
            holds = _holds(trial, stream, muxer)
            _require(stream.index, stream.type, codec_name(stream), holds, muxer)


def homeless_streams(source: Path) -> tuple[tuple[int, str], ...]:
    """Index and codec of data streams that no container takes; they cannot but be left out."""
    with open_source(source) as opened:
        return tuple(
            (stream.index, codec_name(stream))
            for stream in opened.streams
            if stream.type == "data" and codec_name(stream) in _HOMELESS
        )


def is_copied(stream: Stream, muxer: str, leave_out: Collection[int]) -> bool:
    """Whether a stream other than the film is copied, not left out or made anew by the muxer."""
    return (
        stream.index not in leave_out
        and not is_chapter_track(stream)
        and not is_timecode(stream, muxer)
    )


def is_timecode(stream: Stream, muxer: str) -> bool:
    """Whether the mov muxer writes this stream anew from the `timecode` key."""
    return stream.type == "data" and muxer in ("mov", "mp4") and "timecode" in stream.metadata


def is_cover(stream: Stream) -> bool:
    """Whether a stream is a single attached picture."""
    return bool(stream.disposition & Disposition.attached_pic)


def muxer_options(
    muxer: str, info: VideoInfo, opened: InputContainer, metadata: Mapping[str, str]
) -> dict[str, str]:
    """Options with which the muxer keeps times as they are, and keys that it would drop."""
    if muxer in ("mp4", "mov"):
        flags = ["faststart"]
        if any(key.lower() not in _MP4_KEYS for key in metadata):
            flags.append("use_metadata_tags")
        options = {"movflags": "+" + "+".join(flags)}
        films = [s for s in opened.streams if s.type == "video" and not is_cover(s)]
        if len(films) == 1 and info.time_base.numerator == 1:
            options["video_track_timescale"] = str(info.time_base.denominator)
        # Start offsets are stored in the film's own time scale; its default of 1 ms rounds them.
        scale = info.time_base.denominator
        for stream in opened.streams:
            base = stream.time_base or Fraction(1)
            if math.lcm(scale, base.denominator) <= _LARGEST_TIMESCALE:
                scale = math.lcm(scale, base.denominator)
        options["movie_timescale"] = str(min(scale, _LARGEST_TIMESCALE))
        if any(is_timecode(s, muxer) for s in opened.streams):
            options["write_tmcd"] = "1"
        return options
    if muxer == "mpegts":
        return {"mpegts_copyts": "1"}
    return {}


def copied_time_base(stream: Stream, opened: InputContainer, muxer: str) -> Fraction | None:
    """The source's time base, made finer where the mov muxer needs it.

    That muxer compares the end of a caption with other streams' times as bare numbers, and cuts
    captions short in a text track whose ticks are longer than the others'.
    """
    base = stream.time_base
    if base is None or muxer not in ("mp4", "mov") or stream.type != "subtitle":
        return base
    bases = [s.time_base.denominator for s in opened.streams if s.time_base]
    finest = max([_COARSEST_VIDEO, *bases])
    return base / math.ceil(finest * base)


def keeps_negative_times(muxer: str) -> bool:
    """Whether packets may lie before time zero, and be skipped there by players."""
    return muxer in ("mp4", "mov")


def merged_metadata(existing: Mapping[str, str], added: Mapping[str, str]) -> dict[str, str]:
    """The source's keys with ours; where both have one, ours is appended once."""
    result = {k: v for k, v in existing.items() if k.lower() not in _NOT_COPIED}
    for key, value in added.items():
        at = next((k for k in result if k.lower() == key.lower()), key)
        old = result.get(at, "")
        if value not in old:
            result[at] = f"{old}; {value}" if old else value
    return result


def stream_metadata(stream: Stream, *, replaced: bool) -> dict[str, str]:
    """A stream's keys, without what describes packets that are replaced."""
    return {
        key: value
        for key, value in stream.metadata.items()
        if not (replaced and key.lower().startswith(_STATISTICS))
    }


def _holds(trial: OutputContainer, stream: Stream, muxer: str) -> bool:
    if stream.type == "attachment":
        return muxer == "matroska"
    if muxer == "mpegts":
        return codec_name(stream) in _TRANSPORT_CODECS
    if is_cover(stream) and muxer in ("matroska", "mp4", "mov"):
        return True
    if stream.type not in ("video", "audio", "subtitle"):
        return muxer in ("mp4", "mov") and codec_name(stream) not in _HOMELESS
    return has_decoder(stream) and _takes(trial, stream.codec_context.codec.name)


def _takes(trial: OutputContainer, codec: str) -> bool:
    try:
        trial.add_mux_stream(codec)
    except ValueError:
        return False
    return True


def _require_aspect(info: VideoInfo, codec: str, muxer: str) -> None:
    if loses_aspect(info, codec, muxer):
        raise MediaError(
            f"{muxer} would lose the pixel aspect ratio {info.sample_aspect_ratio} of {codec}; "
            "use .mp4, or encode with libx264 or libx265"
        )


def _require(index: int, kind: str, codec: str, holds: bool, muxer: str) -> None:
    if holds:
        return
    other = "mov" if kind == "data" else "mkv"
    if kind == "data" and muxer in ("mp4", "mov"):
        advice = "no container can; leave the stream out"
    else:
        advice = f"use .{other}, which can, or leave the stream out"
    raise MediaError(f"{muxer} cannot hold stream {index} ({kind}, {codec}); {advice}")
