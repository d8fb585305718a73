"""What the headers of a source's tracks say that FFmpeg does not hand on, put into a target's.

Languages by BCP 47 ("pt-BR"), in Matroska and WebM and in mp4 and mov. In Matroska and WebM also
how frames are displayed, where chroma lies, bits of sound and lengths of its packets; and the shape
of pixels of codecs that have no field for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import BinaryIO

from av.container import InputContainer

from facepipe.video.containers import MATROSKA, MOV, Container
from facepipe.video.pyav import matroska
from facepipe.video.pyav.language_tags import box_language_tags
from facepipe.video.pyav.matroska import (
    Description,
    describe_tracks,
    language_tag,
    track_descriptions,
)
from facepipe.video.sources import open_bytes
from facepipe.video.streams import is_cover

_LONGEST_TAG = 64  # characters; real ones have fewer than 36
_DISPLAY = (matroska.DISPLAY_WIDTH, matroska.DISPLAY_HEIGHT)
_PIXELS = (matroska.PIXEL_WIDTH, matroska.PIXEL_HEIGHT)
_RATIO = 3  # the unit of a display size that is an aspect ratio
_FIELDS = (matroska.INTERLACED, matroska.FIELD_ORDER)
_OWN_SHAPE = ("h264", "hevc")  # codecs whose own headers tell the shape of pixels


@dataclass(frozen=True)
class TrackHeaders:
    """What a source says of its streams, by index: language tags, and Matroska's descriptions."""

    tags: Mapping[int, str] = field(default_factory=dict)
    tracks: Mapping[int, Description] = field(default_factory=dict)

    def needs_room(self, index: int, container: Container) -> bool:
        """Whether the muxer has to leave room for what is put into the header of a stream."""
        return container.ebml and (index in self.tags or index in self.tracks)

    def tags_of(self, sources: Sequence[int]) -> list[str | None]:
        """The language tags of those streams."""
        return [self.tags.get(index) for index in sources]


def track_headers(source: Path, opened: InputContainer) -> TrackHeaders:
    """What a source says of its streams. Errors: OSError as the disk does."""
    with open_bytes(source) as file:
        tags = language_tags(file, opened)
        short = {index: tag for index, tag in tags.items() if len(tag) <= _LONGEST_TAG}
        return TrackHeaders(short, source_tracks(file, opened))


def source_tracks(file: BinaryIO, opened: InputContainer) -> Mapping[int, Description]:
    """The descriptions in a Matroska file, by index of the stream; of others none.

    Errors: OSError as the disk does.
    """
    if not MATROSKA.matches(opened.format.name):
        return {}
    streams = [s.index for s in opened.streams if s.type != "attachment" and not is_cover(s)]
    tracks = track_descriptions(file)
    return dict(zip(streams, tracks, strict=True)) if len(streams) == len(tracks) else {}


def language_tags(file: BinaryIO, opened: InputContainer) -> dict[int, str]:
    """The tags of a file's streams that have one, by index. Errors: OSError as the disk does."""
    found = {index: language_tag(one) for index, one in source_tracks(file, opened).items()}
    if MOV.matches(opened.format.name):
        told = box_language_tags(file)
        found = {stream.index: told.get(stream.id) for stream in opened.streams}
    return {index: tag for index, tag in found.items() if tag}


def shape_for_header(codec: str, aspect: Fraction | None, container: Container) -> Fraction | None:
    """The shape of pixels that has to stand in the container; None where it need not."""
    needed = container.ebml and codec not in _OWN_SHAPE and aspect not in (None, 1)
    return aspect if needed else None


def put_track_headers(
    headers: TrackHeaders,
    target: Path,
    sources: Sequence[int],
    video: int,
    aspect: Fraction | None,
) -> None:
    """Put them into a Matroska file that is written whole, whose tracks have room.

    `sources` are the indices of its tracks in the source, `video` that of the video, whose pixels
    have the shape `aspect`; None: its codec says it. Errors: OSError as the disk does.
    """
    changes: list[Callable[[Description], None] | None] = []
    for index in sources:
        tag, theirs = headers.tags.get(index), headers.tracks.get(index)
        shape = aspect if index == video else None
        if tag is None and theirs is None and shape is None:
            changes.append(None)
        else:
            changes.append(partial(_describe, theirs, tag, shape))
    if any(changes):
        describe_tracks(target, changes)


def _describe(
    theirs: Description | None, tag: str | None, aspect: Fraction | None, track: Description
) -> None:
    if tag is not None:
        track[matroska.LANGUAGE_TAG] = tag.encode()
    video, audio = track[matroska.VIDEO], track[matroska.AUDIO]
    if theirs is not None and audio is not None and theirs[matroska.AUDIO] is not None:
        _describe_sound(theirs, track)
    if video is not None:
        inner = track.within(matroska.VIDEO)
        like = None if theirs is None else theirs.within(matroska.VIDEO)
        _describe_video(like, aspect, inner)
        track[matroska.VIDEO] = bytes(inner)


def _describe_sound(theirs: Description, track: Description) -> None:
    inner = track.within(matroska.AUDIO)
    inner.set_number(matroska.BIT_DEPTH, theirs.within(matroska.AUDIO).number(matroska.BIT_DEPTH))
    track[matroska.AUDIO] = bytes(inner)
    lasting = theirs.number(matroska.DEFAULT_DURATION)
    if lasting and track[matroska.DEFAULT_DURATION] is None:
        track.set_number(matroska.DEFAULT_DURATION, lasting)


def _describe_video(
    theirs: Description | None, aspect: Fraction | None, video: Description
) -> None:
    if theirs is not None and _same_shape(theirs, video):
        _display_like(theirs, video)
    elif aspect is not None:
        _display_with(aspect, video)
    if theirs is not None:
        _fill_in(theirs, video)


def _fill_in(theirs: Description, video: Description) -> None:
    """What the source's description says and the muxer's does not."""
    for name in _FIELDS:
        told = theirs[name]
        if told is not None and video[name] is None:
            video[name] = told
    colour, place = video.within(matroska.COLOUR), theirs.within(matroska.COLOUR)
    for name in matroska.CHROMA_SITING:
        told = place[name]
        if told is not None and colour[name] is None:
            colour[name] = told
            video[matroska.COLOUR] = bytes(colour)


def _pixels(video: Description) -> tuple[int, int]:
    width, height = (video.number(name) or 0 for name in _PIXELS)
    return width, height


def _same_shape(one: Description, other: Description) -> bool:
    (width, height), (wide, high) = _pixels(one), _pixels(other)
    return bool(width and height) and width * high == height * wide


def _display_like(theirs: Description, video: Description) -> None:
    """Display frames as the source does, larger where they are, if its unit is the pixel."""
    unit = theirs.number(matroska.DISPLAY_UNIT)
    factor = 1 if unit else Fraction(_pixels(video)[0], _pixels(theirs)[0])
    for name in _DISPLAY:
        told = theirs.number(name)
        video.set_number(name, None if told is None else round(told * factor))
    video.set_number(matroska.DISPLAY_UNIT, unit)


def _display_with(aspect: Fraction, video: Description) -> None:
    """Display frames with pixels of that shape; as a ratio where no whole size has it."""
    width, height = _pixels(video)
    wide, high = width * aspect, height / aspect
    if wide.denominator == 1:
        shown, unit = (int(wide), height), None
    elif high.denominator == 1:
        shown, unit = (width, int(high)), None
    else:
        ratio = width * aspect / height
        shown, unit = (ratio.numerator, ratio.denominator), _RATIO
    for name, size in zip(_DISPLAY, shown, strict=True):
        video.set_number(name, size)
    video.set_number(matroska.DISPLAY_UNIT, unit)
