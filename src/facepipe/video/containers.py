"""Containers: one row for each, with what FFmpeg's muxer writes and a reader gets back.

Every other module asks the row, and no muxer's name stands anywhere else. Each fact has a test that
writes it and reads it back; docs/containers.md shows the rows.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

import av
from av.stream import Stream

from facepipe.datatypes import VideoInfo
from facepipe.errors import UsageError
from facepipe.video.demuxers import UNTIMED
from facepipe.video.streams import codec_name, has_decoder, is_cover

#: Why data of a kind that no muxer knows are left out.
HOMELESS = "no container takes data of this kind"
#: Of these the mov muxer begins another sample description where the header changes.
_DESCRIBED_ANEW = ("aac", "h264", "hevc", "av1")
_ASPECTLESS = ("vp8", "vp9", "av1")  # codecs whose own headers hold no aspect ratio
_TRANSPORT_CODECS = (
    *("mpeg1video", "mpeg2video", "mpeg4", "h264", "hevc", "vvc", "av1"),
    *("aac", "aac_latm", "mp2", "mp3", "ac3", "eac3", "dts", "truehd", "opus", "pcm_bluray"),
    *("dvb_subtitle", "dvb_teletext", "hdmv_pgs_subtitle", "klv", "timed_id3", "bin_data"),
)
_DELIVERY = Fraction(7, 10)  # what FFmpeg's own program takes, below the second that T-STD allows
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


@dataclass(frozen=True, kw_only=True)
class Container:
    """What one container holds, as FFmpeg's muxer of that name writes it.

    Codecs have FFmpeg's names.
    """

    muxer: str
    suffixes: tuple[str, ...]
    #: Of the video codecs that facepipe writes unasked, those that it takes and gives back.
    #: FFmpeg's muxers say of some that they take them, and fail, or write what no one reads.
    video_codecs: tuple[str, ...]
    #: Encoders whose packets can stand in one stream with the source's own (smart rendering).
    #: H.264's parameter sets all go into the header, the encoder's by an id of their own. HEVC's
    #: come with every keyframe, which Apple's players do not take in mp4. AV1's sequence headers
    #: always do, and mp4 wants but one.
    joins: tuple[str, ...]
    #: All codecs that it takes; None: what the muxer says of itself is right.
    codecs: tuple[str, ...] | None = None
    #: What text subtitles of other codecs are converted to; None: they are not.
    subtitle_codec: str | None = None
    #: Whether subtitles are shown no longer than they should be.
    subtitles: bool = True
    attachments: bool = False
    #: Where cover images go; None: nowhere.
    covers: Literal["stream", "attachment"] | None = None
    #: Whether it takes data streams, as far as their codec is known.
    data: bool = False
    #: How a time code is kept: as a track of its own, or as metadata of the file.
    timecode: Literal["track", "metadata"] | None = "metadata"
    #: Keys of the file's metadata that it has fields for; None: it stores any key.
    metadata_keys: tuple[str, ...] | None = None
    #: The only time base that streams can have, in seconds; None: each keeps its own.
    tick: Fraction | None = None
    #: Whether packets may lie before time zero, where players skip them.
    negative_times: bool = False
    #: Whether packets of one stream may have equal decoding times.
    equal_times: bool = False
    #: Seconds by which packets are delivered ahead of their decoding times, as buffers need it. No
    #: delivery may be before time zero.
    delivery: Fraction = Fraction(0)
    #: Whether a stream's header says how many samples of audio players skip (CodecDelay).
    codec_delay: bool = False
    #: Whether packets have room for further data (BlockAdditions), such as the alpha of VP9.
    block_additions: bool = False
    #: Whether it keeps the pixel aspect ratio of codecs that have no field for it. The muxers of
    #: the others take it from the stream, where PyAV cannot set it.
    pixel_aspect: bool = False
    #: Whether a clock that begins anywhere is kept, as in a broadcast. In the others a video begins
    #: at 0.
    keeps_clock: bool = False
    #: Whether streams and programs have numbers that are kept from file to file.
    program_ids: bool = False
    #: Whether languages are those of QuickTime's list alone.
    quicktime_languages: bool = False
    #: Whether audio that it does not take is decoded to PCM for it.
    pcm: bool = False
    #: Whether it needs the names of the channels of PCM.
    needs_layout: bool = False
    #: Whether FFmpeg writes it with the mov muxer: ISO base media files.
    isobmff: bool = False
    #: Where XMP lies by its specification: in a box of its own, or in the user data; None:
    #: nowhere, and a mark is a key of the metadata.
    xmp: Literal["uuid", "udta"] | None = None
    #: Whether FFmpeg writes it with the Matroska muxer: EBML.
    ebml: bool = False
    #: Codecs of streams whose header may change on the way; of others the first one holds.
    header_changes: tuple[str, ...] = ()
    #: Whether an index leads players to every keyframe. Without one they seek to a byte, and look
    #: for a keyframe from there on.
    has_index: bool = True
    #: Suffixes of files as discs have them, in which the table of the program has a PID of its own.
    disc_suffixes: tuple[str, ...] = ()
    #: Whether a stream has no header beside its packets.
    headers_in_packets: bool = False
    #: Purposes of videos (`--for`) that are written in it.
    purposes: tuple[str, ...] = ()
    #: Options that the muxer always gets.
    options: tuple[tuple[str, str], ...] = ()

    def matches(self, format_name: str) -> bool:
        """Whether FFmpeg's demuxer of that name ("matroska,webm") reads this container."""
        return self.muxer in format_name.split(",")

    def holds_video(self, codec: str) -> bool:
        """Whether it takes video of a codec; of codecs that no row names, it may."""
        return codec in self.video_codecs or all(codec not in c.video_codecs for c in CONTAINERS)

    def takes(self, codec: str) -> bool:
        """Whether it takes packets of a codec, or of an encoder."""
        if not self.holds_video(codec):
            return False
        if self.codecs is not None:
            return codec in self.codecs
        with av.open(io.BytesIO(), "w", format=self.muxer) as trial:
            try:
                trial.add_mux_stream(codec)
            except ValueError:
                return False
        return True

    def refusal(self, stream: Stream) -> str | None:
        """Why it cannot hold a stream as it is; None where it can."""
        codec = codec_name(stream)
        if stream.type == "attachment":
            return None if self.attachments else "it holds no attachments"
        if is_cover(stream) and has_decoder(stream):
            return None if self.covers else "it holds no covers"
        if stream.type == "data":
            return self._data_refusal(codec)
        if stream.type not in ("video", "audio", "subtitle") or not has_decoder(stream):
            return "no container takes a stream of an unknown kind"
        return self._codec_refusal(stream.type, codec)

    def _data_refusal(self, codec: str) -> str | None:
        if codec == "unknown":
            return HOMELESS
        known = self.data and (self.codecs is None or codec in self.codecs)
        return None if known else "it holds no such data"

    def _codec_refusal(self, kind: str, codec: str) -> str | None:
        if kind == "subtitle" and not self.subtitles:
            return "its subtitles have no end"
        return None if self.takes(codec) else f"it takes no {codec}"

    def holds_own_tags(self, codec: str) -> bool:
        """Whether colour tags and the shape of pixels may change within a video of that codec.

        Then they stand in parameter sets among the packets, which mp4 takes of H.264 alone.
        """
        return codec == "h264" or (codec == "hevc" and not self.isobmff)

    def loses_aspect(self, info: VideoInfo, codec: str) -> bool:
        """Whether video of that codec would lose the shape of its pixels."""
        square = info.sample_aspect_ratio in (None, 1)
        return not square and not self.pixel_aspect and codec in _ASPECTLESS


MP4 = Container(
    muxer="mp4",
    suffixes=(".mp4", ".m4v"),
    purposes=("web",),
    video_codecs=("h264", "hevc", "av1", "vp9", "ffv1"),
    joins=("libx264", "libvpx-vp9"),
    subtitle_codec="mov_text",
    covers="stream",
    data=True,
    timecode="track",
    metadata_keys=(*_MOV_KEYS, *_MP4_KEYS),
    negative_times=True,
    pixel_aspect=True,
    needs_layout=True,
    isobmff=True,
    xmp="uuid",
    header_changes=_DESCRIBED_ANEW,
)
MOV = Container(
    muxer="mov",
    suffixes=(".mov",),
    purposes=("edit",),
    video_codecs=("h264", "hevc", "prores"),
    joins=("libx264", "prores_ks"),
    subtitle_codec="mov_text",
    data=True,
    timecode="track",
    metadata_keys=_MOV_KEYS,
    negative_times=True,
    pixel_aspect=True,
    quicktime_languages=True,
    pcm=True,
    isobmff=True,
    xmp="udta",
    header_changes=_DESCRIBED_ANEW,
)
MATROSKA = Container(
    muxer="matroska",
    suffixes=(".mkv",),
    purposes=("archive",),
    video_codecs=("h264", "hevc", "av1", "vp9", "ffv1", "prores"),
    joins=("libx264", "libx265", "libsvtav1", "libvpx-vp9", "prores_ks"),
    subtitle_codec="subrip",
    attachments=True,
    covers="attachment",
    tick=Fraction(1, 1000),
    equal_times=True,
    codec_delay=True,
    block_additions=True,
    pcm=True,
    pixel_aspect=True,
    ebml=True,
)
WEBM = Container(
    muxer="webm",
    suffixes=(".webm",),
    video_codecs=("av1", "vp9"),
    joins=("libsvtav1", "libvpx-vp9"),
    subtitle_codec="webvtt",
    tick=Fraction(1, 1000),
    equal_times=True,
    codec_delay=True,
    block_additions=True,
    pixel_aspect=True,
    ebml=True,
)
MPEGTS = Container(
    muxer="mpegts",
    suffixes=(".ts", ".m2ts"),
    disc_suffixes=(".m2ts",),
    video_codecs=("h264", "hevc"),
    joins=("libx264", "libx265"),
    codecs=_TRANSPORT_CODECS,  # the muxer says yes to all
    data=True,
    timecode=None,
    tick=Fraction(1, 90000),
    delivery=_DELIVERY,
    keeps_clock=True,
    program_ids=True,
    header_changes=("aac", "h264", "hevc"),
    headers_in_packets=True,
    has_index=False,
    options=(
        *(("mpegts_copyts", "1"), ("pcr_period", "20")),
        ("max_delay", str(round(_DELIVERY * 10**6))),
        # A PES packet for each packet of sound: of several in one, only the first has a time.
        ("pes_payload_size", "0"),
    ),
)
NUT = Container(
    muxer="nut",
    suffixes=(".nut",),
    video_codecs=("h264", "hevc", "av1", "vp9", "ffv1"),
    joins=("libx264", "libx265"),
    keeps_clock=True,
    subtitles=False,
    pcm=True,
)
CONTAINERS = (MP4, MOV, MATROSKA, WEBM, MPEGTS, NUT)
#: Suffixes that are named where another container holds less, the widespread ones first.
SUGGESTED = (".mkv", ".mp4", ".mov", ".webm", ".ts", ".m2ts", ".nut")
_BY_SUFFIX = {suffix: container for container in CONTAINERS for suffix in container.suffixes}
#: Suffixes of the files that can be written.
WRITTEN_SUFFIXES = frozenset(_BY_SUFFIX)
#: Suffixes that are taken for videos without a look at the file; others are looked at.
READ_SUFFIXES = WRITTEN_SUFFIXES | {
    *(".mts", ".avi", ".flv", ".wmv", ".asf", ".mpg", ".mpeg", ".vob", ".mxf", ".ogv", ".3gp"),
    *(".3g2", ".dv", ".rm", ".rmvb", ".wtv", ".y4m", ".ivf", ".f4v", ".divx", ".gxf", ".ogm"),
    *(".m2v", ".m1v", ".mpv", ".mpe", ".tod", ".mod", ".trp", ".tp", ".nuv"),
    # Of recorders, and bare streams.
    *(".dav", ".264", ".h264", ".avc", ".265", ".h265", ".hevc", ".266", ".h266", ".vvc"),
    *(".mjpeg", ".mjpg", ".mjpe", ".obu", ".vc1", ".ifv"),
}
#: Suffixes of files that are no videos whatever they begin with: they are not looked at.
OTHER_SUFFIXES = frozenset(
    {
        *(".json", ".csv", ".txt", ".xml", ".html", ".htm", ".md", ".log", ".srt", ".vtt", ".ass"),
        *(".pdf", ".doc", ".docx", ".xls", ".xlsx", ".py", ".mp3", ".wav", ".flac", ".m4a"),
        *(".ogg", ".aac", ".opus", ".wma", ".db", ".ini", ".yml", ".yaml", ".toml", ".zip"),
        *(".exe", ".dll", ".c2pa"),
    }
)
#: Suffix of what is written of a source whose own container is not: it holds the most.
GENERAL_SUFFIX = MATROSKA.suffixes[0]
#: Suffix of rendered parts, in whatever container (`encoders.settings.part_container`).
PART_SUFFIX = NUT.suffixes[0]


def is_indexed(format_name: str) -> bool:
    """Whether what FFmpeg's demuxer of that name reads has an index that leads to every packet."""
    return any(container.isobmff and container.matches(format_name) for container in CONTAINERS)


def is_timed_as_decoded(format_name: str, codec: str) -> bool:
    """Whether packets state when they are decoded, and not when their frame is shown.

    AVI, which is read and not written, has no other times, and recorders write them so in their own
    format (dhav). FFmpeg works out the others for MPEG-4, but not for these codecs. Of them, bare
    streams get such times (`timestamps.with_times`).
    """
    timed_so = format_name in ("avi", "dhav") and codec in ("h264", "hevc")
    return timed_so or format_name in UNTIMED


def container_of(target: Path | str) -> Container:
    """The container of a target, or of a suffix (".mkv"); UsageError for other suffixes."""
    suffix = target.suffix if isinstance(target, Path) else target
    try:
        return _BY_SUFFIX[suffix.lower()]
    except KeyError:
        what = f"{suffix} is not written" if suffix else "a name without a suffix"
        raise UsageError(
            f"cannot tell the container of {str(target)!r} by its suffix: {what}; "
            f"use one of {', '.join(_BY_SUFFIX)}"
        ) from None
