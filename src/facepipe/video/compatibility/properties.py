"""What a film is besides its pixels and sounds: the things that a container may lose."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
from av.container import InputContainer
from av.sidedata.sidedata import Type
from av.stream import Disposition, Stream

from facepipe.video.pixel_formats import side_data
from facepipe.video.pyav.mpegts import transport_of
from facepipe.video.sources import demuxed, open_source
from facepipe.video.streams import codec_name, has_decoder, is_cover, is_made_anew

#: Side data of pictures that mean something to a viewer, in words.
_SAID = {
    Type.MASTERING_DISPLAY_METADATA: "the mastering display",
    Type.CONTENT_LIGHT_LEVEL: "the content light level",
    Type.DYNAMIC_HDR_PLUS: "the HDR10+ data",
    Type.DOVI_RPU_BUFFER: "the Dolby Vision data",
    Type.DOVI_METADATA: "the Dolby Vision data",
    Type.A53_CC: "the closed captions within the picture",
    Type.S12M_TIMECODE: "the time codes within the picture",
    Type.AFD: "the active format",
    Type.SPHERICAL: "the projection of a sphere",
    Type.STEREO3D: "the stereo layout",
    Type.ICC_PROFILE: "the ICC profile",
    Type.AMBIENT_VIEWING_ENVIRONMENT: "the ambient viewing environment",
}
# What readers and writers note about the file or its packets, which are other ones now.
_TECHNICAL = (
    *("major_brand", "minor_version", "compatible_brands", "encoder", "duration", "handler_name"),
    *("vendor_id", "bps", "number_of_", "_statistics_", "source_id", "filename", "mimetype"),
    *("alpha_mode", "variant_bitrate", "encoded_date", "tagged_date"),
)
_PICTURES, _PACKETS = 3, 96
_STRAIGHT = (1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)


@dataclass(frozen=True)
class StreamTraits:
    """A stream, whatever is in it."""

    index: int
    kind: str  # as of StreamInfo, or cover
    codec: str
    language: str | None
    marks: Disposition
    keys: frozenset[str]  # of its metadata, in lower case, language apart
    layout: str | None  # of channels


@dataclass(frozen=True)
class Traits:
    """All that is compared between a source and what was made of it.

    `chapters` are seconds, title and further keys; `colour` matrix, primaries and transfer by
    H.273's numbers; `said` what side data of the first pictures tell.
    """

    keys: frozenset[str]
    chapters: tuple[tuple[float, str, frozenset[str]], ...]
    matrix: tuple[int, ...]
    aspect: Fraction
    full_range: bool
    colour: tuple[int, int, int]
    said: frozenset[str]
    interlaced: bool
    pix_fmt: str | None  # as decoded; None: nothing decodes
    rgb: bool
    alpha_beside: bool  # beside the picture, as in WebM
    programs: int  # into which a transport stream is divided; else 0
    film: StreamTraits
    streams: tuple[StreamTraits, ...]


def traits_of(path: Path, film: int) -> Traits:
    """The traits of a file, whose film is stream `film`. Errors: InputError as `open_source`."""
    with open_source(path) as opened:
        video = opened.streams[film]
        assert isinstance(video, av.VideoStream)
        keys = set(_keys(opened.metadata))
        transport = transport_of(path) if "mpegts" in opened.format.name else None
        keys |= transport.names.keys() if transport is not None else set()
        if any("timecode" in map(str.lower, stream.metadata) for stream in opened.streams):
            keys.add("timecode")
        chapters = tuple(
            (
                float(chapter["start"] * (chapter["time_base"] or 0)),
                chapter["metadata"].get("title", ""),
                frozenset(_keys(chapter["metadata"])) - {"title"},
            )
            for chapter in opened.chapters()
        )
        streams = tuple(
            _stream_traits(stream)
            for stream in opened.streams
            if stream.index != film and not is_made_anew(stream)
        )
        own = _stream_traits(video)
        aspect = Fraction(video.sample_aspect_ratio or 1)
        pictures: list[av.VideoFrame] = []
        beside = False
        for packet in _packets(opened, video):
            beside = beside or packet.has_sidedata("matroska_block_additional")
            with suppress(av.FFmpegError):  # what does not decode is told elsewhere
                pictures += video.decode(packet)
            if len(pictures) >= _PICTURES:
                break
    first = pictures[0] if pictures else None
    return Traits(
        keys=frozenset(keys),
        chapters=chapters,
        matrix=_matrix(first),
        aspect=aspect,
        full_range=first is not None and int(first.color_range) == 2,
        colour=(2, 2, 2)
        if first is None
        else (int(first.colorspace), int(first.color_primaries), int(first.color_trc)),
        said=frozenset(
            words for kind, words in _SAID.items() if any(side_data(p, kind) for p in pictures)
        ),
        interlaced=any(picture.interlaced_frame for picture in pictures),
        pix_fmt=first.format.name if first is not None else None,
        rgb=first is not None and first.format.is_rgb,
        alpha_beside=beside,
        programs=len(transport.programs) if transport is not None else 0,
        film=own,
        streams=streams,
    )


def _packets(opened: InputContainer, video: av.VideoStream) -> Iterator[av.Packet[av.VideoStream]]:
    video.codec_context.thread_count = 1
    with suppress(av.FFmpegError):
        yield from islice(demuxed(opened, video), _PACKETS)


def _matrix(picture: av.VideoFrame | None) -> tuple[int, ...]:
    data = side_data(picture, Type.DISPLAYMATRIX) if picture is not None else b""
    return tuple(memoryview(data[:36]).cast("i")) if data else _STRAIGHT


def _stream_traits(stream: Stream) -> StreamTraits:
    keys = {"title" if key == "name" else key for key in _keys(stream.metadata)}
    language = stream.metadata.get("language", "und")
    layout = None
    if isinstance(stream, av.AudioStream) and has_decoder(stream):
        layout = stream.codec_context.layout.name
    return StreamTraits(
        index=stream.index,
        kind="cover" if is_cover(stream) else stream.type,
        codec=codec_name(stream) if stream.type != "attachment" else "attachment",
        language=None if language == "und" else language,
        marks=Disposition(stream.disposition),
        keys=frozenset(keys - {"language", "timecode", "creation_time"}),
        layout=layout,
    )


def _keys(metadata: dict[str, str]) -> Iterator[str]:
    lower = {key.lower() for key, value in metadata.items() if value.strip()}
    for key in lower:
        # mov tells some keys twice, once with a language behind.
        if not key.startswith(_TECHNICAL) and key.rpartition("-")[0] not in lower:
            yield key
