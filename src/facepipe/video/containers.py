"""What each container holds: facts about FFmpeg's muxers, each of which a test writes and reads."""

from __future__ import annotations

import io

import av
from av.stream import Disposition, Stream

from facepipe.video.probe import codec_name, has_decoder, is_chapter_track
from facepipe.video.sources import holds_video

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


def is_made_anew(stream: Stream) -> bool:
    """Whether a stream is not copied because muxers write its content themselves."""
    return is_chapter_track(stream) or is_timecode(stream)


def is_timecode(stream: Stream) -> bool:
    """Whether a stream is QuickTime's track of time codes, which the `timecode` key tells anew."""
    return stream.type == "data" and "timecode" in stream.metadata


def is_cover(stream: Stream) -> bool:
    """Whether a stream is a single attached picture."""
    return bool(stream.disposition & Disposition.attached_pic)
