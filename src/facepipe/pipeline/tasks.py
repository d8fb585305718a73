"""The tasks of both passes over one span, and the functions by which a worker runs them.

A task is plain data, and its result is a pure function of it. So the same call serves this process,
another process and a cluster.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import chain
from pathlib import Path

import cv2
import numpy as np

from facepipe._system.files import sha256_of
from facepipe.configs.settings import DetectSettings, RestoreSettings
from facepipe.datatypes import Crops, Float32, Frame, Part, Span, SpanFaces, Track, VideoInfo
from facepipe.datatypes.stages import others_are, stage, staged
from facepipe.faces.analyze import analyze_frames
from facepipe.faces.restoration.parsing import ParsedRestorer
from facepipe.faces.restore import (
    NEIGHBOUR_FRAMES,
    NEIGHBOUR_SECONDS,
    enlarged,
    faces_at_once,
    render_frames,
)
from facepipe.faces.tracking.acceptance import doubted_below
from facepipe.models.detectors import Detector, create_detector
from facepipe.models.face_parser import Parser
from facepipe.models.restorers import Restorer, create_restorer
from facepipe.pipeline.limits import most_at_once
from facepipe.video import DecodeReport, EncodeSettings, decode, encode

#: Faces that a window of frames may hold: each takes a megabyte on facepipe's own canvas, more on
#: larger ones, and a crowd has hundreds.
WINDOW_FACES = 512
#: Cost of a face in the render pass, in frames (of 640x360, on one core).
FACE_WORK = 3

Progress = Callable[[int], None]


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
    """Write one span with its faces restored. `tracks` are those that the span shows."""

    info: VideoInfo
    span: Span
    tracks: tuple[Track, ...]
    settings: RestoreSettings
    encode: EncodeSettings
    target: Path

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
) -> SpanFaces:
    """Find the faces of frames by the settings, with this process's detector; see analyze_frames.

    Scores a little below the asked one are found too, as they may continue a track.
    """
    return analyze_frames(
        frames,
        span,
        anchors=anchors,
        detector=_detector(settings.detector, settings.pack),
        every=settings.every,
        enlarge=settings.enlarge,
        score=max(settings.score - 0.2, 0.3),
        min_face=settings.min_face,
        rotation=(rotation + (0 if settings.turned == "auto" else settings.turned)) % 360,
        parser=_parse,
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
    runs_on = ""
    if task.tracks:
        restorer = restorer_of(task.settings)
        runs_on = restorer.description
        most = faces_at_once(WINDOW_FACES, restorer.contract.alignment)
        rendered = render_frames(
            counted,
            task.span,
            task.tracks,
            restorer,
            max_gap_pts=NEIGHBOUR_SECONDS / float(task.info.time_base),
            window=max(1, min(task.settings.window, most // most_at_once(task.tracks)[0])),
            strength=task.settings.strength,
            fidelity=task.settings.fidelity,
            scale=task.encode.scale,
            restored=faces.append,
        )
    else:
        rendered = enlarged(counted, task.encode.scale)
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


def pass_through_span(task: PassThroughTask, progress: Progress) -> Part:
    """Write a span unenhanced: the last resort when rendering it keeps failing."""
    part = render_span(replace(task.render, tracks=()), progress)
    return replace(part, passed_through=task.reason, lost=task.lost)


def _counted(frames: Iterator[Frame], progress: Progress, span: Span) -> Iterator[Frame]:
    for frame in staged("decode", frames):
        if span.start <= frame.pts < span.stop:
            progress(1)
        yield frame


@cache
def _detector(name: str, pack: Path | None) -> Detector:
    """The detector of this process."""
    return create_detector(name, pack=pack, threads=1)  # type: ignore[arg-type]


@cache
def restorer_of(settings: RestoreSettings) -> Restorer:
    """The restorer of this process; its faces come with a parse where its contract wants one."""
    restorer = create_restorer(
        settings.restorer,
        device=settings.device,
        runtime=settings.runtime,
        threads=1,
        mirrored=settings.mirrored,
    )
    if restorer.contract.mask == "parsing":
        return ParsedRestorer(restorer, _parse)
    return restorer


@cache
def _parser() -> Parser:
    """The parser of this process."""
    return Parser(threads=1)


def _parse(crops: Crops) -> Float32:
    """The parse of doubtful faces, whatever restores them; the network loads at the first."""
    return _parser()(crops)
