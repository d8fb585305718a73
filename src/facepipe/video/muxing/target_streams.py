"""Streams of a target: its video, made after a rendered part, and copies of all the others."""

from __future__ import annotations

import math
import struct
from collections.abc import Collection, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer, OutputContainer
from av.sidedata.sidedata import Type
from av.stream import Stream

from facepipe.datatypes import VideoInfo
from facepipe.video.clock import moved_by
from facepipe.video.containers import Container
from facepipe.video.muxing.concat import VideoPackets, has_alpha_packets
from facepipe.video.muxing.options import (
    copied_time_base,
    is_copied,
    name_layout,
    stream_metadata,
    tag_colour,
)
from facepipe.video.muxing.pace import FramePace
from facepipe.video.muxing.priming import encoder_delays, with_encoder_delay
from facepipe.video.muxing.sound import SoundDecoder
from facepipe.video.muxing.subtitles import SubtitleConverter, converted_to
from facepipe.video.muxing.track_headers import TrackHeaders, shape_for_header
from facepipe.video.pixel_formats import side_data
from facepipe.video.pyav.alpha import has_alpha_mode
from facepipe.video.pyav.header_data import header_boxes, of_one_view, scaled, with_header_boxes
from facepipe.video.pyav.matroska import ROOM
from facepipe.video.sources import demuxed, open_source
from facepipe.video.streams import codec_name, is_cover

#: PID that FFmpeg's muxer gives the table of the program in files as discs have them.
_BLU_RAY_TABLE = 0x100
#: In steps of what a target begins later, in seconds: whole ticks of nearly every time base.
_ROOM = Fraction(1, 2)
_SOURCES_OWN = FramePace(Fraction(1))  # until the source is open


@dataclass(frozen=True)
class MuxJob:
    """All that goes into one target: as of `mux.mux`, or `max_packets` of each stream."""

    video: VideoPackets
    container: Container
    leave_out: Collection[int]
    metadata: Mapping[str, str] = field(default_factory=dict)
    window: tuple[int, int] | None = None
    max_packets: int | None = None
    pace: FramePace = _SOURCES_OWN
    room: Fraction = Fraction(0)  # seconds by which all is later than it would be (`room_ahead`)
    fragmented: bool = False  # an mp4 or mov, each fragment from a keyframe on
    headers: TrackHeaders = field(default_factory=TrackHeaders)

    @property
    def earlier(self) -> Fraction:
        """Seconds by which all times of the target are earlier than the source's."""
        if self.window is not None:
            return self.pace.at(self.window[0]) * self.pace.time_base - self.room
        return moved_by(self.video.info.clock, kept=self.container.keeps_clock) - self.room


def room_ahead(job: MuxJob, lead: Fraction) -> Fraction:
    """Seconds by which a target has to begin later, for its packets to be delivered in time.

    `lead` are seconds by which the first picture is decoded before it is shown.
    """
    if not job.container.delivery:
        return Fraction(0)
    info = job.video.info
    first = info.pts[0] * info.time_base
    begin = Fraction(0) if job.window else min(info.clock.begin, first) - job.earlier
    lacking = max(job.container.delivery + lead - begin, Fraction(0))
    return math.ceil(lacking / _ROOM) * _ROOM


@dataclass(frozen=True)
class TargetStreams:
    """The streams of a target that is not started yet.

    `original` is the source's video. `copies` are (target, source) by the source's index,
    `converters` those of its text subtitles and audio that become another codec.
    """

    video: av.VideoStream
    original: av.VideoStream
    copies: dict[int, tuple[Stream, Stream]]
    converters: dict[int, SubtitleConverter | SoundDecoder]

    @property
    def tracks(self) -> list[int | None]:
        """The source's numbers of the streams that become tracks, in the target's order."""
        made = {copy.index: source.id for copy, source in self.copies.values()
                if not is_cover(source) and source.type != "attachment"}  # fmt: skip
        made[self.video.index] = self.original.id
        return [made[index] for index in sorted(made)]

    @property
    def sources(self) -> list[int]:
        """The indices in the source of the streams that become tracks, in the target's order."""
        made = {copy.index: source.index for copy, source in self.copies.values()
                if not is_cover(source) and source.type != "attachment"}  # fmt: skip
        made[self.video.index] = self.original.index
        return [made[index] for index in sorted(made)]

    @property
    def order(self) -> list[int]:
        """Indices of the streams that get packets, covers last, as most containers put them."""
        copies = [pair for pair in self.copies.values() if pair[1].type != "attachment"]
        covers = sorted(copy.index for copy, source in copies if is_cover(source))
        others = [copy.index for copy, source in copies if not is_cover(source)]
        return sorted([self.video.index, *others]) + covers


def add_streams(out: OutputContainer, opened: InputContainer, job: MuxJob) -> TargetStreams:
    """Add the video and a copy of every other stream, in the source's order."""
    container = job.container
    video: av.VideoStream | None = None
    copies: dict[int, tuple[Stream, Stream]] = {}
    converters: dict[int, SubtitleConverter | SoundDecoder] = {}
    delays = _delays(opened, job)
    for stream in opened.streams:
        if stream.index == job.video.info.stream_index:
            assert isinstance(stream, av.VideoStream)
            video = _add_video(out, stream, job)
        elif not is_copied(stream, job.leave_out):
            continue
        elif is_cover(stream) and container.covers == "attachment":
            _attach_cover(out, job.video.source, stream)
        else:
            codec = converted_to(stream, container)
            if codec is not None:
                converters[stream.index] = _converter(out, stream, codec)
                copy: Stream = converters[stream.index].stream
            else:
                copy = _add_copy(out, stream, container, delays.get(stream.index))
            copy.metadata.update(stream_metadata(stream, container, replaced=codec is not None))
            _leave_room(copy, stream, job)
            copy.disposition = stream.disposition
            copy.time_base = copied_time_base(stream, opened, container)
            _keep_id(copy, stream, container)
            copies[stream.index] = (copy, stream)
    assert video is not None
    original = opened.streams[job.video.info.stream_index]
    assert isinstance(original, av.VideoStream)
    return TargetStreams(video, original, copies, converters)


def _delays(opened: InputContainer, job: MuxJob) -> dict[int, Fraction]:
    if job.window is not None:
        return {}
    clock = job.video.info.clock
    return encoder_delays(job.video.source, opened, job.container, clock, job.earlier)


def _converter(
    out: OutputContainer, stream: Stream, codec: str
) -> SubtitleConverter | SoundDecoder:
    if stream.type == "audio":
        return SoundDecoder(out, stream, codec)
    return SubtitleConverter(out, stream, codec)


def _add_copy(
    out: OutputContainer, stream: Stream, container: Container, delay: Fraction | None
) -> Stream:
    if delay is not None and isinstance(stream, av.AudioStream):
        with with_encoder_delay(stream, delay) as delayed:
            return out.add_stream_from_template(delayed.streams[0], opaque=True)
    copy = out.add_stream_from_template(stream, opaque=True)
    name_layout(copy, container)
    return copy


def _add_video(out: OutputContainer, original: av.VideoStream, job: MuxJob) -> av.VideoStream:
    """The video stream, made after the rendered part where there is one, else the original."""
    packets, info, container = job.video, job.video.info, job.container
    with ExitStack() as stack:
        template = original
        if packets.sample is not None:
            part = stack.enter_context(av.open(str(packets.sample.absolute())))
            template = part.streams.video[0]
        described = _described(template, original, job, stack)
        video = out.add_stream_from_template(described, opaque=True)
        video.codec_context.extradata = template.codec_context.extradata
        codec, codec_tag = codec_name(template), template.codec_context.codec_tag
    video.time_base = job.pace.time_base
    context = video.codec_context
    if original.average_rate:
        context.framerate = original.average_rate
    if info.sample_aspect_ratio is not None:
        context.sample_aspect_ratio = info.sample_aspect_ratio
    if container.isobmff and codec == "hevc":
        context.codec_tag = "hvc1"  # the only tag that Apple's players take
    if codec == "prores":
        context.codec_tag = codec_tag  # ProRes has its profile there
    _set_colour_and_rotation(video, packets.source, info)
    video.metadata.update(stream_metadata(original, container, replaced=True))
    shape = shape_for_header(codec, info.sample_aspect_ratio, container)
    _leave_room(video, original, job, anyhow=shape is not None)
    video.disposition = original.disposition
    _keep_id(video, original, container)
    if packets.extradata is not None:
        context.extradata = packets.extradata
    if _has_alpha(packets, original):
        video.metadata["alpha_mode"] = "1"
    return video


def _described(
    template: av.VideoStream, original: av.VideoStream, job: MuxJob, stack: ExitStack
) -> av.VideoStream:
    """The template with what the source's header says of its frames, for the muxer to write.

    To mp4 and mov, `extra_boxes` adds it.
    """
    if template is original or job.container.isobmff:
        return template
    boxes = scaled(header_boxes(original), job.video.scale)
    if job.video.info.has_second_view:
        boxes = of_one_view(boxes)
    if not boxes:
        return template
    return stack.enter_context(with_header_boxes(template, boxes)).streams.video[0]


def _set_colour_and_rotation(video: av.VideoStream, source: Path, info: VideoInfo) -> None:
    first = _first_frame(source, info)
    if first is None:
        return
    tag_colour(video.codec_context, first, info)
    matrix = side_data(first, Type.DISPLAYMATRIX)
    if matrix:  # the nine numbers that rotate or mirror the frame when it is shown
        video.set_display_matrix(struct.unpack("=9i", matrix[:36]))


def _has_alpha(packets: VideoPackets, original: av.VideoStream) -> bool:
    """Whether packets have alpha in their side data: rendered ones, or copied ones."""
    rendered = packets.sample is not None and has_alpha_packets(packets.sample)
    return rendered or (packets.copies and has_alpha_mode(original))


def _leave_room(copy: Stream, stream: Stream, job: MuxJob, *, anyhow: bool = False) -> None:
    if anyhow or job.headers.needs_room(stream.index, job.container):
        copy.metadata["title"] = copy.metadata.get("title", "") + ROOM


def _keep_id(copy: Stream, stream: Stream, container: Container) -> None:
    if container.program_ids and container.matches(stream.container.format.name):
        is_blu_ray = copy.container.name.lower().endswith(container.disc_suffixes)
        if not is_blu_ray or stream.id != _BLU_RAY_TABLE:
            copy.id = stream.id


def _attach_cover(out: OutputContainer, source: Path, stream: Stream) -> None:
    # Attachments need their bytes before the header is written.
    with open_source(source) as opened:
        packets = demuxed(opened, opened.streams[stream.index])
        image = next((bytes(packet) for packet in packets if packet.size), None)
    if image is not None:
        codec = codec_name(stream)
        kind = {"mjpeg": "jpeg"}.get(codec, codec)
        name = stream.metadata.get("filename", f"cover.{kind.replace('jpeg', 'jpg')}")
        out.add_attachment(name, stream.metadata.get("mimetype", f"image/{kind}"), image)


def _first_frame(source: Path, info: VideoInfo) -> av.VideoFrame | None:
    with open_source(source) as opened, suppress(av.FFmpegError):
        for frame in opened.decode(opened.streams[info.stream_index]):
            if isinstance(frame, av.VideoFrame):
                return frame
    return None
