"""Comparison: two videos in one, side by side, wiped or by turns, with faces enlarged below."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Literal

import numpy as np

from facepipe._system.files import is_image
from facepipe.configs.settings import Settings
from facepipe.datatypes import Frame, Part, Span, Track, VideoInfo
from facepipe.errors import InputError, UsageError
from facepipe.pipeline.encoding import encode_settings
from facepipe.pipeline.passes import Event
from facepipe.pipeline.preflight import (
    Plan,
    check_output,
    plan_run,
    translated_errors,
)
from facepipe.pipeline.sidecar import sidecar_path
from facepipe.presentation.crops import area_around
from facepipe.presentation.documents import read_document
from facepipe.presentation.moments import telling_tracks
from facepipe.presentation.planes import Kind, Planes, on_grid, planes_as, turned
from facepipe.presentation.sheet import label_image
from facepipe.video import check_target, decode, encode, mux, probe
from facepipe.video.containers import PART_SUFFIX
from facepipe.video.encoders.purposes import for_purpose

Style = Literal["side", "wipe", "flicker"]
#: Seconds in which the line of a wipe goes across and back, and in which each video is shown.
_WIPE_SECONDS, _FLICKER_SECONDS = 4.0, 0.5
#: Height of the strip of enlarged faces, as a share of the video's, and of a label.
_STRIP, _LABEL = 0.3, 1 / 24
#: Largest side of the result, px: the videos are made smaller where it would be larger.
_LARGEST = 3840


@dataclass(frozen=True)
class Layout:
    """Where everything lies in the result, upright, in px."""

    size: tuple[int, int]  # of each video
    whole: tuple[int, int]
    second: tuple[int, int]  # corner of the second video; that of the first is (0, 0)
    insets: tuple[tuple[int, int], ...]  # corner of each pair of faces
    side: int  # of a face

    @staticmethod
    def of(width: int, height: int, style: Style, insets: int) -> Layout:
        """The layout of two videos of that size, with so many faces below."""
        pairs = 2 if style == "side" else 1
        factor = min(1.0, _LARGEST / max(width * pairs, height))
        size = (max(int(width * factor), 2) // 2 * 2, max(int(height * factor), 2) // 2 * 2)
        second = (on_grid(size[0] + 4), 0) if style == "side" else (0, 0)
        total = second[0] + size[0]
        side = on_grid(size[1] * _STRIP) if insets else 0
        step = 2 * side + 8
        count = min(insets, max(total // step, 1)) if insets else 0
        begin = on_grid(max((total - count * step) // 2, 0))
        total = max(total, begin + count * step)
        places = tuple((begin + k * step, on_grid(size[1] + 4)) for k in range(count))
        down = places[0][1] + side if places else size[1]
        return Layout(size, (total + total % 2, down + down % 2), second, places, side)


@dataclass(frozen=True, eq=False)
class _Pair:
    """Two videos, and what is to be seen of them."""

    first: VideoInfo
    second: VideoInfo
    earlier: Fraction  # seconds by which the second's times are earlier
    style: Style
    labels: tuple[str, str]
    tracks: tuple[Track, ...]  # in pixels and times of the first


def compare_videos(
    first: Path,
    second: Path,
    target: Path,
    settings: Settings,
    *,
    style: Style = "side",
    labels: tuple[str, str] = ("before", "after"),
    insets: int = 3,
    report: Path | None = None,
    overwrite: bool = False,
    on_event: Callable[[Event], None] | None = None,
) -> int:
    """Write both videos to one, with the sound of the second; the number of frames.

    Each frame of the second is shown beside that of the first of the same time. Where one was made
    of the other by facepipe, the report beside it says how their times differ and which faces are
    enlarged; `report` names another one, or an analysis of the first.
    Errors: as `api.enhance`, UsageError for photographs.
    """
    for path in (first, second):
        if is_image(path):
            raise UsageError(f"{path}: is a photograph; compare takes two videos")
    with translated_errors(first, target):
        pair, plan = _opened(first, second, settings, style, labels, insets, report)
        check_output(second, target, overwrite)
        check_output(first, target, overwrite)
        return _write(pair, plan, target, settings, insets, on_event)


def _opened(
    first: Path,
    second: Path,
    settings: Settings,
    style: Style,
    labels: tuple[str, str],
    insets: int,
    report: Path | None,
) -> tuple[_Pair, Plan]:
    one, other = probe(first, settings.limits), probe(second, settings.limits)
    plan = plan_run(other, settings)
    tracks: tuple[Track, ...] = ()
    earlier = one.pts[0] * one.time_base - other.pts[0] * other.time_base
    if report is None and sidecar_path(second).is_file():
        report = sidecar_path(second)
    if report is not None and insets:
        document = read_document(report, limits=settings.limits)
        if (document.width, document.height) != (one.width, one.height):
            raise InputError(
                f"{report}: is about frames of {document.width}x{document.height} px, and {first} "
                f"has {one.width}x{one.height}"
            )
        if document.sidecar is not None:
            earlier = document.earlier
        enhanced = [track for track in document.tracks if track.enhance]
        tracks = tuple(track for track, _ in telling_tracks(enhanced, len(enhanced)))
    return _Pair(one, plan.info, earlier, style, labels, tracks), plan


def _write(
    pair: _Pair,
    plan: Plan,
    target: Path,
    settings: Settings,
    insets: int,
    on_event: Callable[[Event], None] | None,
) -> int:
    info = pair.second
    span = Span(0, plan.spans[0].start, plan.spans[-1].stop)
    size = (info.height, info.width) if _quarter_turned(info) else (info.width, info.height)
    layout = Layout.of(*size, pair.style, min(insets, len(pair.tracks)))
    whole = layout.whole[::-1] if _quarter_turned(info) else layout.whole
    made = replace(
        info, width=whole[0], height=whole[1], forms=(), closed_gops=(), header_size=None
    )
    encoder, _ = encode_settings(
        for_purpose(settings.output, made, target), made, target, span.stop
    )
    fits = check_target(Path(info.path), info, target, settings=encoder, allow_loss=True)
    total = sum(span.start <= pts < span.stop for pts in info.pts)

    def counted(frames: Iterator[Frame]) -> Iterator[Frame]:
        for number, frame in enumerate(frames, 1):
            if on_event:
                on_event(Event("compare", min(number, total), total))
            yield frame

    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name[:40]}.") as folder:
        part = Path(folder) / f"part{PART_SUFFIX}"
        frames = counted(_frames(pair, span, layout))
        written = encode(frames, part, info=made, span=span, settings=encoder)
        mux(
            [Part(span, str(part), written, 0)],
            Path(info.path),
            made,
            target,
            settings=encoder,
            metadata={},
            window=plan.window,
            leave_out=fits.leave_out,
        )
    return written


def _quarter_turned(info: VideoInfo) -> bool:
    return round(info.rotation / 90) % 2 == 1


def _frames(pair: _Pair, span: Span, layout: Layout) -> Iterator[Frame]:
    """The frames of the result, coded as those of the second video are."""
    seconds = float(pair.second.time_base)
    drawing: _Drawing | None = None
    others = _Nearest(pair.first, pair, span)
    for frame in decode(pair.second, span):
        drawing = drawing or _Drawing(pair, layout, Kind.of(frame))
        other = others.at(frame.pts * pair.second.time_base + pair.earlier)
        yield drawing.draw(frame, other, (frame.pts - span.start) * seconds)


class _Nearest:
    """Gives the frames of a video by rising time, the nearest to each."""

    def __init__(self, info: VideoInfo, pair: _Pair, span: Span) -> None:
        self._info = info
        begin = span.start * pair.second.time_base + pair.earlier
        start = max(int(begin / info.time_base) - 1, info.pts[0])
        start = max((pts for pts in info.pts if pts <= start), default=info.pts[0])
        self._frames = decode(info, Span(0, start, info.pts[-1] + 1))
        self._now = next(self._frames, None)
        self._next = next(self._frames, None)

    def at(self, time: Fraction) -> Frame:
        """The frame nearest to a time in seconds. InputError where none decodes."""
        if self._now is None:
            raise InputError(f"{self._info.path}: not one frame decodes")
        base = self._info.time_base
        while self._next is not None and abs(self._next.pts * base - time) <= abs(
            self._now.pts * base - time
        ):
            self._now, self._next = self._next, next(self._frames, None)
        return self._now


class _Drawing:
    """Draws the frames of a comparison."""

    def __init__(self, pair: _Pair, layout: Layout, kind: Kind) -> None:
        self._pair, self._layout, self._kind = pair, layout, kind
        info = pair.second
        # Planes that are subsampled one way alone cannot be turned: then all lies as coded.
        square = kind.format.shift_x == kind.format.shift_y
        self._turns = round(info.rotation / 90) % 4 if square else 0
        height = on_grid(max(layout.size[1] * _LABEL, 12))
        self._labels = [kind.of_rgb(label_image(text, height * 2 // 3)) for text in pair.labels]
        self._numbers: dict[int, Planes] = {}
        self._height = height
        self._places: list[Track | None] = [None] * len(layout.insets)

    def draw(self, frame: Frame, other: Frame, seconds: float) -> Frame:
        """The second video's frame with what it is compared to, `seconds` from the begin."""
        kind, layout = self._kind, self._layout
        own = turned(frame.planes, self._turns)
        large = planes_as(other, kind, frame.width, frame.height)
        first = turned(large, self._turns)
        canvas = kind.canvas(*layout.whole)
        size = layout.size
        sized = [
            planes if (planes[0].shape[1], planes[0].shape[0]) == size
            else kind.resized(planes, *size)
            for planes in (first, own)
        ]  # fmt: skip
        self._put_videos(canvas, sized, seconds)
        self._put_insets(canvas, frame, large)
        return frame.with_planes(turned(canvas, -self._turns))

    def _put_videos(self, canvas: Planes, videos: Sequence[Planes], seconds: float) -> None:
        kind, layout, style = self._kind, self._layout, self._pair.style
        if style == "side":
            for planes, place, label in zip(
                videos, ((0, 0), layout.second), self._labels, strict=True
            ):
                kind.put(canvas, planes, *place)
                kind.put(canvas, label, *place)
            return
        if style == "flicker":
            shown = int(seconds / _FLICKER_SECONDS) % 2
            kind.put(canvas, videos[shown], 0, 0)
            kind.put(canvas, self._labels[shown], 0, 0)
            return
        phase = seconds / _WIPE_SECONDS % 1
        share = 0.5 - 0.5 * float(np.cos(2 * np.pi * phase))
        at = on_grid(layout.size[0] * (0.1 + 0.8 * share))
        kind.put(canvas, videos[1], 0, 0)
        kind.put(canvas, kind.cut(videos[0], (0, 0, at, layout.size[1])), 0, 0)
        line = np.full((layout.size[1], 4, 3), 255, np.uint8)
        kind.put(canvas, kind.of_rgb(line), at, 0)
        kind.put(canvas, self._labels[0], 0, 0)
        right = layout.size[0] - self._labels[1][0].shape[1]
        kind.put(canvas, self._labels[1], max(right, 0) // 4 * 4, 0)

    def _put_insets(self, canvas: Planes, frame: Frame, other: Planes) -> None:
        """Write the faces that are there enlarged below, each in the place that it has."""
        kind, layout, pair = self._kind, self._layout, self._pair
        time = frame.pts * pair.second.time_base + pair.earlier
        pts = round(time / pair.first.time_base)
        self._take_places(pts)
        scale = frame.width / pair.first.width
        for place, track in zip(layout.insets, self._places, strict=True):
            if track is None or not track.covers(pts):
                continue
            area = area_around(track.box_at(pts) * scale, frame.width, frame.height)
            for number, planes in enumerate((other, frame.planes)):
                face = turned(kind.cut(planes, area), self._turns)
                face = kind.resized(face, layout.side, layout.side)
                kind.put(canvas, face, place[0] + number * layout.side, place[1])
            kind.put(canvas, self._number(track.number), *place)

    def _take_places(self, pts: int) -> None:
        """Keep each face that is there in its place, and give the free places to others."""
        new = [track for track in self._pair.tracks if track.covers(pts)]
        new = [track for track in new if all(track is not one for one in self._places)]
        for number, one in enumerate(self._places):
            if new and (one is None or not one.covers(pts)):
                self._places[number] = new.pop(0)

    def _number(self, number: int) -> Planes:
        if number not in self._numbers:
            self._numbers[number] = self._kind.of_rgb(
                label_image(str(number), max(self._height // 2, 9))
            )
        return self._numbers[number]
