"""The two passes over a video: each span is a task, and what is finished is kept in the job."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Container, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from threading import Thread
from typing import TypeVar

from facepipe._system.files import check_written
from facepipe.configs.settings import Settings
from facepipe.datatypes import Analysis, Damage, Part, Span, SpanFaces, VideoInfo
from facepipe.errors import (
    FacepipeError,
    NoWorkersError,
    WorkerError,
    WorkersLostError,
    printable,
    reason_of,
)
from facepipe.faces.tracking.fade import faded
from facepipe.faces.tracking.link import link
from facepipe.pipeline.checkpoint import Job
from facepipe.pipeline.limits import check_tracks
from facepipe.pipeline.preflight import Plan, alignment_of, check_unchanged
from facepipe.pipeline.selection import choose
from facepipe.pipeline.spans import anchors, with_copies
from facepipe.pipeline.stage_report import run_tasks
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
from facepipe.workers.base import Check, Executor, Outcome

Result = TypeVar("Result")


@dataclass(frozen=True)
class Event:
    """Progress of a pass, in frames."""

    stage: str  # "analyze" or "render"
    done: int
    total: int


OnEvent = Callable[[Event], None]


@dataclass(frozen=True)
class Run:
    """The context of a run: plan, settings, job folder, executor, callback."""

    plan: Plan
    settings: Settings
    job: Job
    executor: Executor
    on_event: OnEvent | None = None

    def check_part(self, part: Part, thorough: bool) -> None:
        """Raise WorkerError where a rendered part is not in the job as its worker wrote it."""
        if part.frames:
            sha256 = part.sha256 if thorough else None
            check_written(self.job.part(part.span), part.size, sha256)


def analyze_pass(run: Run) -> list[SpanFaces]:
    """Detect the faces of every span; spans that the job has kept are not searched again."""
    info, spans = run.plan.info, run.plan.spans
    starts = frozenset(anchors(info)) | {spans[0].start}
    known = ((span.index, run.job.kept_faces(span)) for span in spans)
    found = {index: faces for index, faces in known if faces is not None}
    tasks = [
        AnalyzeTask(
            slim_info(info), span, starts, run.settings.detect, beyond=int(span is not spans[-1])
        )
        for span in spans
        if span.index not in found
    ]
    failures = 0
    imports = Thread(target=_import_linking, daemon=True)

    def keep(outcome: Outcome[SpanFaces]) -> None:
        nonlocal failures
        span, faces = tasks[outcome.number].span, outcome.result
        if faces is None:
            _raise_if_final(outcome.error)
            failures += 1
            if isinstance(outcome.error, WorkersLostError):
                run.job.note_unsearched()
            if failures == len(spans):
                kind = WorkersLostError if run.job.unsearched else WorkerError
                raise kind(f"every span failed: {reason_of(outcome.error)}")
            warning = f"no faces were looked for from pts {span.start}: {reason_of(outcome.error)}"
            found[span.index] = SpanFaces(span=span, detections=(), cuts=(), warnings=(warning,))
            return
        found[span.index] = faces
        run.job.keep_faces(faces)
        # Linking takes a fifth of a second to import: that is done while the workers work.
        shows = any(len(detected.faces) for detected in faces.detections)
        if shows and run.executor.workers > 1 and imports.ident is None:
            imports.start()

    _work(run, analyze_span, tasks, keep, "analyze")
    return [found[span.index] for span in spans]


def link_tracks(run: Run, found: Sequence[SpanFaces]) -> Analysis:
    """Link the faces of all spans to tracks, and choose which tracks to enhance."""
    info, settings = run.plan.info, run.settings
    tracks = link(
        found,
        detect=settings.detect,
        settings=settings.link,
        info=info,
        largest=alignment_of(settings).largest_face,
    )
    check_tracks(len(tracks), settings.limits, info.path)
    held: dict[str, int] = {}
    for name, pts in sorted(one for part in found for one in part.holdings):
        held.setdefault(name, pts)
    return Analysis(
        source_sha256=run.plan.source_sha256,
        time_base=info.time_base,
        frames=len(info.pts),
        width=info.width,
        height=info.height,
        tracks=choose(tracks, settings.choose, info),
        cuts=tuple(sorted({cut for part in found for cut in part.cuts})),
        warnings=tuple(dict.fromkeys([*info.warnings, *(w for p in found for w in p.warnings)])),
        damage=merged([*info.damage, *(d for part in found for d in part.damage)], info.pts),
        stream=info.stream_index,
        holdings=tuple(sorted(held.items())),
        source_name=printable(Path(info.path).name),
    )


def render_pass(run: Run, analysis: Analysis) -> tuple[list[Part], int]:
    """Render the spans that change; gives all parts in order, and how many the job had kept."""
    spans = _spans_to_write(run.plan, analysis)
    info, job = run.plan.info, run.job
    known = ((span.index, None if span.copied else job.kept_part(span)) for span in spans)
    parts = {index: part for index, part in known if part is not None}
    resumed = len(parts)
    copied = {s.index: Part(s, "", _frames_within(info, s), 0) for s in spans if s.copied}
    parts |= copied
    tasks = _render_tasks(run, analysis, spans, parts)
    failed: list[PassThroughTask] = []

    def keep(outcome: Outcome[Part]) -> None:
        if outcome.result is not None:
            _keep_part(job, parts, outcome.result)
            return
        _raise_if_final(outcome.error)
        reason = f"restoring failed twice: {reason_of(outcome.error)}"
        lost = isinstance(outcome.error, WorkersLostError)
        failed.append(PassThroughTask(tasks[outcome.number], reason, lost))

    _work(run, render_span, tasks, keep, "render", run.check_part)
    if failed and len(failed) + len(copied) == len(spans):
        kind = WorkersLostError if any(task.lost for task in failed) else WorkerError
        raise kind(f"every span failed; {failed[0].reason}")
    _pass_through(run, failed, parts)
    return [parts[span.index] for span in spans], resumed


def _render_tasks(
    run: Run, analysis: Analysis, spans: Sequence[Span], parts: Container[int]
) -> list[RenderTask]:
    """A task for each span that has no part yet, the longest first."""
    info, encode, restore = run.plan.info, run.plan.encode, run.settings.restore
    if any(span.copied for span in spans) and not all(span.copied for span in spans):
        encode = joinable_settings(encode, info)
    tracks = faded(analysis.tracks, analysis.cuts, info, spans[0].start, spans[-1].stop)
    slim = slim_info(info)
    tasks = [
        RenderTask(
            slim, span, tracks_within(tracks, span, info), restore, encode, run.job.part(span)
        )
        for span in spans
        if span.index not in parts
    ]
    # So that no core is left alone with a long one at the end.
    return sorted(tasks, key=rendering_work, reverse=True)


def _pass_through(run: Run, failed: Sequence[PassThroughTask], parts: dict[int, Part]) -> None:
    """Write spans whose faces could not be restored as they are."""
    made = run_tasks(
        run.executor,
        pass_through_span,
        failed,
        progress=lambda _: None,
        check=run.check_part,
    )
    for outcome in made:
        if outcome.result is None:
            span = failed[outcome.number].render.span
            raise WorkerError(
                f"span {span.index} fails even unenhanced: {reason_of(outcome.error)}"
            )
        _keep_part(run.job, parts, outcome.result)


def _keep_part(job: Job, parts: dict[int, Part], part: Part) -> None:
    part = replace(part, path=str(job.part(part.span)))  # it may have been made elsewhere
    job.keep_part(part)
    parts[part.span.index] = part


def slim_info(info: VideoInfo) -> VideoInfo:
    """The info without its groups of pictures and packet times: tasks stay small."""
    return replace(info, closed_gops=(), coded_pts=())


def _import_linking() -> None:
    with suppress(ImportError):  # reported where it is used
        import_module("scipy.linalg")


def _spans_to_write(plan: Plan, analysis: Analysis) -> tuple[Span, ...]:
    """The spans to render, and those to copy where that can be done."""
    if plan.smart_render.extent == "none":
        return plan.spans
    changed = [(track.first, track.last) for track in analysis.tracks if track.enhance]
    # Of what is damaged, those frames are written that decode, as they decode.
    changed += [(damage.first, damage.last) for damage in analysis.damage]
    changed += plan.smart_render.never
    spans = with_copies(plan.info, plan.spans, changed)
    if plan.smart_render.extent == "parts" or all(span.copied for span in spans):
        return spans
    return plan.spans


def check_damage(plan: Plan, damage: Sequence[Damage], settings: Settings) -> None:
    """Raise InputError where damage was found and the settings refuse it."""
    if settings.strict_input:
        refuse_damage(plan.info.path, damage, plan.info.time_base)


Task = TypeVar("Task", AnalyzeTask, RenderTask)


def _work(
    run: Run,
    function: Callable[[Task, Callable[[int], None]], Result],
    tasks: Sequence[Task],
    keep: Callable[[Outcome[Result]], None],
    stage: str,
    check: Check | None = None,
) -> None:
    """Run all tasks and report how many frames are done.

    Nothing is kept that was made of a source that changed meanwhile.
    """
    info = run.plan.info
    total = sum(_frames_within(info, span) for span in run.plan.spans)
    done = total - sum(_frames_within(info, task.span) for task in tasks)

    def progress(frames: int) -> None:
        nonlocal done
        done += frames
        if run.on_event:
            run.on_event(Event(stage, min(done, total), total))

    progress(0)
    for outcome in run_tasks(run.executor, function, tasks, progress=progress, check=check):
        check_unchanged(Path(info.path), run.plan.source_sha256)
        keep(outcome)


def _frames_within(info: VideoInfo, span: Span) -> int:
    return bisect_left(info.pts, span.stop) - bisect_left(info.pts, span.start)


def _raise_if_final(error: BaseException | None) -> None:
    """Raise an error that every other span would meet too; a lost worker is none."""
    if isinstance(error, NoWorkersError):
        raise error
    if isinstance(error, FacepipeError) and not isinstance(error, WorkerError):
        raise error
