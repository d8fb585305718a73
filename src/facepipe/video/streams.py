"""Streams of a container: which one is the video to enhance, and what the others are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeGuard

import av
from av.packet import Packet
from av.stream import Discard, Disposition, Stream

from facepipe.errors import InputError, UsageError

#: Packets before the first keyframe of a video that begins in the middle of a group of pictures.
_MOST_BEFORE_KEYFRAME = 2000
_STILLS = Disposition.attached_pic | Disposition.timed_thumbnails


def main_video(path: Path, streams: Iterable[Stream], number: int | None = None) -> av.VideoStream:
    """The video stream to enhance: that with index `number`, None: the largest, first of equals.

    Covers and thumbnails are none; a stream of a single frame is taken where there is no other.
    Errors: InputError where there is none, UsageError for a number that is none of them.
    """
    streams = list(streams)
    videos = [s for s in streams if is_video(s)]
    if not videos:
        found = ", ".join(stream.type for stream in streams) or "no stream at all"
        raise InputError(f"{path} holds no video stream, but {found}; give a video file")
    return _largest(path, videos) if number is None else _chosen(path, videos, number)


def _largest(path: Path, videos: Sequence[av.VideoStream]) -> av.VideoStream:
    known = [stream for stream in videos if has_decoder(stream)]
    if not known:
        raise InputError(f"{path}: there is no decoder for its video stream")
    return max(known, key=lambda stream: (stream.frames != 1, _area(stream)))


def _chosen(path: Path, videos: Sequence[av.VideoStream], number: int) -> av.VideoStream:
    chosen = next((stream for stream in videos if stream.index == number), None)
    if chosen is None:
        there = "; ".join(described(stream) for stream in videos)
        raise UsageError(f"--stream {number}: no video stream of {path}; it has {there}")
    if not has_decoder(chosen):
        raise InputError(f"{path}: there is no decoder for its stream {number}")
    return chosen


def is_video(stream: Stream) -> TypeGuard[av.VideoStream]:
    """Whether a stream is a video: no cover, no thumbnails."""
    return isinstance(stream, av.VideoStream) and not stream.disposition & _STILLS


def described(stream: Stream) -> str:
    """A stream by index, codec and size: "stream 1 (h264, 640x360)"."""
    size = ""
    if isinstance(stream, av.VideoStream) and has_decoder(stream) and _area(stream):
        size = f", {stream.codec_context.width}x{stream.codec_context.height}"
    return f"stream {stream.index} ({codec_name(stream)}{size})"


def _area(stream: av.VideoStream) -> int:
    """Pixels of a frame by the stream's header; 0 where it does not say."""
    return stream.codec_context.width * stream.codec_context.height


class Head:
    """The first packets of a video, in which its first frames must be: `count` from a keyframe on.

    What lies before the first keyframe comes on top: recordings may begin in the middle of a group.
    """

    def __init__(self, count: int) -> None:
        self._left, self._before = count, _MOST_BEFORE_KEYFRAME
        self._begun = False

    def holds(self, packet: Packet[av.VideoStream] | Packet[Stream]) -> bool:
        """Whether the next packet belongs to it."""
        self._begun = self._begun or packet.is_keyframe
        if self._begun:
            self._left -= 1
        else:
            self._before -= 1
        return self._left >= 0 and self._before >= 0


def is_chapter_track(stream: Stream) -> bool:
    """Whether a stream is how mov and mp4 store chapters, which are copied as chapters."""
    return stream.type in ("data", "subtitle") and stream.discard == Discard.all


def has_decoder(stream: Stream) -> bool:
    """Whether FFmpeg knows how to read a stream; PyAV keeps no codec context for others."""
    context: object = stream.codec_context
    return context is not None


def header_of(stream: Stream) -> bytes:
    """The codec's header (extradata) with which a stream begins; empty where it has none."""
    return (stream.codec_context.extradata or b"") if has_decoder(stream) else b""


def codec_name(stream: Stream) -> str:
    """The codec's name whatever decoder reads it: av1 for libdav1d."""
    if has_decoder(stream):
        return str(stream.codec_context.codec.canonical_name)
    return str(getattr(stream, "name", None) or "unknown")


def is_written_by_muxer(stream: Stream) -> bool:
    """Whether a stream is not copied because muxers write its content themselves."""
    return is_chapter_track(stream) or is_timecode(stream)


def is_timecode(stream: Stream) -> bool:
    """Whether a stream is QuickTime's time codes, which muxers make of the `timecode` key."""
    return stream.type == "data" and "timecode" in stream.metadata


def is_still(stream: Stream) -> bool:
    """Whether a stream of pictures is no video: a cover, or thumbnails."""
    return bool(stream.disposition & _STILLS)


def is_cover(stream: Stream) -> bool:
    """Whether a stream is cover art: a single attached picture."""
    return bool(stream.disposition & Disposition.attached_pic)
