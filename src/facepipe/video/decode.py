"""Decode a span of a source into frames."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import dropwhile

import av
from av.codec.context import Flags
from av.container import InputContainer

from facepipe.datatypes import Frame, PixelFormat, Span, VideoInfo
from facepipe.video.clock import timed
from facepipe.video.conform import ParameterSetTracker, conformed, set_tags, tags_of
from facepipe.video.damage import DecodeReport
from facepipe.video.demuxers import SOUGHT_BY_POSITION, UNSEEKABLE
from facepipe.video.headers import header_at, with_header, without_header
from facepipe.video.images import frame_of, planar
from facepipe.video.pixel_formats import working_format
from facepipe.video.pyav.alpha import decoder_of
from facepipe.video.sources import open_source
from facepipe.video.streams import header_of
from facepipe.video.user_data import UserDataReader

#: Pixels of a frame that are decoded whatever the video's size: damage must not take all memory.
_MAX_PIXELS = 36_000_000


def decode(
    info: VideoInfo,
    span: Span,
    *,
    before: int = 0,
    beyond: int = 0,
    threads: int = 1,
    report: DecodeReport | None = None,
) -> Iterator[Frame]:
    """The frames of `info.path` with span.start <= pts < span.stop by rising pts, and neighbours.

    Up to `before` frames come ahead of them and up to `beyond` after them.
    Planes are read-only views in the source's own format or the planar one that holds all of it; a
    frame of another size, format or colour than the video's first is converted to that. What
    decodes is given, and what is wrong with which frame of the span goes to `report`. At most
    the decoder's own delay (some sixteen frames) is buffered. Errors: InputError when the file is
    gone or no longer a video.
    """
    report = report if report is not None else DecodeReport()
    format = working_format(info.pix_fmt)
    begin, end = bisect_left(info.pts, span.start), bisect_left(info.pts, span.stop)
    wanted = info.pts[max(begin - before, 0) : end]
    start = next(iter(wanted), span.start)
    missing = Counter(wanted)
    last: int | None = None
    extra = 0
    for image, pts in _timed(_frames_from(info, start, threads, report), info):
        if pts < start:
            continue
        if _is_out_of_order(pts, last, missing):
            report.add("are out of order and left out", pts)
            continue
        if pts >= span.stop:
            if extra == beyond:
                break
            extra += 1
        last = pts
        missing[pts] -= 1
        frame, faults = _frame(image, pts, info, format)
        if span.start <= pts < span.stop:
            report.hold(image, pts)
            _report_faults(report, image, pts, faults)
        yield frame
    for pts in missing.elements():
        if pts >= span.start:
            report.add("do not decode", pts)


def _report_faults(
    report: DecodeReport, image: av.VideoFrame, pts: int, faults: Sequence[str]
) -> None:
    damaged = image.is_corrupt or pts in report.refused()
    for what in ("are damaged", *faults) if damaged else faults:
        report.add(what, pts)


def _is_out_of_order(pts: int, last: int | None, missing: Mapping[int, int]) -> bool:
    """Whether a frame comes after a later one, or once more where none of its pts is missing."""
    return last is not None and (pts < last or (pts == last and not missing[pts]))


def _timed(images: Iterator[av.VideoFrame], info: VideoInfo) -> Iterator[tuple[av.VideoFrame, int]]:
    """Each image with its pts; one without gets the video's next, the best guess there is."""
    seen: int | None = None
    for image in images:
        pts = image.pts if image.pts is not None else _next_pts(info, seen)
        if pts is not None:
            seen = pts
            yield image, pts


def _frames_from(
    info: VideoInfo, first: int, threads: int, report: DecodeReport
) -> Iterator[av.VideoFrame]:
    """Decoded frames from one at or before pts `first` on, in presentation order."""
    for point in _seek_points(info, first):
        attempt = DecodeReport()
        with open_source(info.path) as container:
            frames = _Decoder(container, info, threads, attempt).frames(point)
            frame = next(frames, None)
            # Seeks by decoding time or by guess can land too late, and an open or a gradually
            # refreshed group of pictures shows its first frames later than its keyframe.
            late = frame is None or (frame.pts is not None and frame.pts > first)
            if late and point is not None:
                continue
            while frame is not None:
                yield frame
                report.take(attempt)
                frame = next(frames, None)
        report.take(attempt)
        return


def images_from(info: VideoInfo, first: int, *, threads: int = 1) -> Iterator[av.VideoFrame]:
    """The images as they decode, from one at or before pts `first` on. Errors: as `decode`."""
    return _frames_from(info, first, threads, DecodeReport())


def _seek_points(info: VideoInfo, first: int) -> Iterator[int | None]:
    """Keyframes to try, each further back; None is the beginning of the file."""
    at = bisect_right(info.keyframe_pts, first) - 1
    for back in (0, 1, 3):
        if at - back > 0:
            yield info.keyframe_pts[at - back]
    yield None


def _most_pixels(info: VideoInfo) -> int:
    known = (form.width * form.height for form in info.forms)
    return max(_MAX_PIXELS, 4 * info.width * info.height, *known)


class _Decoder:
    """Decodes the video of an opened source; refused packets go to `report`."""

    def __init__(
        self, container: InputContainer, info: VideoInfo, threads: int, report: DecodeReport
    ) -> None:
        stream = container.streams[info.stream_index]
        assert isinstance(stream, av.VideoStream)
        self._container, self._stream, self._report = container, stream, report
        self._info, self._codec, self._headers = info, info.codec, info.headers
        self._parameter_sets: ParameterSetTracker | None = None
        context = self._context = decoder_of(stream)
        context.options = {"max_pixels": str(_most_pixels(info))}
        context.thread_count = threads
        self._user_data: UserDataReader | None = None
        if info.user_data:
            self._user_data = UserDataReader(info, stream.codec_context.extradata or b"")
            context.flags |= Flags.copy_opaque
        context.thread_type = "AUTO" if threads > 1 else "SLICE"
        self._reorder_depth = context.reorder_depth
        self._order: _PresentationOrder | None = None
        if info.timed_as_decoded:
            self._order = _PresentationOrder(info, self._reorder_depth)
            context.thread_type = "SLICE"  # threads that take a frame each would delay them

    def frames(self, point: int | None) -> Iterator[av.VideoFrame]:
        """The frames from the keyframe at pts `point` on, None: from the beginning.

        None at all where the container cannot seek there: the caller tries from further back.
        """
        try:
            packets = self._packets(point)
        except (av.FFmpegError, LookupError):
            return
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except av.FFmpegError:  # probe has reported it; what comes after is missed
                break
            if self._parameter_sets is None:
                self._parameter_sets = self._begin(packet)
            is_new = self._parameter_sets.has_new_header(packet)
            if self._parameter_sets.has_changed(packet) or is_new:
                # New ones make the decoder forget the frames that it has not given out yet.
                yield from self._decoded(None)
                depth = max(self._context.reorder_depth, self._reorder_depth)
                self._context.flush_buffers()
                self._restore_reorder_depth(depth)
            if is_new:
                packet = with_header(self._codec, packet, self._parameter_sets.header)
            else:  # the same once more, for which the decoder would forget what it holds
                packet = without_header(packet)
            yield from self._decoded(packet)
        yield from self._decoded(None)

    def _packets(self, point: int | None) -> Iterator[av.Packet[av.VideoStream]]:
        """The packets from the keyframe at pts `point` on. Errors as `_seek`."""
        if point is None:
            return timed(self._container, self._info.clock, self._stream)
        position = self._seek(point)
        self._restore_reorder_depth(self._reorder_depth)
        packets = timed(self._container, self._info.clock, self._stream, position=position)
        if self._container.format.name in UNSEEKABLE:
            return dropwhile(lambda packet: packet.pts is None or packet.pts < point, packets)
        return packets

    def _begin(self, packet: av.Packet[av.VideoStream]) -> ParameterSetTracker:
        """Give the decoder the header in force at its first packet: the seek may have passed it."""
        header = header_at(self._headers, packet.pts if packet.pts is not None else packet.dts)
        if header is not None:
            self._context.extradata = header
        return ParameterSetTracker(self._codec, header or header_of(self._stream))

    def _seek(self, point: int) -> int:
        """Go to the keyframe at pts `point`; its byte position, where that was sought.

        FFmpegError or LookupError where that cannot be. What cannot seek stays there.
        """
        info = self._info
        if not info.clock.shifts:
            if self._container.format.name not in UNSEEKABLE:
                self._container.seek(point, stream=self._stream, backward=True)
            return 0
        # Where a clock begins anew, a time is in several places of the file.
        names = info.container.split(",")
        position = info.keyframe_positions[bisect_left(info.keyframe_pts, point)]
        if position < 0 or not any(name in SOUGHT_BY_POSITION for name in names):
            raise LookupError(f"{info.container} has no positions to seek")
        self._container.seek(position, unsupported_byte_offset=True)
        return position

    def _restore_reorder_depth(self, depth: int) -> None:
        # A flush forgets how far frames are reordered, and the first ones would be lost.
        self._context.reorder_depth = max(self._context.reorder_depth, depth)

    def _decoded(self, packet: av.Packet[av.VideoStream] | None) -> Iterator[av.VideoFrame]:
        if packet is not None and packet.size and self._user_data is not None:
            packet.opaque = self._user_data.read(packet)
        try:
            frames = self._context.decode(packet)
        except av.EOFError:
            return
        except av.FFmpegError:
            self._report.refuse(None if packet is None else packet.pts)
            return
        for frame in frames:
            yield frame if self._order is None else self._order.timed(frame, packet)


class _PresentationOrder:
    """Gives frames the video's times one by one, as decoders give them in presentation order."""

    def __init__(self, info: VideoInfo, delay: int) -> None:
        self._times = info.pts
        self._delay = delay  # packets that go in before a frame comes out
        self._next = 0

    def timed(
        self, frame: av.VideoFrame, packet: av.Packet[av.VideoStream] | None
    ) -> av.VideoFrame:
        """The frame with the time that it is shown at; `packet` made it come out."""
        if packet is not None and packet.pts is not None:
            at = bisect_left(self._times, packet.pts) - self._delay
            self._next = max(self._next, at)
        frame.pts = self._times[min(self._next, len(self._times) - 1)]
        self._next += 1
        return frame


def _next_pts(info: VideoInfo, last: int | None) -> int | None:
    """The pts that the video has after `last`."""
    at = 0 if last is None else bisect_right(info.pts, last)
    return info.pts[at] if at < len(info.pts) else None


def _frame(
    image: av.VideoFrame, pts: int, info: VideoInfo, format: PixelFormat
) -> tuple[Frame, tuple[str, ...]]:
    """The frame of a decoded image, and what is wrong with it."""
    image, faults = conformed(image, info, pts)
    if image.format.name != format.name:
        tags = tags_of(image)
        image = planar(image, format)
        if info.forms:  # a change of size before it may have left others
            set_tags(image, tags)
    image.pts = pts
    image.time_base = info.time_base
    frame, was_cut = frame_of(image, pts, format)
    if was_cut:
        faults = (*faults, f"have values above {(1 << format.bits) - 1}, which were cut")
    return frame, faults
