"""Encode the frames of one span to a part on disk."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path

import av
from av.bitstream import BitStreamFilterContext
from av.codec.context import Flags
from av.video.frame import PictureType

from facepipe.datatypes import Frame, Span, VideoInfo
from facepipe.errors import MediaError
from facepipe.video.containers import MOV, Container
from facepipe.video.encoders.settings import (
    EncodeSettings,
    check_encoder,
    configure,
    encoder_options,
    find_encoder,
    output_pix_fmt,
    part_container,
    with_distance,
    with_parameters,
)
from facepipe.video.fields import FieldMarks, without_delay
from facepipe.video.images import image_of
from facepipe.video.keyframes import longest_distance, planned_keyframes
from facepipe.video.pixel_formats import (
    BT709_MATRIX,
    LIMITED_RANGE,
    RGB_MATRIX,
    SMPTE170M_MATRIX,
    UNSPECIFIED,
    pixel_format,
)
from facepipe.video.pyav.scheduling import kept_scheduling
from facepipe.video.shape import aspect_at
from facepipe.video.sources import as_facepipe_error, replacing
from facepipe.video.streams import codec_name
from facepipe.video.timing_info import TimingWriter, timing_to_state
from facepipe.video.user_data import UserDataWriter

__all__ = ["EncodeSettings", "check_encoder", "encode", "output_pix_fmt", "part_shift"]

# No encoder moves a frame further than this from its place in presentation order.
_MOST_REORDERED = 16
_INTERLACING = ("libx264", "mpeg2video", "mpeg4", "prores_ks", "prores", "prores_aw")


def encode(
    frames: Iterator[Frame],
    target: Path,
    *,
    info: VideoInfo,
    span: Span,
    settings: EncodeSettings,
) -> int:
    """Encode one span to a file that appears whole or not at all; the number of frames.

    The few codecs that NUT does not take (ProRes) go to QuickTime. Times are the source's, moved
    by `part_shift`. Frames must rise by pts; where one does not, it is moved up by a tick.

    Errors: MediaError with the encoder's own message, OutputError when the disk refuses.
    """
    first = next(frames, None)
    if first is None:
        raise MediaError(f"span {span.index} (pts {span.start} to {span.stop}) gave no frame")
    if info.forms:
        info = replace(info, sample_aspect_ratio=aspect_at(info, span.start))
    codec = find_encoder(settings.codec).canonical_name
    keyframes = planned_keyframes(info, span, codec, settings.keyframe_seconds)
    keyframes.update(settings.keyframes)
    settings = with_distance(settings, longest_distance(info, keyframes, span))
    with replacing(target) as temporary:
        return _write(chain([first], frames), first, temporary, info, settings, keyframes)


def part_shift(info: VideoInfo) -> int:
    """What is added to pts in a part: NUT cannot hold negative times."""
    return -min(0, info.pts[0]) if info.pts else 0


def _write(
    frames: Iterator[Frame],
    first: Frame,
    target: Path,
    info: VideoInfo,
    settings: EncodeSettings,
    keyframes: Collection[int],
) -> int:
    pix_fmt, _ = output_pix_fmt(settings, info)
    shift = part_shift(info)
    container = part_container(settings.codec)
    options = _part_options(container, pix_fmt, info)
    with av.open(str(target), "w", format=container.muxer, container_options=options) as out:
        stream = _add_stream(out, first, info, settings, pix_fmt)
        # NUT wants decoding times that rise and stay below pts; nobody reads them back.
        due: deque[int] = deque()
        user_data = UserDataWriter(codec_name(stream))
        given = written = 0
        fields = FieldMarks(stream.codec_context, info.fields)
        timing = TimingWriter(stream.codec_context, timing_to_state(info, codec_name(stream)))
        last: int | None = None
        packets: list[av.Packet[av.VideoStream]]
        for frame in chain(frames, [None]):
            if frame is None:
                packets = _send(stream, None, settings)
            else:
                pts = frame.pts if last is None else max(frame.pts, last + 1)
                if last is None:
                    due.extend(pts - back for back in range(_MOST_REORDERED, 0, -1))
                last = pts
                due.append(pts)
                user_data.take(frame.handle, pts)
                encoded = image_of(frame, pix_fmt, source_height=info.height)
                encoded.pts = pts
                encoded.time_base = info.time_base
                # The decoder's picture type would force the encoder to use the same.
                is_key = frame.pts in keyframes
                encoded.pict_type = PictureType.I if is_key else PictureType.NONE
                given += 1
                packets = _send(stream, fields.prepared(encoded), settings)
            for packet in map(fields.marked, packets):
                assert packet.pts is not None
                pts, early = packet.pts, due.popleft()
                whole = timing.put(user_data.put(packet, pts))
                whole.dts = (pts if container is MOV else min(early, pts)) + shift
                whole.pts = pts + shift
                whole.time_base = info.time_base
                out.mux_one(whole)
                written += 1
    if written != given:
        raise MediaError(f"{settings.codec} made {written} packets of {given} frames")
    return given


def _part_options(container: Container, pix_fmt: str, info: VideoInfo) -> dict[str, str]:
    """Options with which a part keeps exact times, and the side data of packets."""
    options = {"avoid_negative_ts": "disabled"}
    if container is MOV:
        ticks = str(info.time_base.denominator)
        return options | {"video_track_timescale": ticks, "movie_timescale": ticks}
    if pixel_format(pix_fmt).alpha:  # VP9 has it in the side data of its packets
        return options | {"syncpoints": "timestamped", "strict": "experimental"}
    return options


def _add_stream(
    out: av.container.OutputContainer,
    first: Frame,
    info: VideoInfo,
    settings: EncodeSettings,
    pix_fmt: str,
) -> av.VideoStream:
    decoded = first.handle if isinstance(first.handle, av.VideoFrame) else None
    options = _options(settings, decoded, info, pix_fmt)
    stream = out.add_stream(settings.codec, options=options)
    assert isinstance(stream, av.VideoStream)
    context = stream.codec_context
    configure(context, settings, info, pix_fmt)
    stream.time_base = info.time_base
    if decoded is not None:
        context.color_range, context.colorspace = written_tags(
            decoded, pix_fmt, info, context.height
        )
        context.color_primaries = decoded.color_primaries
        context.color_trc = decoded.color_trc
        if _has_fields(decoded, info, settings.codec):
            context.flags |= Flags.interlaced_dct | Flags.interlaced_me
    try:
        with kept_scheduling():
            context.open()
    except av.FFmpegError as error:
        raise as_facepipe_error(error, f"opening {settings.codec}") from error
    if context.codec.canonical_name == "h264" and context.color_range == LIMITED_RANGE:
        _tag_limited_range(context)
    return stream


def _options(
    settings: EncodeSettings, decoded: av.VideoFrame | None, info: VideoInfo, pix_fmt: str
) -> dict[str, str]:
    # Parts that cannot differ have no light levels where some frames have none.
    may_differ = info.own_tags or len({form.light for form in info.forms}) < 2
    options = encoder_options(settings, decoded if may_differ else None) | _chroma(info, pix_fmt)
    if settings.codec == "libx265" and timing_to_state(info, "hevc") is None:
        options = with_parameters(options, settings.codec, {"vui-timing-info": "0"})
    if settings.codec == "libx264" and len(info.fields) > 1:
        options = without_delay(options)
    return options


def _has_fields(decoded: av.VideoFrame, info: VideoInfo, codec: str) -> bool:
    """Whether frames are to be encoded as two fields each."""
    fields = info.fields if codec == "libx264" else ()
    return codec in _INTERLACING and (decoded.interlaced_frame or bool(fields))


def _chroma(info: VideoInfo, pix_fmt: str) -> dict[str, str]:
    """The encoder's option for the chroma location, unless it is left, the default."""
    location = info.chroma_location
    both = [pixel_format(name) for name in (info.pix_fmt, pix_fmt)]
    if location in (None, "left") or not all((f.shift_x, f.shift_y) == (1, 1) for f in both):
        return {}
    return {"chroma_sample_location": location}


def _tag_limited_range(context: av.VideoCodecContext) -> None:
    """Write the range into H.264 parameter sets: x264 leaves it out if nothing else is tagged."""
    tagging = BitStreamFilterContext("h264_metadata=video_full_range_flag=0", "h264")
    tagged = tagging.filter(av.Packet(context.extradata or b""))
    context.extradata = b"".join(bytes(packet) for packet in tagged) or context.extradata


def written_tags(
    frame: av.VideoFrame, pix_fmt: str, info: VideoInfo, height: int
) -> tuple[int, int]:
    """Colour range and matrix to write: the source's, unless RGB has to become something else.

    `frame` is the source's, `height` that of the video to be written. A matrix that the source
    leaves open stays open, but for a small video enlarged to a size at which players would guess
    another one.
    """
    guess = SMPTE170M_MATRIX if info.height < 720 else BT709_MATRIX
    if frame.format.is_rgb and not av.VideoFormat(pix_fmt).is_rgb:
        return LIMITED_RANGE, guess
    if av.VideoFormat(pix_fmt).is_rgb:
        return int(frame.color_range), RGB_MATRIX
    matrix = int(frame.colorspace)
    if matrix in (RGB_MATRIX, UNSPECIFIED):
        matrix = guess if info.height < 720 <= height else UNSPECIFIED
    return int(frame.color_range), matrix


def _send(
    stream: av.VideoStream, frame: av.VideoFrame | None, settings: EncodeSettings
) -> list[av.Packet[av.VideoStream]]:
    try:
        return stream.encode(frame)
    except av.FFmpegError as error:
        at = "at its end" if frame is None else f"at pts {frame.pts}"
        raise as_facepipe_error(error, f"encoding with {settings.codec} {at}") from error
