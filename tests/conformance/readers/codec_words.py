"""Codecs of a file in the words of RFC 6381, by which MediaSource is told what comes."""

from __future__ import annotations

from pathlib import Path

import av
from av.stream import Disposition

from conformance.readers.base import ReaderError

_AUDIO = {"aac": "mp4a.40.2", "opus": "opus", "vorbis": "vorbis", "flac": "flac", "mp3": "mp3"}


def mime_type(path: Path) -> str:
    """Such as `video/mp4; codecs="avc1.64001f, mp4a.40.2"`; ReaderError: no words for a codec."""
    words = []
    with av.open(str(path)) as container:
        for stream in container.streams:
            if isinstance(stream, av.VideoStream):
                if not stream.disposition & Disposition.attached_pic:
                    words.append(_video(stream))
            elif isinstance(stream, av.AudioStream):
                words.append(_audio(stream.codec_context.codec.canonical_name))
    return f'video/{path.suffix[1:]}; codecs="{", ".join(words)}"'


def _video(stream: av.VideoStream) -> str:
    context = stream.codec_context
    name, extra = context.codec.canonical_name, context.extradata or b""
    if name == "h264" and len(extra) > 4:
        return f"avc1.{extra[1:4].hex()}"
    if name == "vp9":
        return "vp09.00.41.08"
    if name == "av1":
        return "av01.0.08M.08"
    if name == "vp8":
        return "vp8"
    raise ReaderError(f"no word for {name}")


def _audio(name: str) -> str:
    if name not in _AUDIO:
        raise ReaderError(f"no word for {name}")
    return _AUDIO[name]
