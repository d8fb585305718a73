"""Properties of a file besides its pixels and samples: all that a container may lose."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import takewhile
from pathlib import Path

import av
from av.container import InputContainer
from av.sidedata.sidedata import Type
from av.stream import Disposition, Stream

from facepipe.video.conform import tags_of
from facepipe.video.containers import MOV, MPEGTS
from facepipe.video.holdings import INTERLACING, holdings_of
from facepipe.video.muxing.track_headers import track_headers
from facepipe.video.pixel_formats import FULL_RANGE, side_data
from facepipe.video.pyav.header_data import header_boxes, names_of
from facepipe.video.pyav.mpegts import Transport, transport_of
from facepipe.video.pyav.private_boxes import private_boxes
from facepipe.video.sources import demuxed, open_bytes, open_source
from facepipe.video.streams import Head, codec_name, has_decoder, is_cover, is_written_by_muxer

# What readers and writers note about the file or its packets, which are other ones now.
_TECHNICAL = (
    *("major_brand", "minor_version", "compatible_brands", "encoder", "duration", "handler_name"),
    *("vendor_id", "bps", "number_of_", "_statistics_", "source_id", "filename", "mimetype"),
    *("alpha_mode", "stereo_mode", "variant_bitrate", "encoded_date", "tagged_date"),
)
_FRAMES, _PACKETS = 3, 96
_UPRIGHT = (1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)


@dataclass(frozen=True)
class StreamProperties:
    """Properties of one stream."""

    index: int
    kind: str  # as of StreamInfo, or cover
    codec: str
    language: str | None
    dispositions: Disposition
    keys: frozenset[str]  # of its metadata, in lower case, without the language
    layout: str | None  # of channels
    language_tag: str | None = None  # by BCP 47, which may tell a country or a script


@dataclass(frozen=True)
class FileProperties:
    """All that is compared between a source and a target.

    `chapters` are seconds, title and further keys; `colour` matrix, primaries and transfer by
    H.273's numbers; `side_data` names those of the first frames, `described` what the header says
    of all of them, `private` the boxes that FFmpeg does not know.
    """

    keys: frozenset[str]
    chapters: tuple[tuple[float, str, frozenset[str]], ...]
    matrix: tuple[int, ...]
    aspect: Fraction
    full_range: bool
    colour: tuple[int, int, int]
    side_data: frozenset[str]
    described: frozenset[str]
    private: frozenset[str]
    interlaced: bool
    pix_fmt: str | None  # as decoded; None: nothing decodes
    rgb: bool
    alpha_in_side_data: bool  # of the packets, as in WebM
    programs: int  # into which a transport stream is divided; else 0
    video: StreamProperties
    streams: tuple[StreamProperties, ...]

    @property
    def holdings(self) -> frozenset[str]:
        """What its frames hold, by the names of `holdings_of`."""
        return self.side_data | {INTERLACING} if self.interlaced else self.side_data

    @property
    def carried(self) -> frozenset[str]:
        """All that frames, header and boxes carry, in words."""
        return self.side_data | self.described | self.private

    def earlier(self, seconds: float) -> FileProperties:
        """The same with all times earlier by so many seconds."""
        moved = tuple(
            (max(at - seconds, min(at, 0)), title, keys) for at, title, keys in self.chapters
        )
        return replace(self, chapters=moved)


def holding(properties: FileProperties, more: frozenset[str]) -> FileProperties:
    """The properties with what other frames than the first ones hold."""
    return replace(
        properties,
        side_data=properties.side_data | (more - {INTERLACING}),
        interlaced=properties.interlaced or INTERLACING in more,
    )


def properties_of(path: Path, video_index: int) -> FileProperties:
    """The properties of a file, of which one stream is the video. InputError as `open_source`."""
    with open_source(path) as opened:
        video = opened.streams[video_index]
        assert isinstance(video, av.VideoStream)
        transport = _transport_of(path, opened)
        keys = _file_keys(opened) | transport.names.keys()
        chapters = _chapters(opened)
        tags = track_headers(path, opened).tags
        streams = _other_streams(opened, video_index, tags)
        own = _stream_properties(video, tags)
        described = names_of(header_boxes(video))
        private = _private_boxes(path, opened)
        aspect = Fraction(video.sample_aspect_ratio or 1)
        frames, alpha_in_side_data = _first_frames(opened, video)
    first = frames[0] if frames else None
    kinds = {name for frame in frames for name in holdings_of(frame)}
    range_, *colour = tags_of(first) if first is not None else (0, 2, 2, 2)
    return FileProperties(
        keys=frozenset(keys),
        chapters=chapters,
        matrix=_display_matrix(first),
        aspect=aspect,
        full_range=range_ == FULL_RANGE,
        colour=(colour[0], colour[1], colour[2]),
        side_data=frozenset(kinds - {INTERLACING}),
        interlaced=INTERLACING in kinds,
        described=described,
        private=private,
        pix_fmt=first.format.name if first is not None else None,
        rgb=first is not None and first.format.is_rgb,
        alpha_in_side_data=alpha_in_side_data,
        programs=len(transport.programs),
        video=own,
        streams=streams,
    )


def _transport_of(path: Path, opened: InputContainer) -> Transport:
    """Without programs where the file is no transport stream."""
    found = transport_of(path) if MPEGTS.matches(opened.format.name) else None
    return found or Transport(0, 0, ())


def _other_streams(
    opened: InputContainer, video_index: int, tags: Mapping[int, str]
) -> tuple[StreamProperties, ...]:
    return tuple(
        _stream_properties(stream, tags)
        for stream in opened.streams
        if stream.index != video_index and not is_written_by_muxer(stream)
    )


def _file_keys(opened: InputContainer) -> set[str]:
    """Keys of the file's metadata; a time code counts wherever it stands."""
    keys = set(_keys(opened.metadata))
    if any("timecode" in map(str.lower, stream.metadata) for stream in opened.streams):
        keys.add("timecode")
    return keys


def _private_boxes(path: Path, opened: InputContainer) -> frozenset[str]:
    if not MOV.matches(opened.format.name):
        return frozenset()
    with open_bytes(path) as file:
        return private_boxes(file).names


def _chapters(opened: InputContainer) -> tuple[tuple[float, str, frozenset[str]], ...]:
    return tuple(
        (
            float(chapter["start"] * (chapter["time_base"] or 0)),
            chapter["metadata"].get("title", ""),
            frozenset(_keys(chapter["metadata"])) - {"title"},
        )
        for chapter in opened.chapters()
    )


def _first_frames(
    opened: InputContainer, video: av.VideoStream
) -> tuple[list[av.VideoFrame], bool]:
    """The first frames, and whether packets up to there have alpha in their side data."""
    frames: list[av.VideoFrame] = []
    alpha = False
    for packet in _packets(opened, video):
        alpha = alpha or packet.has_sidedata("matroska_block_additional")
        with suppress(av.FFmpegError):  # what does not decode is reported elsewhere
            frames += video.decode(packet)
        if len(frames) >= _FRAMES:
            break
    return frames, alpha


def _packets(opened: InputContainer, video: av.VideoStream) -> Iterator[av.Packet[av.VideoStream]]:
    video.codec_context.thread_count = 1
    with suppress(av.FFmpegError):
        yield from takewhile(Head(_PACKETS).holds, demuxed(opened, video))


def _display_matrix(frame: av.VideoFrame | None) -> tuple[int, ...]:
    data = side_data(frame, Type.DISPLAYMATRIX) if frame is not None else b""
    return tuple(memoryview(data[:36]).cast("i")) if data else _UPRIGHT


def _stream_properties(stream: Stream, tags: Mapping[int, str]) -> StreamProperties:
    keys = {"title" if key == "name" else key for key in _keys(stream.metadata)}
    language = stream.metadata.get("language", "und")
    layout = None
    if isinstance(stream, av.AudioStream) and has_decoder(stream):
        layout = stream.codec_context.layout.name
    return StreamProperties(
        index=stream.index,
        kind="cover" if is_cover(stream) else stream.type,
        codec=codec_name(stream) if stream.type != "attachment" else "attachment",
        language=None if language == "und" else language,
        dispositions=Disposition(stream.disposition),
        keys=frozenset(keys - {"language", "timecode", "creation_time"}),
        layout=layout,
        language_tag=tags.get(stream.index),
    )


def _keys(metadata: dict[str, str]) -> Iterator[str]:
    lower = {key.lower() for key, value in metadata.items() if value.strip()}
    for key in lower:
        # mov has some keys twice, once with a language behind.
        if not key.startswith(_TECHNICAL) and key.rpartition("-")[0] not in lower:
            yield key
