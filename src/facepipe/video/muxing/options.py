"""Options of the muxers, and metadata of streams: exact times, and nothing dropped on the way."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from fractions import Fraction

import av
from av.container import InputContainer
from av.stream import Stream

from facepipe.datatypes import VideoInfo
from facepipe.video.containers import Container
from facepipe.video.encode import written_tags
from facepipe.video.muxing.languages import mov_language
from facepipe.video.muxing.pace import sound_base
from facepipe.video.pixel_formats import UNSPECIFIED
from facepipe.video.streams import is_cover, is_timecode, is_written_by_muxer

_NOT_COPIED = ("major_brand", "minor_version", "compatible_brands", "encoder", "duration")
# What mkvmerge and FFmpeg note about the packets that are replaced here.
_STATISTICS = ("bps", "number_of_", "_statistics_", "duration", "encoder", "alpha_mode")
_LAYOUTS = {1: "mono", 2: "stereo"}
_COARSEST_VIDEO = 20000  # the mov muxer doubles video time scales until they pass half of this
_LARGEST_TIMESCALE = 2**31 - 1


def is_copied(stream: Stream, leave_out: Collection[int]) -> bool:
    """Whether a stream other than the video is copied, not left out or written by the muxer."""
    return stream.index not in leave_out and not is_written_by_muxer(stream)


def muxer_options(
    container: Container, time_base: Fraction, opened: InputContainer
) -> dict[str, str]:
    """Options with which the muxer keeps times as they are; `time_base` is the video's."""
    options = dict(container.options)
    if container.isobmff:
        options["movflags"] = "+faststart"
        options |= _timescales(time_base, opened, container)
        if any(is_timecode(stream) for stream in opened.streams):
            options["write_tmcd"] = "1"
    return options


def own_keys(metadata: Mapping[str, str], container: Container) -> dict[str, str]:
    """The keys that FFmpeg's muxer has no field for in an mp4 or mov.

    FFmpeg gives a value with a language twice, once with the language behind the key.
    """
    fields = container.metadata_keys
    if fields is None:
        return {}
    lower = {key.lower(): value for key, value in metadata.items()}

    def is_known(key: str, value: str) -> bool:
        base = key.rpartition("-")[0]
        return key in fields or (base in fields and lower.get(base) == value)

    found = {key: value for key, value in metadata.items() if not is_known(key.lower(), value)}
    # FFmpeg makes a track of it, which the file itself does not tell.
    with_code = {key: value for key, value in metadata.items() if key.lower() == "timecode"}
    return found | with_code if found else {}


def _timescales(
    time_base: Fraction, opened: InputContainer, container: Container
) -> dict[str, str]:
    options = {}
    videos = [s for s in opened.streams if s.type == "video" and not is_cover(s)]
    if len(videos) == 1 and time_base.numerator == 1:
        options["video_track_timescale"] = str(time_base.denominator)
    # Start offsets are stored in the file's own time scale; its default of 1 ms rounds them.
    scale = time_base.denominator
    for stream in opened.streams:
        base = sound_base(stream, container) or stream.time_base or Fraction(1)
        common = math.lcm(scale, base.denominator)
        scale = common if common <= _LARGEST_TIMESCALE else scale
    return options | {"movie_timescale": str(min(scale, _LARGEST_TIMESCALE))}


def copied_time_base(
    stream: Stream, opened: InputContainer, container: Container
) -> Fraction | None:
    """The source's time base, made finer where the mov muxer needs it; of sound, its samples.

    That muxer compares the end of a subtitle with other streams' times as bare numbers, and cuts
    subtitles short in a text track whose ticks are longer than the others'.
    """
    base = sound_base(stream, container) or stream.time_base
    if not base or not container.isobmff or stream.type != "subtitle":
        return base
    bases = [s.time_base.denominator for s in opened.streams if s.time_base]
    finest = max([_COARSEST_VIDEO, *bases])
    return base / math.ceil(finest * base)


def merged_metadata(existing: Mapping[str, str], added: Mapping[str, str]) -> dict[str, str]:
    """The source's keys with ours; where both have one, ours is appended once."""
    result = {k: v for k, v in existing.items() if k.lower() not in _NOT_COPIED}
    for key, value in added.items():
        at = next((k for k in result if k.lower() == key.lower()), key)
        old = result.get(at, "")
        if value not in old:
            result[at] = f"{old}; {value}" if old else value
    return result


def stream_metadata(stream: Stream, container: Container, *, replaced: bool) -> dict[str, str]:
    """A stream's metadata under the container's names of the keys.

    Without statistics of packets that are `replaced`.
    """
    keys = {
        key: value
        for key, value in stream.metadata.items()
        if not (replaced and key.lower().startswith(_STATISTICS))
    }
    name = keys.pop("name", None)  # what mov and mp4 call the title of a track
    if name is not None:
        keys.setdefault("title", name)
    if container.quicktime_languages and "language" in keys:
        keys["language"] = mov_language(keys["language"])
    return keys


def tag_colour(context: av.VideoCodecContext, first: av.VideoFrame, info: VideoInfo) -> None:
    """Tag the stream's colours where the codec's own headers do not (VP9, FFV1).

    `first` is the source's first frame; where frames have several forms, the video's tags count.
    """
    if info.forms:
        context.color_range, context.colorspace = info.tags[:2]
        context.color_primaries, context.color_trc = info.tags[2:]
        return
    if context.pix_fmt is None:
        return
    range_, matrix = written_tags(first, context.pix_fmt, info, context.height)
    context.color_range = context.color_range or range_
    if context.colorspace == UNSPECIFIED:
        context.colorspace = matrix
    if context.color_primaries == UNSPECIFIED:
        context.color_primaries = first.color_primaries
    if context.color_trc == UNSPECIFIED:
        context.color_trc = first.color_trc


def name_layout(copy: Stream, container: Container) -> None:
    """Name the channels of PCM where its source only counts them and the container needs them."""
    if isinstance(copy, av.AudioStream) and container.needs_layout:
        name = _LAYOUTS.get(copy.codec_context.layout.nb_channels)
        if copy.codec_context.layout.name.endswith("channels") and name is not None:
            copy.codec_context.layout = name
