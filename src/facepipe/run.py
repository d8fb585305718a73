"""The two passes, composed: this page is what facepipe does."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from facepipe import __version__
from facepipe.configs.settings import Settings
from facepipe.errors import FacepipeError, InputError, WorkerError, reason_of
from facepipe.frames import Analysis, Damage, Part, Span, SpanFaces, VideoInfo
from facepipe.guards import check_unchanged, told_plainly
from facepipe.media import joining, mux
from facepipe.media.damage import merged, refuse_damage
from facepipe.models.registry import sha256_of
from facepipe.picture import enhance_picture_file, is_picture
from facepipe.pipeline.analysis_file import read_analysis, write_analysis
from facepipe.pipeline.choose import choose
from facepipe.pipeline.fade import faded
from facepipe.pipeline.limits import check_crowd, check_tracks
from facepipe.pipeline.link import link
from facepipe.pipeline.plan import anchors, with_copies
from facepipe.pipeline.report import (
    CONTAINER_TAG,
    scale_advice,
    sidecar,
    sidecar_path,
    write_sidecar,
)
from facepipe.pipeline.spans import (
    AnalyzeTask,
    PassThroughTask,
    RenderTask,
    analyze_span,
    pass_through_span,
    render_span,
    rendering_work,
    tracks_within,
)
from facepipe.prepare import Plan, check_output, check_restorer, make_plan
from facepipe.workers.executor import Executor, Outcome
from facepipe.workers.jobs import Job, claim, fingerprint, is_left, open_job
from facepipe.workers.local import LocalExecutor

Result = TypeVar("Result")


@dataclass(frozen=True)
class Event:
    """How far a stage has come, in frames."""

    stage: str  # "analyze" or "render"
    done: int
    total: int


@dataclass(frozen=True)
class Summary:
    """What a run did, for the last line."""

    target: Path
    source_sha256: str
    frames: int
    faces: int  # enhanced, over all frames
    tracks: int
    refused: int
    seconds: float
    resumed: int  # spans that an earlier run had finished
    advice: str | None
    warnings: tuple[str, ...]


OnEvent = Callable[[Event], None]


def enhance(
    source: str | Path,
    target: str | Path,
    settings: Settings | None = None,
    *,
    executor: Executor | None = None,
    overwrite: bool = False,
    on_event: OnEvent | None = None,
) -> Summary:
    """Analyze `source` and render it to `target` with its faces made clear.

    `source` is a film, or a picture by its suffix. What an interrupted run had finished is not done
    again. Writes `TARGET.facepipe.json` beside it. Raises FacepipeError; then there is no target.
    """
    made, source, target = settings or Settings(), Path(source), Path(target)
    with told_plainly(source, target):
        if is_picture(source):
            return _picture(source, target, made, overwrite)
        return _make(source, target, made, None, executor, overwrite, on_event)


def render(
    source: str | Path,
    analysis: str | Path,
    target: str | Path,
    settings: Settings | None = None,
    *,
    executor: Executor | None = None,
    overwrite: bool = False,
    on_event: OnEvent | None = None,
) -> Summary:
    """Render `source` by an analysis that was made, and perhaps edited, before.

    Raises InputError when the analysis belongs to another film; else as `enhance`.
    """
    made, source, target = settings or Settings(), Path(source), Path(target)
    with told_plainly(source, target):
        found = read_analysis(Path(analysis), made.limits)
        return _make(source, target, made, found, executor, overwrite, on_event)


def analyze(
    source: str | Path,
    target: str | Path,
    settings: Settings | None = None,
    *,
    executor: Executor | None = None,
    overwrite: bool = False,
    on_event: OnEvent | None = None,
) -> Analysis:
    """Find and follow the faces of `source` and write analysis.json to `target`."""
    settings = settings or Settings()
    source, target = Path(source), Path(target)
    with told_plainly(source, target), ExitStack() as stack:
        planned = replace(make_plan(source, settings), source_sha256=sha256_of(source))
        check_output(source, target, overwrite or is_left(target))
        mark = fingerprint(source, settings, None, (__version__,))
        if not overwrite:
            claim(target, mark)
        job = stack.enter_context(open_job(target, mark))
        workers = executor or stack.enter_context(LocalExecutor(planned.workers))
        found = _analyze(planned, settings, job, workers, on_event)
        _check_damage(planned, found.damage, settings)
        write_analysis(found, job.analysis)
        job.deliver(job.analysis, target)
        job.remove()
    return found


def _picture(source: Path, target: Path, settings: Settings, overwrite: bool) -> Summary:
    done = enhance_picture_file(source, target, settings, overwrite=overwrite)
    return Summary(
        target=target,
        source_sha256=done.sha256,
        frames=1,
        faces=done.faces,
        tracks=done.faces,
        refused=done.refused,
        seconds=done.seconds,
        resumed=0,
        advice=done.advice,
        warnings=(f"as it was: {done.passed_through}",) if done.passed_through else (),
    )


def _make(
    source: Path,
    target: Path,
    settings: Settings,
    analysis: Analysis | None,
    executor: Executor | None,
    overwrite: bool,
    on_event: OnEvent | None,
) -> Summary:
    began = time.monotonic()
    here = executor is None or executor.here
    again = overwrite or is_left(target)  # killed when all was done, it may clear up now
    planned = make_plan(source, settings, target=target, overwrite=again, here=here)
    planned = replace(planned, source_sha256=sha256_of(source))
    model, runs_on = check_restorer(settings, here=here)
    made_with = (__version__, runs_on, *(model.sha256 if model else ()))
    with ExitStack() as stack:
        mark = fingerprint(source, settings, analysis, made_with)
        if not overwrite:
            claim(target, mark)
        job = stack.enter_context(open_job(target, mark))
        workers = executor or stack.enter_context(LocalExecutor(planned.workers))
        if analysis is None:
            if not job.analysis.is_file():
                found = _analyze(planned, settings, job, workers, on_event)
                write_analysis(found, job.analysis)
            # Read back, so that `run` and `analyze` + `render` see the same rounded numbers.
            try:
                analysis = read_analysis(job.analysis, settings.limits)
            except InputError:  # cut short by a crash: the next run finds it anew
                job.analysis.unlink()
                raise
        elif analysis.source_sha256 != planned.source_sha256:
            raise InputError(f"the analysis belongs to another film than {source} (sha256 differs)")
        else:
            chosen = choose(analysis.tracks, settings.choose, planned.info)
            analysis = replace(analysis, tracks=chosen)
        check_crowd(analysis.tracks, settings.limits)
        _check_damage(planned, analysis.damage, settings)
        parts, resumed = _render(planned, analysis, settings, job, workers, on_event)
        _check_damage(planned, [one for part in parts for one in part.damage], settings)
        if not any(part.frames for part in parts):
            raise InputError(f"{source}: not one picture decodes")
        whole = job.whole(target)
        mux(
            [part for part in parts if part.frames],
            source,
            planned.info,
            whole,
            settings=planned.encode,
            metadata={"comment": CONTAINER_TAG},
            window=planned.window,
            leave_out=planned.leave_out,
        )
        content = sidecar(
            info=planned.info,
            analysis=analysis,
            settings=settings,
            model=model,
            parts=parts,
            encode=planned.encode,
            target=target,
            target_sha256=sha256_of(whole),
            notes=planned.notes,
        )
        write_sidecar(content, sidecar_path(target))
        check_unchanged(source, planned.source_sha256)
        job.deliver(whole, target)
        job.remove()
    return Summary(
        target=target,
        source_sha256=analysis.source_sha256,
        frames=sum(part.frames for part in parts),
        faces=sum(part.faces for part in parts),
        tracks=sum(track.enhance for track in analysis.tracks),
        refused=sum(not track.enhance for track in analysis.tracks),
        seconds=time.monotonic() - began,
        resumed=resumed,
        advice=scale_advice(analysis, settings.output.scale),
        warnings=tuple(content["warnings"])
        + tuple(
            f"{p['from_seconds']:.2f}-{p['to_seconds']:.2f} s went through unenhanced: "
            f"{p['reason']}"
            for p in content["passed_through"]
        ),
    )


def _analyze(
    planned: Plan,
    settings: Settings,
    job: Job,
    executor: Executor,
    on_event: OnEvent | None,
) -> Analysis:
    info, spans = planned.info, planned.spans
    starts = frozenset(anchors(info)) | {spans[0].start}
    found: dict[int, SpanFaces] = {}
    for span in spans:
        kept = job.kept_faces(span)
        if kept is not None:
            found[span.index] = kept
    plain = replace(info, closed_groups=())
    tasks = [
        AnalyzeTask(plain, span, starts, settings.detect, beyond=int(span is not spans[-1]))
        for span in spans
        if span.index not in found
    ]

    failed: list[BaseException | None] = []

    def keep(outcome: Outcome[SpanFaces]) -> None:
        span = tasks[outcome.number].span
        result = outcome.result
        if result is None:
            _raise_if_hopeless(outcome.error)
            failed.append(outcome.error)
            if len(failed) == len(spans):
                raise WorkerError(f"every span failed: {reason_of(outcome.error)}")
            warning = f"no faces were looked for from pts {span.start}: {reason_of(outcome.error)}"
            result = SpanFaces(span, (), (), (warning,))
        else:
            job.keep_faces(result)
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


def _render(
    planned: Plan,
    analysis: Analysis,
    settings: Settings,
    job: Job,
    executor: Executor,
    on_event: OnEvent | None,
) -> tuple[list[Part], int]:
    info, spans = planned.info, _cut_anew(planned, analysis)
    parts: dict[int, Part] = {}
    for span in spans:
        kept = None if span.copied else job.kept_part(span)
        if kept is not None:
            parts[span.index] = kept
    resumed = len(parts)
    copied = {s.index: Part(s, "", _frames_within(info, s), 0) for s in spans if s.copied}
    parts |= copied
    encode = joining(planned.encode, info) if 0 < len(copied) < len(spans) else planned.encode
    tracks = faded(analysis.tracks, analysis.cuts, info, spans[0].start, spans[-1].stop)
    # The groups of pictures are not needed where a span is rendered, and many.
    plain = replace(info, closed_groups=())
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


def _check_damage(planned: Plan, damage: Sequence[Damage], settings: Settings) -> None:
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
