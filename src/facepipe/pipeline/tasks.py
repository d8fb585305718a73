"""The tasks of both passes over one span, and the functions by which a worker runs them.

A task is plain data, and its result is a pure function of it. So the same call serves this process,
another process and a cluster.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import chain
from pathlib import Path

import cv2
import numpy as np

from facepipe._system.files import sha256_of
from facepipe.configs.settings import DetectSettings, RestoreSettings
from facepipe.datatypes import Frame, Part, Span, SpanFaces, Track, VideoInfo
from facepipe.datatypes.stages import others_are, stage, staged
from facepipe.faces.analyze import analyze_frames
from facepipe.faces.restoration.label import labelled
from facepipe.faces.restore import (
    NEIGHBOUR_FRAMES,
    NEIGHBOUR_SECONDS,
    enlarged,
    faces_at_once,
    render_frames,
)
from facepipe.faces.tracking.acceptance import doubted_below
from facepipe.models.restorers import Restorer
from facepipe.pipeline.limits import most_at_once
from facepipe.pipeline.networks import Networks
from facepipe.video import DecodeReport, EncodeSettings, decode, encode

#: Faces that a window of frames may hold: each takes a megabyte on facepipe's own canvas, more on
#: larger ones, and a crowd has hundreds.
WINDOW_FACES = 512
#: Cost of a face in the render pass, in frames (of 640x360, on one core).
FACE_WORK = 3

Progress = Callable[[int], None]

#: The networks of this process.
PROCESS = Networks()
restorer_of = PROCESS.restorer


@dataclass(frozen=True)
class AnalyzeTask:
    """Find the faces of one span; `beyond` frames after it are read too."""

    info: VideoInfo
    span: Span
    anchors: frozenset[int]
    settings: DetectSettings
    beyond: int

    @property
    def output_folder(self) -> None:
        """It writes nothing."""
        return

    def for_remote(self, address: Callable[[str], str], folder: Path) -> AnalyzeTask:  # noqa: ARG002
        """The same for a machine that reads the source at its address."""
        return replace(self, info=replace(self.info, path=address(self.info.path)))


@dataclass(frozen=True, eq=False)
class RenderTask:
    """Write one span with its faces restored. `tracks` are those that the span shows.

    `labels` are the stretches of the video, first and last pts, that get the visible label.
    """

    info: VideoInfo
    span: Span
    tracks: tuple[Track, ...]
    settings: RestoreSettings
    encode: EncodeSettings
    target: Path
    labels: tuple[tuple[int, int], ...] = ()

    @property
    def output_folder(self) -> Path:
        """The folder that it writes to."""
        return self.target.parent

    def for_remote(self, address: Callable[[str], str], folder: Path) -> RenderTask:
        """The same for a machine that reads the source at its address, writing to `folder`."""
        info = replace(self.info, path=address(self.info.path))
        return replace(self, info=info, target=folder / self.target.name)


@dataclass(frozen=True, eq=False)
class PassThroughTask:
    """Write one span unenhanced, as rendering it failed for `reason`."""

    render: RenderTask
    reason: str
    lost: bool = False  # because its workers were lost

    @property
    def output_folder(self) -> Path:
        """The folder that it writes to."""
        return self.render.output_folder

    def for_remote(self, address: Callable[[str], str], folder: Path) -> PassThroughTask:
        """As RenderTask's."""
        return replace(self, render=self.render.for_remote(address, folder))


def tracks_within(tracks: Sequence[Track], span: Span, info: VideoInfo) -> tuple[Track, ...]:
    """The enhanced tracks that `span` shows, each cut to the knots that the span needs.

    It needs those of its neighbouring frames too, which are restored and averaged with its own.
    """
    reach = NEIGHBOUR_FRAMES
    begin, end = bisect_left(info.pts, span.start), bisect_left(info.pts, span.stop)
    start, stop = info.pts[max(begin - reach, 0)], info.pts[min(end + reach, len(info.pts)) - 1]
    inside = []
    for track in tracks:
        if not track.enhance or track.last < span.start or track.first >= span.stop:
            continue
        before = int(np.searchsorted(track.pts, start, "right")) - 1
        after = int(np.searchsorted(track.pts, stop, "left")) + 1
        cut = slice(max(before, 0), after)
        inside.append(
            replace(
                track,
                pts=track.pts[cut],
                boxes=track.boxes[cut],
                landmarks=track.landmarks[cut],
                scores=track.scores[cut],
            )
        )
    return tuple(inside)


def rendering_work(task: RenderTask) -> float:
    """Estimate the cost of `task`, in frames without a face."""
    pts, span = task.info.pts, task.span
    shown = pts[bisect_left(pts, span.start) : bisect_left(pts, span.stop)]
    faces = sum(
        bisect_right(shown, track.last) - bisect_left(shown, track.first) for track in task.tracks
    )
    return len(shown) + FACE_WORK * faces


def analyze_span(task: AnalyzeTask, progress: Progress) -> SpanFaces:
    """Decode a span and find its faces; `progress` is called with the frames done since."""
    cv2.setNumThreads(1)
    report = DecodeReport()
    frames = decode(task.info, task.span, beyond=task.beyond, report=report)
    found = search(
        _counted(frames, progress, task.span),
        task.span,
        anchors=task.anchors,
        settings=task.settings,
        rotation=task.info.rotation,
    )
    return replace(found, damage=report.damage(task.info.pts), holdings=report.holdings())


def search(
    frames: Iterable[Frame],
    span: Span,
    *,
    anchors: frozenset[int],
    settings: DetectSettings,
    rotation: int = 0,
    networks: Networks = PROCESS,
) -> SpanFaces:
    """Find the faces of frames by the settings; see analyze_frames.

    Scores a little below the asked one are found too, as they may continue a track.
    """
    return analyze_frames(
        frames,
        span,
        anchors=anchors,
        detector=networks.detector(settings.detector, settings.pack),
        every=settings.every,
        enlarge=settings.enlarge,
        score=max(settings.score - 0.2, 0.3),
        min_face=settings.min_face,
        rotation=(rotation + (0 if settings.turned == "auto" else settings.turned)) % 360,
        parser=networks.parse,
        doubted_below=doubted_below(settings.score),
    )


def render_span(task: RenderTask, progress: Progress) -> Part:
    """Decode, restore, paste and encode one span into `task.target`."""
    cv2.setNumThreads(1)
    report = DecodeReport()
    around = NEIGHBOUR_FRAMES if task.tracks else 0
    frames = decode(task.info, task.span, before=around, beyond=around, report=report)
    counted = _counted(frames, progress, task.span)
    faces: list[int] = []
    restorer = restorer_of(task.settings) if task.tracks else None
    runs_on = "" if restorer is None else restorer.description
    rendered = restored_frames(
        counted,
        task.span,
        task.tracks,
        restorer,
        settings=task.settings,
        time_base=task.info.time_base,
        scale=task.encode.scale,
        restored=faces.append,
    )
    if task.labels:
        aspect = task.info.sample_aspect_ratio or Fraction(1)
        rendered = labelled(rendered, task.labels, rotation=task.info.rotation, aspect=aspect)
    first = next(rendered, None)
    if first is None:
        return Part(task.span, str(task.target), 0, 0, damage=report.damage(task.info.pts))
    rendered = chain([first], rendered)
    with stage("encode"), others_are("encode"):
        written = encode(
            rendered, task.target, info=task.info, span=task.span, settings=task.encode
        )
    return Part(
        task.span,
        str(task.target),
        written,
        sum(faces),
        runs_on=runs_on,
        damage=report.damage(task.info.pts),
        size=task.target.stat().st_size,
        sha256=sha256_of(task.target),
    )


def restored_frames(
    frames: Iterator[Frame],
    span: Span,
    tracks: Sequence[Track],
    restorer: Restorer | None,
    *,
    settings: RestoreSettings,
    time_base: Fraction,
    scale: int,
    restored: Callable[[int], None] = lambda _: None,
) -> Iterator[Frame]:
    """The frames of a span with their faces restored by the settings; see render_frames.

    Without `tracks` there is no restorer, and `frames` are those of the span alone.
    """
    if not tracks or restorer is None:
        return enlarged(frames, scale)
    most = faces_at_once(WINDOW_FACES, restorer.contract.alignment)
    return render_frames(
        frames,
        span,
        tracks,
        restorer,
        max_gap_pts=NEIGHBOUR_SECONDS / float(time_base),
        window=max(1, min(settings.window, most // most_at_once(tracks)[0])),
        strength=settings.strength,
        fidelity=settings.fidelity,
        scale=scale,
        restored=restored,
    )


def pass_through_span(task: PassThroughTask, progress: Progress) -> Part:
    """Write a span unenhanced: the last resort when rendering it keeps failing."""
    part = render_span(replace(task.render, tracks=(), labels=()), progress)
    return replace(part, passed_through=task.reason, lost=task.lost)


def _counted(frames: Iterator[Frame], progress: Progress, span: Span) -> Iterator[Frame]:
    for frame in staged("decode", frames):
        if span.start <= frame.pts < span.stop:
            progress(1)
        yield frame
