"""What each container holds: facts about FFmpeg's muxers, each of which a test writes and reads."""

from __future__ import annotations

import io
from pathlib import Path

import av
from av.stream import Stream

from facepipe.datatypes import VideoInfo
from facepipe.errors import UsageError
from facepipe.video.streams import codec_name, has_decoder, is_cover

#: Containers that are named where another one holds less, the widespread ones first.
SUGGESTED = (".mkv", ".mp4", ".mov", ".webm", ".ts", ".m2ts", ".nut")
_TRANSPORT_CODECS = (
    *("mpeg1video", "mpeg2video", "mpeg4", "h264", "hevc", "vvc", "av1"),
    *("aac", "aac_latm", "mp2", "mp3", "ac3", "eac3", "dts", "truehd", "opus", "pcm_bluray"),
    *("dvb_subtitle", "dvb_teletext", "hdmv_pgs_subtitle", "klv", "timed_id3", "bin_data"),
)
#: Why data of a kind that no muxer knows are left out.
HOMELESS = "no container takes data of this kind"


def container_takes(muxer: str, codec: str) -> bool:
    """Whether a container takes packets of a codec (FFmpeg's name of it, or of a coder)."""
    if not holds_video(muxer, codec):
        return False
    if muxer == "mpegts":  # says yes to all
        return codec in _TRANSPORT_CODECS
    with av.open(io.BytesIO(), "w", format=muxer) as trial:
        try:
            trial.add_mux_stream(codec)
        except ValueError:
            return False
    return True


def refusal(stream: Stream, muxer: str) -> str | None:
    """Why a container cannot hold a stream as it is; None where it can."""
    codec = codec_name(stream)
    if stream.type == "attachment":
        return None if muxer == "matroska" else "it holds no attachments"
    if is_cover(stream) and has_decoder(stream):
        return None if muxer in ("matroska", "mp4") else "it holds no covers"
    if stream.type == "data":
        if codec == "unknown":
            return HOMELESS
        if muxer not in ("mp4", "mov") and not (
            muxer == "mpegts" and container_takes(muxer, codec)
        ):
            return "it holds no such data"
        return None
    if stream.type not in ("video", "audio", "subtitle") or not has_decoder(stream):
        return "no container takes a stream of an unknown kind"
    if muxer == "nut" and stream.type == "subtitle":
        return "its captions have no end"
    return None if container_takes(muxer, codec) else f"it takes no {codec}"


_MUXERS = {
    ".mp4": "mp4",
    ".m4v": "mp4",
    ".mov": "mov",
    ".mkv": "matroska",
    ".webm": "webm",
    ".ts": "mpegts",
    ".m2ts": "mpegts",
    ".nut": "nut",
}


#: Of the codecs that facepipe writes unasked, those that each container takes and gives back.
_HELD = {
    "mp4": ("h264", "hevc", "av1", "vp9", "ffv1"),
    "mov": ("h264", "hevc", "prores"),
    "matroska": ("h264", "hevc", "av1", "vp9", "ffv1", "prores"),
    "webm": ("av1", "vp9"),
    "mpegts": ("h264", "hevc"),
    "nut": ("h264", "hevc", "av1", "vp9", "ffv1"),
}


_ASPECTLESS = ("vp8", "vp9", "av1")  # codecs whose own headers hold no aspect ratio


_TABLED = frozenset(codec for codecs in _HELD.values() for codec in codecs)


#: Suffixes of films that can be written.
WRITTEN_SUFFIXES = frozenset(_MUXERS)


def muxer_of(target: Path) -> str:
    """The name of FFmpeg's muxer for a target's suffix; UsageError for others."""
    try:
        return _MUXERS[target.suffix.lower()]
    except KeyError:
        raise UsageError(
            f"cannot tell the container of {target.name!r} by its suffix; "
            f"use one of {', '.join(_MUXERS)}"
        ) from None


def holds_video(muxer: str, codec: str) -> bool:
    """Whether a container takes video of a codec; of codecs that are not in the table, it may.

    FFmpeg's muxers say of some that they take them, and fail, or write what no one reads.
    """
    return codec in _HELD[muxer] or codec not in _TABLED


def loses_aspect(info: VideoInfo, codec: str, muxer: str) -> bool:
    """Whether a film of that codec would lose the shape of its pixels in a container."""
    # PyAV cannot set a stream's own aspect ratio, which is where these muxers look for it.
    square = info.sample_aspect_ratio in (None, 1)
    return not square and muxer not in ("mp4", "mov") and codec in _ASPECTLESS
