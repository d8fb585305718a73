"""Probe a source: read all its packets once, and keep what the later steps ask of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream

from facepipe.configs.notices import CONTAINER_TAG, MADE_BY_FACEPIPE
from facepipe.configs.settings import LimitSettings
from facepipe.datatypes import Clock, Damage, StreamInfo, VideoInfo
from facepipe.errors import InputError
from facepipe.video.clock import describe_clock, timed
from facepipe.video.clock_scan import ClockScan
from facepipe.video.conform import tags_of
from facepipe.video.containers import is_indexed, is_timed_as_decoded
from facepipe.video.damage import merged
from facepipe.video.form_scan import FormScan
from facepipe.video.frame_packets import FramePackets
from facepipe.video.gaps import Layout
from facepipe.video.headers import HeaderScan
from facepipe.video.missing import missing_at_end
from facepipe.video.order_scan import OrderScan
from facepipe.video.pixel_formats import pixel_format
from facepipe.video.pyav.chroma import chroma_location
from facepipe.video.scan import CodingScan, FirstFrameScan, TimingScan, is_shown
from facepipe.video.sources import (
    describe,
    heads_of,
    is_fragmented,
    joined_files,
    open_source,
)
from facepipe.video.streams import (
    codec_name,
    described,
    header_of,
    is_chapter_track,
    is_video,
    main_video,
)
from facepipe.video.timestamps import usual_duration

#: Codecs whose frames may be of another size than the last keyframe.
_RESIZING = ("av1", "vp9")


def probe(path: Path, limits: LimitSettings | None = None, stream: int | None = None) -> VideoInfo:
    """Read every packet of a local file, decoding no more than its first frame.

    `stream` is the index of the video stream, None: as `main_video` chooses. Errors: InputError in
    one sentence for what is no readable video, or is beyond `limits`; UsageError for a `stream`
    that is no video.
    """
    limits = limits or LimitSettings()
    most_pixels = min(round(limits.frame_megapixels * 10**6), 2**31 - 1)
    with open_source(path, most_pixels=most_pixels) as container:
        scan = SourceScan(path, container, limits, most_pixels, stream)
        heads = heads_of(path, container)
        indexed = is_indexed(container.format.name)
        fragmented = indexed and is_fragmented(path)
        joined = joined_files(path, fragmented=fragmented) if indexed else ()
        clocks = ClockScan(container, heads, fragmented=fragmented)
        for packet in scan.packets(Clock(heads=heads)):
            clocks.feed(packet)
            scan.feed(packet)
        clock = clocks.close(scan.video_index)
        if not clock.shifts:
            return _with_begin(scan.close(clock), clocks, joined)
    with open_source(path, most_pixels=most_pixels) as container:
        scan = SourceScan(path, container, limits, most_pixels, stream)
        for packet in scan.packets(clock):
            scan.feed(packet)
        return _with_begin(scan.close(clock), clocks, joined)


def _with_begin(info: VideoInfo, clocks: ClockScan, joined: tuple[str, ...]) -> VideoInfo:
    """The info, with the time at which its clock begins, and with warnings ahead of its own."""
    first = info.pts[0] * info.time_base
    begin = clocks.begin(info.clock, info.stream_index, first)
    clock = replace(info.clock, begin=begin)
    return replace(info, clock=clock, warnings=(*joined, *info.warnings))


class SourceScan:
    """What a source holds, learnt packet by packet: each part of it by a scan of its own."""

    def __init__(
        self,
        path: Path,
        container: InputContainer,
        limits: LimitSettings,
        most_pixels: int,
        stream: int | None = None,
    ) -> None:
        """Find the video. Errors: as `main_video`, and InputError for frames that are too large."""
        self._path, self._container, self._limits = path, container, limits
        self._streams = tuple(container.streams)
        self._video = main_video(path, self._streams, stream)
        context = self._video.codec_context
        check_size(path, context.width, context.height, limits)
        self._header_size = (context.width, context.height)
        self._packets: Counter[int] = Counter()  # by the stream's index
        self._headers = {
            stream.index: HeaderScan(header_of(stream), codec_name(stream))
            for stream in self._streams
            if stream.index != self._video.index
        }
        self._starts: dict[int, int] = {}  # pts of the first packet, by the stream's index
        self._unread: str | None = None  # why reading ended early
        self._timing = TimingScan(self._video)
        self._coding = CodingScan(self._video)
        self._first = FirstFrameScan(self._video, most_pixels)
        self._forms = FormScan(self._video, self._first.decoder)
        self._described: tuple[str | None, str | None] | None = None
        self._layout = Layout()
        self._frames: FramePackets[Stream] = FramePackets(self._video)
        self._order = OrderScan(self._video, most_pixels)

    @property
    def video_index(self) -> int:
        """The index of the video's stream."""
        return self._video.index

    def packets(self, clock: Clock) -> Iterator[Packet[Stream]]:
        """The packets of all streams, as far as they can be read, with the times of `clock`."""
        packets: Iterator[Packet[Stream]] = timed(self._container, clock)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except av.FFmpegError as error:
                self._unread = describe(error)
                return
            if packet.size:
                yield packet

    def feed(self, packet: Packet[Stream]) -> None:
        """Learn from a packet. InputError where there are more frames than the limits allow."""
        self._packets[packet.stream.index] += 1
        if packet.stream.index != self._video.index:
            if packet.pts is not None:
                self._starts.setdefault(packet.stream.index, packet.pts)
            self._layout.add(packet.pos, packet.size, None)
            if packet.stream.index in self._headers:
                self._headers[packet.stream.index].feed(packet)
            return
        self._layout.add(packet.pos, packet.size, packet.pts)
        self._first.feed(packet)
        self._order.feed(packet)
        for whole in self._frames.feed(packet):
            self._feed_frame(whole)

    def _feed_frame(self, packet: Packet[Stream]) -> None:
        """Learn from a packet that holds all of a frame."""
        if self._first.frame is not None and self._described is None:
            self._described = self._description()  # before other frames change the decoder
        self._forms.feed(packet, self._first.frame)
        shown = is_shown(self._coding.codec, packet)
        self._coding.feed(packet, shown)
        self._timing.feed(packet, shown)
        if self._timing.packets > self._limits.frames:
            raise InputError(
                f"{self._path} has more than the {self._limits.frames} frames that limits.frames "
                "allows; --set limits.frames=N lifts it"
            )

    def close(self, clock: Clock) -> VideoInfo:
        """All that was learnt, by packets with the times of `clock`.

        InputError for a video without frames, too long, or unreadable.
        """
        timing, coding, video = self._timing, self._coding, self._video
        for packet in self._frames.rest():
            self._feed_frame(packet)
        timing.close(self._first.pts)
        if not timing.frames:
            raise InputError(f"{self._path} holds no video frame; its video stream is empty")
        assert video.time_base is not None
        _check_length(self._path, timing.stated_pts, video.time_base, self._limits)
        damage = self._damage()
        keyframes, gops = self._groups()
        width, height, rotation, tags = self._shape()
        ratio = video.sample_aspect_ratio
        profile, chroma = self._described or self._description()
        forms = self._forms.forms
        return VideoInfo(
            path=str(self._path),
            container=self._container.format.name,
            stream_index=video.index,
            codec=coding.codec,
            width=width,
            height=height,
            pix_fmt=self._pix_fmt(),
            time_base=Fraction(video.time_base),
            pts=tuple(timing.pts),
            keyframe_pts=keyframes,
            keyframe_positions=timing.keyframe_positions() if clock.shifts else (),
            clock=clock,
            closed_gops=gops,
            coded_pts=coding.coded_pts() if gops else (),
            rotation=rotation,
            sample_aspect_ratio=Fraction(ratio) if ratio else None,
            profile=profile,
            tags=tags,
            damage=merged(damage, timing.pts),
            end=timing.end(is_damaged=bool(damage)),
            others=self._others(),
            warnings=self._warnings(clock),
            chroma_location=chroma,
            extradata=coding.extradata,
            parameter_sets=coding.parameter_sets(),
            forms=tuple(forms) if len(forms) > 1 else (),
            header_size=self._header_size if coding.codec in _RESIZING else None,
            places=tuple(sorted(self._forms.places)),
            fields=tuple(sorted(self._forms.fields)),
            headers=coding.headers(),
            other_sequences=coding.other_sequences(),
            user_data=coding.user_data(),
            has_second_view=coding.has_second_view(),
            timed_as_decoded=self._is_timed_as_decoded(),
        )

    def _warnings(self, clock: Clock) -> tuple[str, ...]:
        return (
            *self._origin(),
            *self._choice(),
            *describe_clock(clock),
            *(() if self._is_usually_timed_so() else self._order.warnings()),
            *self._timing.warnings(),
        )

    def _groups(self) -> tuple[tuple[int, ...], tuple[tuple[int, int], ...]]:
        """The pts of the keyframes, and the closed groups of pictures."""
        # Packets that are timed as they are decoded do not say which frames a group shows. Nor is a
        # keyframe's time right that shows frames from before it.
        if self._is_timed_as_decoded():
            return self._coding.random_access_pts(), ()
        return self._timing.keyframe_pts(), self._coding.closed_gops()

    def _is_usually_timed_so(self) -> bool:
        return is_timed_as_decoded(self._container.format.name, self._coding.codec)

    def _is_timed_as_decoded(self) -> bool:
        return self._is_usually_timed_so() or self._order.is_timed_as_decoded

    def _shape(self) -> tuple[int, int, int, tuple[int, int, int, int]]:
        """Width, height, rotation and tags of the first frame; by the header if none decodes."""
        frame, context = self._first.frame, self._video.codec_context
        if frame is None:
            return context.width, context.height, 0, (0, 2, 2, 2)
        return frame.width, frame.height, frame.rotation, tags_of(frame)

    def _description(self) -> tuple[str | None, str | None]:
        """The codec's profile and the chroma location, as the decoder says them now."""
        return self._video.codec_context.profile, chroma_location(self._video)

    def _origin(self) -> tuple[str, ...]:
        """A warning where the file says that facepipe made it."""
        said = self._container.metadata.values()
        return (MADE_BY_FACEPIPE,) if CONTAINER_TAG in said else ()

    def _damage(self) -> list[Damage]:
        pts = self._timing.stated_pts
        count = self._packets[self._video.index]
        indexed = is_indexed(self._container.format.name)
        return [
            *self._timing.damage,
            *missing_at_end(self._container, self._video, pts, count, self._unread),
            *(() if indexed else self._layout.lost(pts, usual_duration(pts))),
        ]

    def _pix_fmt(self) -> str:
        """The pixel format of the first frame. InputError for one that facepipe cannot read."""
        frame = self._first.frame
        name = frame.format.name if frame is not None else self._video.codec_context.pix_fmt
        if name is None:
            raise InputError(f"{self._path}: no frame of its {self._coding.codec} video decodes")
        pixel_format(name)
        return name

    def _choice(self) -> tuple[str, ...]:
        """Which video stream is enhanced, where there are others; those are copied."""
        others = [s for s in self._streams if is_video(s) and s.index != self._video.index]
        if not others:
            return ()
        rest = " and ".join(described(stream) for stream in others)
        number = others[0].index
        return (
            f"the video is {described(self._video)}; {rest} {'is' if len(others) == 1 else 'are'} "
            f"not enhanced; --stream {number} takes {'that' if len(others) == 1 else 'the first'}",
        )

    def _others(self) -> tuple[StreamInfo, ...]:
        return tuple(
            StreamInfo(
                stream.index,
                stream.type,
                codec_name(stream),
                self._packets[stream.index],
                tuple(self._headers[stream.index].changes),
                self._starts.get(stream.index),
            )
            for stream in self._streams
            if stream.index != self._video.index and not is_chapter_track(stream)
        )


def check_size(path: Path, width: int, height: int, limits: LimitSettings) -> None:
    """Raise InputError for a frame larger than `limits` allow."""
    if width * height > limits.frame_megapixels * 10**6:
        raise InputError(
            f"{path} has frames of {width}x{height} px, more than the "
            f"{limits.frame_megapixels:g} megapixels that limits.frame_megapixels allows; "
            f"--set limits.frame_megapixels={-(-width * height // 10**6)} lifts it"
        )


def _check_length(path: Path, pts: list[int], time_base: Fraction, limits: LimitSettings) -> None:
    hours = (pts[-1] - pts[0]) * time_base / 3600
    if hours > limits.hours:
        raise InputError(
            f"{path} lasts {float(hours):.4g} hours by the times of its frames, more than the "
            f"{limits.hours:g} that limits.hours allows; --set limits.hours=N lifts it"
        )


@dataclass(frozen=True)
class Head:
    """What a container's header says of its video; 0 where it says nothing."""

    width: int
    height: int
    frames: int
    seconds: float


def glance(path: Path, stream: int | None = None) -> Head:
    """Read a file's header alone, which may be wrong. Errors: as `probe`."""
    with open_source(path) as container:
        video = main_video(path, container.streams, stream)
        seconds = float((video.duration or 0) * (video.time_base or 0))
        seconds = seconds or (container.duration or 0) / av.time_base
        frames = video.frames or round(seconds * float(video.average_rate or 0))
        context = video.codec_context
        return Head(context.width, context.height, frames, seconds)
