"""Turn a span of a source into frames."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterator

import av
import numpy as np
from av.container import InputContainer

from facepipe.datatypes import Frame, PixelFormat, Span, VideoInfo
from facepipe.video.conform import ParameterSets, conformed
from facepipe.video.damage import DecodeReport
from facepipe.video.pixel_formats import colour_of, views, working_format
from facepipe.video.pyav.alpha import decoder_of
from facepipe.video.sources import demuxed, open_source
from facepipe.video.timestamps import is_timed_as_decoded

#: Pixels that a frame may have whatever the film's size: damage must not make it take all memory.
_MOST_PIXELS = 36_000_000


def decode(
    info: VideoInfo,
    span: Span,
    *,
    before: int = 0,
    beyond: int = 0,
    threads: int = 1,
    report: DecodeReport | None = None,
) -> Iterator[Frame]:
    """The frames of `info.path` with span.start <= pts < span.stop by rising pts, and some beside.

    Up to `before` frames come ahead of them and up to `beyond` after them.
    Planes are read-only views in the source's own format or the planar one that holds all of it; a
    picture of another size, format or colour than the film's first is converted to that. What
    decodes is given, and what is wrong with which frame of the span is told to `report`. At most
    the decoder's own delay (some sixteen frames) is buffered. Errors: InputError when the file is
    gone or no longer a film.
    """
    report = report if report is not None else DecodeReport()
    format = working_format(info.pix_fmt)
    begin, end = bisect_left(info.pts, span.start), bisect_left(info.pts, span.stop)
    wanted = info.pts[max(begin - before, 0) : end]
    start = wanted[0] if wanted else span.start
    owed = Counter(wanted)
    last: int | None = None
    seen: int | None = None
    extra = 0
    for picture in _pictures_from(info, start, threads, report):
        pts = picture.pts if picture.pts is not None else _next_pts(info, seen)
        if pts is None:
            continue
        seen = pts
        if pts < start:
            continue
        if last is not None and (pts < last or (pts == last and not owed[pts])):
            report.tell("are out of order and left out", pts)
            continue
        if pts >= span.stop:
            if extra == beyond:
                break
            extra += 1
        last = pts
        owed[pts] -= 1
        frame, troubles = _frame(picture, pts, info, format)
        if span.start <= pts < span.stop:
            if picture.is_corrupt or pts in report.refused():
                report.tell("are damaged", pts)
            for what in troubles:
                report.tell(what, pts)
        yield frame
    for pts, count in owed.items():
        if count > 0 and pts >= span.start:
            report.tell("do not decode", pts)


def _pictures_from(
    info: VideoInfo, first: int, threads: int, report: DecodeReport
) -> Iterator[av.VideoFrame]:
    """Decoded pictures from one at or before pts `first` on, in the order they are shown."""
    for point in _seek_points(info, first):
        attempt = DecodeReport()
        with open_source(info.path) as container:
            pictures = _pictures(container, info, point, threads, attempt)
            picture = next(pictures, None)
            # Seeks by decoding time or by guess can land too late, and an open or a gradually
            # refreshed group of pictures shows its first pictures later than its keyframe.
            late = picture is None or (picture.pts is not None and picture.pts > first)
            if late and point is not None:
                continue
            while picture is not None:
                yield picture
                report.take(attempt)
                picture = next(pictures, None)
        report.take(attempt)
        return


def _seek_points(info: VideoInfo, first: int) -> Iterator[int | None]:
    """Keyframes to try, each further back; None is the beginning of the file."""
    at = bisect_right(info.keyframe_pts, first) - 1
    for back in (0, 1, 3):
        if at - back > 0:
            yield info.keyframe_pts[at - back]
    yield None


def _pictures(
    container: InputContainer,
    info: VideoInfo,
    point: int | None,
    threads: int,
    report: DecodeReport,
) -> Iterator[av.VideoFrame]:
    stream = container.streams[info.stream_index]
    assert isinstance(stream, av.VideoStream)
    context = decoder_of(stream)
    context.options = {"max_pixels": str(max(_MOST_PIXELS, 4 * info.width * info.height))}
    context.thread_count = threads
    context.thread_type = "AUTO" if threads > 1 else "SLICE"
    depth = context.reorder_depth
    order = _Order(info, depth) if is_timed_as_decoded(info.container, info.codec) else None
    if order is not None:
        context.thread_type = "SLICE"  # threads that take a frame each would delay them
    if point is not None:
        try:
            container.seek(point, stream=stream, backward=True)
        except av.FFmpegError:
            return  # this container cannot seek there: the caller tries from further back
        # A flush forgets how far pictures are reordered, and the first ones would be lost.
        context.reorder_depth = max(context.reorder_depth, depth)
    packets = demuxed(container, stream)
    sets = ParameterSets(info.codec, stream.codec_context.extradata or b"")
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except av.FFmpegError:  # probe has told of it; what comes after is missed
            break
        if sets.change(packet):
            # New ones make the decoder forget the pictures that it has not given out yet.
            for picture in _decoded(context, None, report):
                yield picture if order is None else order.timed(picture, None)
            depth = context.reorder_depth
            context.flush_buffers()
            context.reorder_depth = max(context.reorder_depth, depth)
        for picture in _decoded(context, packet, report):
            yield picture if order is None else order.timed(picture, packet)
    for picture in _decoded(context, None, report):
        yield picture if order is None else order.timed(picture, None)


class _Order:
    """Gives pictures the film's times one by one, as decoders give them out in order of showing."""

    def __init__(self, info: VideoInfo, delay: int) -> None:
        self._times = info.pts
        self._delay = delay  # packets that go in before a picture comes out
        self._next = 0

    def timed(
        self, picture: av.VideoFrame, packet: av.Packet[av.VideoStream] | None
    ) -> av.VideoFrame:
        """The picture with the time that it is shown at; `packet` made it come out."""
        if packet is not None and packet.pts is not None:
            at = bisect_left(self._times, packet.pts) - self._delay
            self._next = max(self._next, at)
        picture.pts = self._times[min(self._next, len(self._times) - 1)]
        self._next += 1
        return picture


def _decoded(
    context: av.VideoCodecContext, packet: av.Packet[av.VideoStream] | None, report: DecodeReport
) -> Iterator[av.VideoFrame]:
    try:
        pictures = context.decode(packet)
    except av.EOFError:
        return
    except av.FFmpegError:
        report.refuse(None if packet is None else packet.pts)
        return
    yield from pictures


def _next_pts(info: VideoInfo, last: int | None) -> int | None:
    """The pts that the film has after `last`: the best guess for a picture without one."""
    at = 0 if last is None else bisect_right(info.pts, last)
    return info.pts[at] if at < len(info.pts) else None


def _frame(
    picture: av.VideoFrame, pts: int, info: VideoInfo, format: PixelFormat
) -> tuple[Frame, tuple[str, ...]]:
    """The film's frame for a picture, and what is wrong with it."""
    picture, troubles = conformed(picture, info)
    if picture.format.name != format.name:
        # Without a range or matrix asked for, a change of layout leaves every value as it is.
        picture = picture.reformat(format=format.name, interpolation="BICUBIC", threads=1)
    picture.pts = pts
    picture.time_base = info.time_base
    frame = Frame(
        pts=pts, format=format, colour=colour_of(picture), planes=views(picture), handle=picture
    )
    if format.bits % 8 == 0:
        return frame, troubles
    # x264 ends the process at values above what a frame's bits can say. FFmpeg fills what damage
    # took from a picture with bytes of 128, in words of 9 to 15 bits too.
    most = (1 << format.bits) - 1
    if all(plane.max(initial=0) <= most for plane in frame.planes):
        return frame, troubles
    held = frame.with_planes(tuple(np.minimum(plane, most) for plane in frame.planes))
    return held, (*troubles, f"have values above {most}, which were cut")
