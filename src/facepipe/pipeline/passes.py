"""The two passes over a film: each span a task, what is finished kept, the rest put together."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from threading import Thread
from typing import TypeVar

from facepipe.configs.settings import Settings
from facepipe.datatypes import Analysis, Damage, Part, Span, SpanFaces, VideoInfo
from facepipe.errors import FacepipeError, WorkerError, reason_of
from facepipe.faces.tracking.fade import faded
from facepipe.faces.tracking.link import link
from facepipe.pipeline.checkpoint import Job
from facepipe.pipeline.limits import check_tracks
from facepipe.pipeline.preflight import Plan, check_unchanged
from facepipe.pipeline.selection import choose
from facepipe.pipeline.spans import anchors, with_copies
from facepipe.pipeline.tasks import (
    AnalyzeTask,
    PassThroughTask,
    RenderTask,
    analyze_span,
    pass_through_span,
    render_span,
    rendering_work,
    tracks_within,
)
from facepipe.video import joinable_settings
from facepipe.video.damage import merged, refuse_damage
from facepipe.workers.base import Executor, Outcome

Result = TypeVar("Result")


@dataclass(frozen=True)
class Event:
    """How far a stage has come, in frames."""

    stage: str  # "analyze" or "render"
    done: int
    total: int


OnEvent = Callable[[Event], None]


def analyze_pass(
    planned: Plan,
    settings: Settings,
    job: Job,
    executor: Executor,
    on_event: OnEvent | None,
) -> Analysis:
    """Find and follow the faces of the whole film; what `job` keeps is not looked for again."""
    info, spans = planned.info, planned.spans
    starts = frozenset(anchors(info)) | {spans[0].start}
    found: dict[int, SpanFaces] = {}
    for span in spans:
        kept = job.kept_faces(span)
        if kept is not None:
            found[span.index] = kept
    plain = replace(info, closed_gops=())
    tasks = [
        AnalyzeTask(plain, span, starts, settings.detect, beyond=int(span is not spans[-1]))
        for span in spans
        if span.index not in found
    ]

    failed: list[BaseException | None] = []
    imports = Thread(target=_import_linking, daemon=True)

    def keep(outcome: Outcome[SpanFaces]) -> None:
        span = tasks[outcome.number].span
        result = outcome.result
        if result is None:
            _raise_if_hopeless(outcome.error)
            failed.append(outcome.error)
            if len(failed) == len(spans):
                raise WorkerError(f"every span failed: {reason_of(outcome.error)}")
            warning = f"no faces were looked for from pts {span.start}: {reason_of(outcome.error)}"
            result = SpanFaces(span=span, detections=(), cuts=(), warnings=(warning,))
        else:
            job.keep_faces(result)
            # Beside the workers' work; what links takes half a second to import.
            shows = any(len(detected.faces) for detected in result.detections)
            if shows and executor.workers > 1 and imports.ident is None:
                imports.start()
        found[span.index] = result

    _work(executor, analyze_span, tasks, keep, "analyze", planned, on_event)
    ordered = [found[span.index] for span in spans]
    tracks = link(ordered, detect=settings.detect, settings=settings.link, info=info)
    check_tracks(len(tracks), settings.limits, info.path)
    return Analysis(
        source_sha256=planned.source_sha256,
        time_base=info.time_base,
        frames=len(info.pts),
        width=info.width,
        height=info.height,
        tracks=choose(tracks, settings.choose, info),
        cuts=tuple(sorted({cut for part in ordered for cut in part.cuts})),
        warnings=tuple(dict.fromkeys(w for part in ordered for w in part.warnings)),
        damage=merged([*info.damage, *(d for part in ordered for d in part.damage)], info.pts),
    )


def _import_linking() -> None:
    with suppress(ImportError):  # told where it is used
        import_module("scipy.optimize")


def render_pass(
    planned: Plan,
    analysis: Analysis,
    settings: Settings,
    job: Job,
    executor: Executor,
    on_event: OnEvent | None,
) -> tuple[list[Part], int]:
    """The film's parts in order, rendered or to be copied, and how many `job` had kept."""
    info, spans = planned.info, _cut_anew(planned, analysis)
    parts: dict[int, Part] = {}
    for span in spans:
        kept = None if span.copied else job.kept_part(span)
        if kept is not None:
            parts[span.index] = kept
    resumed = len(parts)
    copied = {s.index: Part(s, "", _frames_within(info, s), 0) for s in spans if s.copied}
    parts |= copied
    encode = (
        joinable_settings(planned.encode, info) if 0 < len(copied) < len(spans) else planned.encode
    )
    tracks = faded(analysis.tracks, analysis.cuts, info, spans[0].start, spans[-1].stop)
    # The groups of pictures are not needed where a span is rendered, and many.
    plain = replace(info, closed_gops=())
    tasks = [
        RenderTask(
            plain,
            span,
            tracks_within(tracks, span, info),
            settings.restore,
            encode,
            job.part(span),
        )
        for span in spans
        if span.index not in parts
    ]
    # The longest first, so that no core is left alone with one at the end.
    tasks.sort(key=rendering_work, reverse=True)

    failed: list[PassThroughTask] = []

    def finish(part: Part) -> None:
        part = replace(part, path=str(job.part(part.span)))  # it may have been made elsewhere
        job.keep_part(part)
        parts[part.span.index] = part

    def keep(outcome: Outcome[Part]) -> None:
        if outcome.result is not None:
            finish(outcome.result)
            return
        _raise_if_hopeless(outcome.error)
        reason = f"restoring failed twice: {reason_of(outcome.error)}"
        failed.append(PassThroughTask(tasks[outcome.number], reason))

    _work(executor, render_span, tasks, keep, "render", planned, on_event)
    if failed and len(failed) + len(copied) == len(spans):
        raise WorkerError(f"every span failed; {failed[0].reason}")
    for outcome in executor.map(pass_through_span, failed, progress=lambda _: None):
        if outcome.result is None:
            span = failed[outcome.number].render.span
            raise WorkerError(
                f"span {span.index} fails even unenhanced: {reason_of(outcome.error)}"
            )
        finish(outcome.result)
    return [parts[span.index] for span in spans], resumed


def _cut_anew(planned: Plan, analysis: Analysis) -> tuple[Span, ...]:
    """The spans to render, and those to copy where that can be done."""
    if planned.copying.extent == "none":
        return planned.spans
    changed = [(track.first, track.last) for track in analysis.tracks if track.enhance]
    # Of what is damaged, those frames are written that decode, as they decode.
    changed += [(damage.first, damage.last) for damage in analysis.damage]
    spans = with_copies(planned.info, planned.spans, changed)
    if planned.copying.extent == "parts" or all(span.copied for span in spans):
        return spans
    return planned.spans


def check_damage(planned: Plan, damage: Sequence[Damage], settings: Settings) -> None:
    """Raise InputError where damage was found and the settings refuse it."""
    if settings.strict_input:
        refuse_damage(planned.info.path, damage, planned.info.time_base)


Task = TypeVar("Task", AnalyzeTask, RenderTask)


def _work(
    executor: Executor,
    function: Callable[[Task, Callable[[int], None]], Result],
    tasks: Sequence[Task],
    keep: Callable[[Outcome[Result]], None],
    stage: str,
    planned: Plan,
    on_event: OnEvent | None,
) -> None:
    """Run all tasks and tell how many of the film's frames are done.

    Nothing is kept that was made of a source that changed meanwhile.
    """
    info = planned.info
    total = sum(_frames_within(info, span) for span in planned.spans)
    done = total - sum(_frames_within(info, task.span) for task in tasks)

    def progress(frames: int) -> None:
        nonlocal done
        done += frames
        if on_event:
            on_event(Event(stage, min(done, total), total))

    progress(0)
    for outcome in executor.map(function, tasks, progress=progress):
        check_unchanged(Path(info.path), planned.source_sha256)
        keep(outcome)


def _frames_within(info: VideoInfo, span: Span) -> int:
    return bisect_left(info.pts, span.stop) - bisect_left(info.pts, span.start)


def _raise_if_hopeless(error: BaseException | None) -> None:
    """Raise what no other span would fare better with; a worker's own trouble is not that."""
    if isinstance(error, FacepipeError) and not isinstance(error, WorkerError):
        raise error
