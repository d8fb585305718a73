"""How the muxer of each container is set up for exact times, and told of what it is to keep."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from fractions import Fraction

import av
from av.container import InputContainer
from av.stream import Stream

from facepipe.datatypes import VideoInfo
from facepipe.video.encode import tags_of
from facepipe.video.muxing.languages import mov_language
from facepipe.video.pixel_formats import UNSPECIFIED
from facepipe.video.streams import is_cover, is_made_anew, is_timecode

# What mov and mp4 store as it is; other keys need QuickTime's free-form metadata.
_MOV_KEYS = (
    *("title", "artist", "album", "date", "encoder", "comment", "genre", "copyright", "location"),
    *("creation_time", "timecode", "language"),
    *("major_brand", "minor_version", "compatible_brands"),
)
_MP4_KEYS = (
    *("album_artist", "composer", "grouping", "lyrics", "description", "synopsis", "show"),
    *("keywords", "episode_id", "network", "track", "disc", "media_type", "hd_video"),
    *("gapless_playback", "compilation", "season_number", "episode_sort"),
)
_NOT_COPIED = ("major_brand", "minor_version", "compatible_brands", "encoder", "duration")
# What mkvmerge and FFmpeg note about the packets that are replaced here.
_STATISTICS = ("bps", "number_of_", "_statistics_", "duration", "encoder", "alpha_mode")
_LAYOUTS = {1: "mono", 2: "stereo"}
_COARSEST_VIDEO = 20000  # the mov muxer doubles video time scales until they pass half of this
_LARGEST_TIMESCALE = 2**31 - 1


def is_copied(stream: Stream, leave_out: Collection[int]) -> bool:
    """Whether a stream other than the film is copied, not left out or made anew by the muxer."""
    return stream.index not in leave_out and not is_made_anew(stream)


def muxer_options(
    muxer: str, info: VideoInfo, opened: InputContainer, metadata: Mapping[str, str]
) -> dict[str, str]:
    """Options with which the muxer keeps times as they are, and keys that it would drop."""
    if muxer in ("mp4", "mov"):
        flags = ["faststart"]
        # With free-form keys, that muxer writes no cover; a cover is worth more.
        covered = any(is_cover(s) for s in opened.streams)
        known = (*_MOV_KEYS, *(_MP4_KEYS if muxer == "mp4" else ()))
        if not covered and any(key.lower() not in known for key in metadata):
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
        if any(is_timecode(s) for s in opened.streams):
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
    if not base or muxer not in ("mp4", "mov") or stream.type != "subtitle":
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


def stream_metadata(stream: Stream, muxer: str, *, replaced: bool) -> dict[str, str]:
    """A stream's keys in the container's own words.

    Without what describes packets that are `replaced`.
    """
    keys = {
        key: value
        for key, value in stream.metadata.items()
        if not (replaced and key.lower().startswith(_STATISTICS))
    }
    name = keys.pop("name", None)  # what mov and mp4 call the title of a track
    if name is not None:
        keys.setdefault("title", name)
    if muxer == "mov" and "language" in keys:
        keys["language"] = mov_language(keys["language"])
    return keys


def settle_colour(context: av.VideoCodecContext, picture: av.VideoFrame, info: VideoInfo) -> None:
    """Tell the container what colours mean where the codec's own headers do not (VP9, FFV1).

    `picture` is the source's first one.
    """
    if context.pix_fmt is None:
        return
    range_, matrix = tags_of(picture, context.pix_fmt, info, context.height)
    context.color_range = context.color_range or range_
    if context.colorspace == UNSPECIFIED:
        context.colorspace = matrix
    if context.color_primaries == UNSPECIFIED:
        context.color_primaries = picture.color_primaries
    if context.color_trc == UNSPECIFIED:
        context.color_trc = picture.color_trc


def settle_layout(copy: Stream, muxer: str) -> None:
    """Say which channels PCM has where its source only counts them: mp4 wants to know."""
    if isinstance(copy, av.AudioStream) and muxer == "mp4":
        name = _LAYOUTS.get(copy.codec_context.layout.nb_channels)
        if copy.codec_context.layout.name.endswith("channels") and name is not None:
            copy.codec_context.layout = name
