"""Turn a span of a source into frames."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import av
from av.container import InputContainer

from facepipe.frames import Frame, PixelFormat, Span, VideoInfo
from facepipe.media.alpha import alpha_decoder
from facepipe.media.containers import describe, open_source
from facepipe.media.formats import colour_of, views, working_format


@dataclass
class DecodeReport:
    """What went wrong while a span was decoded, for whoever asks."""

    damaged_packets: int = 0
    _told: dict[str, tuple[str, int]] = field(default_factory=dict)

    @property
    def warnings(self) -> tuple[str, ...]:
        """One line a kind of trouble: a damaged film has thousands of the same."""
        return tuple(
            kind + where + (f", and {count - 1} more like it" if count > 1 else "")
            for kind, (where, count) in self._told.items()
        )

    def tell(self, kind: str, where: str = "") -> None:
        """Note a trouble and where it was; only the first place of each kind is kept."""
        first, count = self._told.get(kind, (where, 0))
        self._told[kind] = first, count + 1

    def take(self, other: DecodeReport) -> None:
        """Move all that `other` holds here."""
        for kind, (where, count) in other._told.items():
            first, before = self._told.get(kind, (where, 0))
            self._told[kind] = first, before + count
        self.damaged_packets += other.damaged_packets
        other.damaged_packets = 0
        other._told.clear()


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
    Planes are read-only views in the source's own format or the planar one that holds all of it.
    Damaged packets are skipped and told to `report`. At most the decoder's own delay (some
    sixteen frames) is buffered. Errors: InputError when the file is gone or no longer a film.
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
            report.tell("a picture out of order is left out", f" at pts {pts}")
            continue
        if pts >= span.stop:
            if extra == beyond:
                break
            extra += 1
        last = pts
        owed[pts] -= 1
        yield _frame(picture, pts, info, format, report)
    missing = sum(count for pts, count in owed.items() if count > 0 and pts >= span.start)
    if missing:
        report.tell(
            f"{missing} of {end - begin} frames from pts {span.start} to {span.stop} do not decode"
        )


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
    decoder = alpha_decoder(stream)
    context = stream.codec_context if decoder is None else decoder
    context.thread_count = threads
    context.thread_type = "AUTO" if threads > 1 else "SLICE"
    depth = context.reorder_depth
    order = _Order(info, depth) if _timed_as_decoded(info) else None
    if order is not None:
        context.thread_type = "SLICE"  # threads that take a frame each would delay them
    if point is not None:
        try:
            container.seek(point, stream=stream, backward=True)
        except av.FFmpegError:
            return  # this container cannot seek there: the caller tries from further back
        # A flush forgets how far pictures are reordered, and the first ones would be lost.
        context.reorder_depth = max(context.reorder_depth, depth)
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except av.FFmpegError as error:
            report.tell(f"reading stopped early: {describe(error)}")
            break
        for picture in _decoded(context, packet, report):
            yield picture if order is None else order.timed(picture, packet)
    for picture in _decoded(context, None, report):
        yield picture if order is None else order.timed(picture, None)


def _timed_as_decoded(info: VideoInfo) -> bool:
    """Whether packets tell when they are decoded, and not when their picture is shown.

    AVI has no other times. FFmpeg works out the others for MPEG-4, but not for these.
    """
    return info.container == "avi" and info.codec in ("h264", "hevc")


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
    except av.FFmpegError as error:
        report.damaged_packets += 1
        at = "at the end" if packet is None or packet.pts is None else f"at pts {packet.pts}"
        report.tell(f"a packet does not decode: {describe(error)}", f" ({at})")
        return
    yield from pictures


def _next_pts(info: VideoInfo, last: int | None) -> int | None:
    """The pts that the film has after `last`: the best guess for a picture without one."""
    at = 0 if last is None else bisect_right(info.pts, last)
    return info.pts[at] if at < len(info.pts) else None


def _frame(
    picture: av.VideoFrame, pts: int, info: VideoInfo, format: PixelFormat, report: DecodeReport
) -> Frame:
    if (picture.width, picture.height) != (info.width, info.height):
        report.tell(
            f"a picture is {picture.width}x{picture.height} and was scaled "
            f"to {info.width}x{info.height}",
            f" (pts {pts})",
        )
    wanted = (info.width, info.height, format.name)
    if (picture.width, picture.height, picture.format.name) != wanted:
        # Without a range or matrix asked for, a change of layout leaves every value as it is.
        picture = picture.reformat(*wanted, interpolation="BICUBIC", threads=1)
    picture.pts = pts
    picture.time_base = info.time_base
    return Frame(pts, format, colour_of(picture), views(picture), handle=picture)
