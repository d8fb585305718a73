"""What each container holds: facts about FFmpeg's muxers, each of which a test writes and reads."""

from __future__ import annotations

import io
from pathlib import Path

import av
from av.stream import Disposition, Stream

from facepipe.media.containers import holds_video, muxer_of
from facepipe.media.probe import codec_name, has_decoder, is_chapter_track

#: Containers that are named where another one holds less, the widespread ones first.
SUGGESTED = (".mkv", ".mp4", ".mov", ".webm", ".ts", ".nut")
_TRANSPORT_CODECS = (
    *("mpeg1video", "mpeg2video", "mpeg4", "h264", "hevc", "vvc", "av1"),
    *("aac", "aac_latm", "mp2", "mp3", "ac3", "eac3", "dts", "truehd", "opus"),
    *("dvb_subtitle", "dvb_teletext", "hdmv_pgs_subtitle", "klv", "scte_35", "timed_id3"),
)
_HOMELESS = ("unknown", "bin_data")  # data of a kind that no muxer knows


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
    if is_cover(stream) and muxer in ("matroska", "mp4", "mov"):
        return None
    if stream.type == "data":
        if codec in _HOMELESS:
            return "no container takes data of this kind"
        if muxer not in ("mp4", "mov") and not (
            muxer == "mpegts" and container_takes(muxer, codec)
        ):
            return "it holds no such data"
        return None
    if stream.type not in ("video", "audio", "subtitle") or not has_decoder(stream):
        return "no container takes a stream of an unknown kind"
    return None if container_takes(muxer, codec) else f"it takes no {codec}"


def is_made_anew(stream: Stream, muxer: str) -> bool:
    """Whether a stream is no loss if it is not copied: the muxer writes its content itself."""
    return is_chapter_track(stream) or is_timecode(stream, muxer)


def is_timecode(stream: Stream, muxer: str) -> bool:
    """Whether the mov muxer writes this stream anew from the `timecode` key."""
    return stream.type == "data" and muxer in ("mov", "mp4") and "timecode" in stream.metadata


def is_cover(stream: Stream) -> bool:
    """Whether a stream is a single attached picture."""
    return bool(stream.disposition & Disposition.attached_pic)


def suggested_muxers() -> dict[str, str]:
    """The muxers of the containers that may be suggested, by suffix."""
    return {suffix: muxer_of(Path(f"film{suffix}")) for suffix in SUGGESTED}
