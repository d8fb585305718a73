"""Faces before and after at chosen moments: from the source, rendered anew or read of an output."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from pathlib import Path

import cv2

from facepipe.configs.settings import RestoreSettings
from facepipe.datatypes import Frame, Span, Track, VideoInfo
from facepipe.errors import FacepipeError
from facepipe.faces.restoration.enlarge import enlarge
from facepipe.faces.restore import NEIGHBOUR_FRAMES, NEIGHBOUR_SECONDS, render_frames
from facepipe.pipeline.passes import slim_info
from facepipe.pipeline.tasks import restorer_of, tracks_within
from facepipe.presentation.crops import (
    Area,
    Rgb,
    Shown,
    area_around,
    crop_area,
    share_invented,
)
from facepipe.presentation.moments import Moment
from facepipe.video import decode
from facepipe.workers.base import Executor, Outcome

#: Frames between two moments up to which they are decoded in one go.
_SAME_RUN = 24
#: Side of crops that a share is measured in, px.
_MEASURED_SIDE = 96


@dataclass(frozen=True)
class Look:
    """One way to render a face: the settings of restoration, and how many times enlarged."""

    restore: RestoreSettings
    scale: int = 1


@dataclass(frozen=True, eq=False)
class FaceView:
    """A face at one moment: (S, S, 3) RGB before, and after once for each look.

    `after` is empty for a refused track. `invented` is the share of the first look's contrast that
    the restorer made; None where there is none.
    """

    moment: Moment
    seconds: float
    before: Rgb
    after: tuple[Rgb, ...] = ()
    invented: float | None = None


@dataclass(frozen=True, eq=False)
class ViewTask:
    """Render the faces at `moments`, which lie close to each other in time.

    `tracks` are all that the frames show, so that faces which meet come out as in a run.
    """

    info: VideoInfo
    moments: tuple[Moment, ...]
    tracks: tuple[Track, ...]
    looks: tuple[Look, ...]
    side: int

    @property
    def output_folder(self) -> None:
        """It writes nothing."""
        return

    def for_remote(self, address: Callable[[str], str], folder: Path) -> ViewTask:  # noqa: ARG002
        """The same for a machine that reads the source at its address."""
        return replace(self, info=replace(self.info, path=address(self.info.path)))


def rendered_views(
    info: VideoInfo,
    moments: Sequence[Moment],
    tracks: Sequence[Track],
    looks: Sequence[Look],
    *,
    side: int,
    executor: Executor,
) -> list[FaceView]:
    """The faces at `moments` before and after, in their order; only these frames are rendered.

    `tracks` are all of the video, faded as a run does it. Errors: those of the workers.
    """
    tasks = [
        ViewTask(slim_info(info), tuple(group), _around(group, tracks, info), tuple(looks), side)
        for group in _close_together(moments, info)
    ]
    return _in_order(moments, executor.map(render_views, tasks, progress=lambda _: None))


def read_views(
    info: VideoInfo,
    output: VideoInfo | None,
    moments: Sequence[Moment],
    *,
    earlier: Fraction,
    side: int,
    executor: Executor,
) -> list[FaceView]:
    """The faces at `moments` in the source, and in an output that was made of it, if there is one.

    All times of the output are `earlier` seconds earlier than those of the source.
    """
    slim = None if output is None else slim_info(output)
    tasks = [
        PairTask(slim_info(info), slim, tuple(group), earlier, side)
        for group in _close_together(moments, info)
    ]
    return _in_order(moments, executor.map(read_pairs, tasks, progress=lambda _: None))


def _in_order(
    moments: Sequence[Moment], outcomes: Iterable[Outcome[tuple[FaceView, ...]]]
) -> list[FaceView]:
    views: dict[tuple[int, int], FaceView] = {}
    for outcome in outcomes:
        if outcome.result is None:
            raise outcome.error or FacepipeError("the faces could not be shown")
        views |= {(v.moment.track.number, v.moment.pts): v for v in outcome.result}
    known = ((moment.track.number, moment.pts) for moment in moments)
    return [views[key] for key in known if key in views]


@dataclass(frozen=True, eq=False)
class PairTask:
    """Read the faces at `moments` out of a source and of the output made of it."""

    info: VideoInfo
    output: VideoInfo | None
    moments: tuple[Moment, ...]
    earlier: Fraction
    side: int

    @property
    def output_folder(self) -> None:
        """It writes nothing."""
        return

    def for_remote(self, address: Callable[[str], str], folder: Path) -> PairTask:  # noqa: ARG002
        """The same for a machine that reads both at their addresses."""
        info, output = replace(self.info, path=address(self.info.path)), self.output
        if output is not None:
            output = replace(output, path=address(output.path))
        return replace(self, info=info, output=output)


def read_pairs(task: PairTask, progress: Callable[[int], None]) -> tuple[FaceView, ...]:
    """Decode and crop the faces of a task; what does not decode in either is left out."""
    cv2.setNumThreads(1)
    output = task.output
    wanted = sorted({moment.pts for moment in task.moments})
    before = _frames_at(task.info, wanted)
    pairs: dict[int, int] = {}
    after: dict[int, Frame] = {}
    scale = 1
    if output is not None:
        found = {pts: output_pts(pts, task.info, output, task.earlier) for pts in wanted}
        pairs = {pts: at for pts, at in found.items() if at is not None}
        after = _frames_at(output, sorted(set(pairs.values())))
        scale = max(round(output.width / task.info.width), 1)
    views = []
    for moment in task.moments:
        frame, made = (
            before.get(moment.pts),
            after.get(pairs[moment.pts]) if moment.pts in pairs else None,
        )
        if frame is not None:
            of = [] if made is None else [(made, scale)]
            views.append(view_of(task.info, moment, frame, of, side=task.side))
        progress(1)
    return tuple(views)


def output_pts(pts: int, info: VideoInfo, output: VideoInfo, earlier: Fraction) -> int | None:
    """The pts at which an output shows the source's frame at `pts`, None: it does not."""
    if not output.pts:
        return None
    wanted = (pts * info.time_base - earlier) / output.time_base
    at = bisect_left(output.pts, wanted)
    near = output.pts[max(at - 1, 0) : at + 1]
    best = min(near, key=lambda one: abs(one - wanted))
    half_frame = 0.5 / info.frames_per_second
    return best if abs(best - wanted) * output.time_base < half_frame else None


def _frames_at(info: VideoInfo, wanted: Sequence[int]) -> dict[int, Frame]:
    """The frames at some pts that lie close to each other, by pts."""
    if not wanted:
        return {}
    frames = decode(info, Span(0, wanted[0], wanted[-1] + 1))
    return {frame.pts: frame for frame in frames if frame.pts in set(wanted)}


def render_views(task: ViewTask, progress: Callable[[int], None]) -> tuple[FaceView, ...]:
    """Decode, restore and crop the faces of a task; a frame that does not decode is left out."""
    cv2.setNumThreads(1)
    wanted = sorted({moment.pts for moment in task.moments})
    span = Span(0, wanted[0], wanted[-1] + 1)
    frames = decode(task.info, span, before=NEIGHBOUR_FRAMES, beyond=NEIGHBOUR_FRAMES)
    views = []
    for pts, around in _windows(frames, wanted):
        own = [moment for moment in task.moments if moment.pts == pts]
        frame = next(frame for frame in around if frame.pts == pts)
        made = [(_rendered(task, look, pts, around), look.scale) for look in task.looks]
        views += [view_of(task.info, moment, frame, made, side=task.side) for moment in own]
        progress(1)
    return tuple(views)


def _windows(frames: Iterable[Frame], wanted: Sequence[int]) -> Iterator[tuple[int, list[Frame]]]:
    """For each pts of `wanted` that comes, the frames up to NEIGHBOUR_FRAMES on each side of it."""
    recent: list[Frame] = []
    waiting = list(wanted)

    def ready(ended: bool) -> Iterator[tuple[int, list[Frame]]]:
        while waiting:
            times = [frame.pts for frame in recent]
            at = bisect_left(times, waiting[0])
            if not ended and at + NEIGHBOUR_FRAMES >= len(times):
                return
            pts = waiting.pop(0)
            if at < len(times) and times[at] == pts:
                yield pts, recent[max(at - NEIGHBOUR_FRAMES, 0) : at + NEIGHBOUR_FRAMES + 1]

    for frame in frames:
        recent.append(frame)
        yield from ready(ended=False)
        keep = bisect_left([f.pts for f in recent], waiting[0]) if waiting else len(recent)
        del recent[: max(keep - NEIGHBOUR_FRAMES, 0)]
    yield from ready(ended=True)


def _rendered(task: ViewTask, look: Look, pts: int, around: Sequence[Frame]) -> Frame:
    """The frame at `pts` as a run with this look would have it, before it is encoded."""
    restore = look.restore
    tracks = [track for track in task.tracks if track.covers(pts)]
    own = next(frame for frame in around if frame.pts == pts)
    if not tracks:
        return own if look.scale == 1 else enlarge(own, look.scale)
    return next(
        render_frames(
            iter(around),
            Span(0, pts, pts + 1),
            tracks,
            restorer_of(restore),
            max_gap_pts=NEIGHBOUR_SECONDS / float(task.info.time_base),
            window=restore.window,
            strength=restore.strength,
            fidelity=restore.fidelity,
            scale=look.scale,
            restored=lambda _: None,
        )
    )


def view_of(
    info: VideoInfo,
    moment: Moment,
    frame: Frame,
    made: Sequence[tuple[Frame, int]],
    *,
    side: int,
) -> FaceView:
    """The face of `moment` in a source's frame, and in each that was made of it with its scale."""
    shown = Shown.of(info.rotation, info.sample_aspect_ratio)
    area = area_around(moment.track.box_at(moment.pts), frame.width, frame.height, shown)
    cut = partial(crop_area, area=area, shown=shown)
    seconds = seconds_of(moment.pts, info)
    before = cut(frame, side=side)
    if not moment.track.enhance or not made:
        return FaceView(moment, seconds, before)
    after = tuple(cut(one, side=side, scale=scale) for one, scale in made)
    measured = cut(made[0][0], side=_MEASURED_SIDE, scale=made[0][1])
    invented = share_invented(cut(frame, side=_MEASURED_SIDE), measured)
    return FaceView(moment, seconds, before, after, invented)


def seconds_of(pts: int, info: VideoInfo) -> float:
    """The time of a frame as players show it: from the first frame on."""
    return float((pts - info.pts[0]) * info.time_base) if info.pts else 0.0


def _around(group: Sequence[Moment], tracks: Sequence[Track], info: VideoInfo) -> tuple[Track, ...]:
    """The enhanced tracks that the crops of `group` show, cut to its frames."""
    first, last = min(m.pts for m in group), max(m.pts for m in group)
    near = tracks_within(tracks, Span(0, first, last + 1), info)
    areas = [
        (m.pts, area_around(m.track.box_at(m.pts), info.width, info.height))
        for m in group
        if m.track.enhance
    ]
    return tuple(
        track
        for track in near
        if any(track.covers(pts) and _meets(track, pts, area, info) for pts, area in areas)
    )


def _meets(track: Track, pts: int, area: Area, info: VideoInfo) -> bool:
    own = area_around(track.box_at(pts), info.width, info.height)
    return own[0] < area[2] and area[0] < own[2] and own[1] < area[3] and area[1] < own[3]


def _close_together(moments: Sequence[Moment], info: VideoInfo) -> Iterator[list[Moment]]:
    """The moments by time, in groups that are decoded in one go."""
    group: list[Moment] = []
    for moment in sorted(moments, key=lambda moment: moment.pts):
        if group:
            gap = bisect_left(info.pts, moment.pts) - bisect_left(info.pts, group[-1].pts)
            if gap > _SAME_RUN:
                yield group
                group = []
        group.append(moment)
    if group:
        yield group
