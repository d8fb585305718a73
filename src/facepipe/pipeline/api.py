"""Enhance, analyze and render: one video on one page, from probe and plan to mux and report."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from facepipe import __version__
from facepipe._system.files import date_of, is_image, set_date, sha256_of
from facepipe.configs.notices import CONTAINER_TAG
from facepipe.configs.settings import Settings
from facepipe.datatypes import Analysis, Part
from facepipe.datatypes.stages import Stage, measured, seconds_so_far, stage
from facepipe.errors import InputError, UsageError
from facepipe.pipeline.analysis_file import read_analysis, write_analysis
from facepipe.pipeline.checkpoint import claim, fingerprint, is_left, open_job
from facepipe.pipeline.limits import check_crowd
from facepipe.pipeline.passes import (
    OnEvent,
    Run,
    check_damage,
    render_pass,
)
from facepipe.pipeline.preflight import (
    Plan,
    alignment_of,
    as_analyzed,
    check_analyzed,
    check_output,
    check_restorer,
    check_unchanged,
    plan_run,
    sized_as_analyzed,
    translated_errors,
    with_holdings,
)
from facepipe.pipeline.selection import choose
from facepipe.pipeline.sidecar import (
    Sidecar,
    make_sidecar,
    scale_advice,
    sidecar_path,
    write_sidecar,
)
from facepipe.pipeline.turning import analyze_video
from facepipe.video import mux, probe
from facepipe.video.source_cache import read_once
from facepipe.workers.base import Executor
from facepipe.workers.local import LocalExecutor


@dataclass(frozen=True)
class Summary:
    """What a run did, for its last line."""

    target: Path
    source_sha256: str
    frames: int
    faces: int  # enhanced, counted over all frames
    tracks: int
    refused: int
    seconds: float
    resumed: int  # spans that an earlier run had finished
    advice: str | None
    warnings: tuple[str, ...]
    cpu_seconds: Mapping[Stage, float] | None = None  # by stage, where that was asked for
    lost: bool = False  # not all was enhanced, as workers were lost: the same run makes it whole


@dataclass(frozen=True)
class _Request:
    """What the caller asks for."""

    source: Path
    target: Path
    settings: Settings
    executor: Executor | None  # None: processes of this machine
    overwrite: bool
    on_event: OnEvent | None


def enhance(
    source: str | Path,
    target: str | Path,
    settings: Settings | None = None,
    *,
    executor: Executor | None = None,
    overwrite: bool = False,
    on_event: OnEvent | None = None,
) -> Summary:
    """Analyze `source`, a video or by its suffix an image, and render it to `target`.

    An interrupted run goes on where it was. A report goes to `TARGET.facepipe.json`. Raises
    FacepipeError; then there is no target.
    """
    request = _request(source, target, settings, executor, overwrite, on_event)
    with translated_errors(request.source, request.target):
        if is_image(request.source):
            return _enhance_image(request)
        with measured(on=request.settings.profile_time):
            return _enhance_video(request, None)


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

    Raises InputError when the analysis belongs to another source, UsageError for an image; else as
    `enhance`.
    """
    request = _request(source, target, settings, executor, overwrite, on_event)
    _refuse_image(request.source)
    with translated_errors(request.source, request.target):
        given = read_analysis(Path(analysis), request.settings.limits)
        wanted = as_analyzed(request.settings, given)
        with measured(on=request.settings.profile_time):
            return _enhance_video(replace(request, settings=wanted), given)


def analyze(
    source: str | Path,
    target: str | Path,
    settings: Settings | None = None,
    *,
    executor: Executor | None = None,
    overwrite: bool = False,
    on_event: OnEvent | None = None,
) -> Analysis:
    """Find and follow the faces of `source`, and write analysis.json to `target`."""
    request = _request(source, target, settings, executor, overwrite, on_event)
    source, target, settings = request.source, request.target, request.settings
    _refuse_image(source)
    with translated_errors(source, target), read_once(source) as cache:
        plan = plan_run(probe(source, settings.limits, settings.stream), settings)
        plan = replace(plan, source_sha256=cache.sha256())
        check_output(source, target, overwrite or is_left(target))
        with _started(request, plan, None, (__version__,)) as run:
            found = analyze_video(run)
            check_damage(plan, found.damage, settings)
            write_analysis(found, run.job.analysis)
            run.job.deliver(run.job.analysis, target)
            run.job.remove()
    return found


def _refuse_image(source: Path) -> None:
    """Raise UsageError for an image, which takes both steps in one."""
    if is_image(source):
        raise UsageError(
            f"{source} is a photograph by its name: `facepipe run` enhances it in one step; "
            "analyze and render take videos"
        )


def _enhance_video(request: _Request, given: Analysis | None) -> Summary:
    """Make the target, by the `given` analysis where there is one."""
    began = time.monotonic()
    source, target, settings = request.source, request.target, request.settings
    here = request.executor is None or request.executor.here
    overwrite = request.overwrite or is_left(target)  # of a run killed when all was done
    with read_once(source) as cache:
        info = probe(source, settings.limits, settings.stream)
        if given is not None:
            settings = sized_as_analyzed(settings, given, info)
            request = replace(request, settings=settings)
        plan = plan_run(info, settings, target=target, overwrite=overwrite, here=here)
        plan = replace(plan, source_sha256=cache.sha256())

        model, runs_on = check_restorer(settings, here=here)
        made_with = (__version__, runs_on, *(model.sha256 if model else ()))
        with _started(request, plan, given, made_with) as run:
            analysis = _analyzed(run) if given is None else _accepted(given, plan, settings)
            check_crowd(analysis.tracks, settings.limits)
            check_damage(plan, analysis.damage, settings)
            plan = with_holdings(plan, analysis, settings, target)
            run = replace(run, plan=plan)

            parts, resumed = render_pass(run, analysis)
            check_damage(plan, [one for part in parts for one in part.damage], settings)

            whole = run.job.whole(target)
            with stage("mux"):
                earlier = _mux(plan, parts, whole)
                target_sha256 = sha256_of(whole)
            if settings.output.dates == "source" and (date := date_of(source)) is not None:
                set_date(whole, date)

            report = make_sidecar(
                info=plan.info,
                analysis=analysis,
                settings=settings,
                model=model,
                parts=parts,
                encode=plan.encode,
                target=target,
                target_sha256=target_sha256,
                notes=plan.notes,
                alignment=alignment_of(settings),
                earlier=earlier,
                cpu_seconds=seconds_so_far(),
            )
            check_unchanged(source, plan.source_sha256)
            write_sidecar(report, sidecar_path(target))
            run.job.deliver(whole, target)
            lost = run.job.unsearched or any(part.lost for part in parts)
            if lost:
                run.job.keep_for_another_run()
            else:
                run.job.remove()
    summary = _summary(request, analysis, parts, report)
    return replace(summary, lost=lost, resumed=resumed, seconds=time.monotonic() - began)


def _enhance_image(request: _Request) -> Summary:
    from facepipe.pipeline.stills import enhance_image_file

    done = enhance_image_file(
        request.source, request.target, request.settings, overwrite=request.overwrite
    )
    return Summary(
        target=request.target,
        source_sha256=done.sha256,
        frames=1,
        faces=done.faces,
        tracks=done.faces,
        refused=done.refused,
        seconds=done.seconds,
        resumed=0,
        advice=done.advice,
        warnings=(
            *((f"as it was: {done.passed_through}",) if done.passed_through else ()),
            *done.notes,
        ),
    )


def _summary(
    request: _Request, analysis: Analysis, parts: Sequence[Part], report: Sidecar
) -> Summary:
    unenhanced = (
        f"{part.from_seconds:.2f}-{part.to_seconds:.2f} s went through unenhanced: {part.reason}"
        for part in report.passed_through
    )
    return Summary(
        target=request.target,
        source_sha256=analysis.source_sha256,
        frames=sum(part.frames for part in parts),
        faces=sum(part.faces for part in parts),
        tracks=sum(track.enhance for track in analysis.tracks),
        refused=sum(not track.enhance for track in analysis.tracks),
        seconds=0,
        resumed=0,
        advice=scale_advice(analysis, request.settings.output.scale),
        warnings=(*report.warnings, *unenhanced),
        cpu_seconds=report.cpu_seconds,
    )


def _request(
    source: str | Path,
    target: str | Path,
    settings: Settings | None,
    executor: Executor | None,
    overwrite: bool,
    on_event: OnEvent | None,
) -> _Request:
    settings = settings or Settings()
    return _Request(Path(source), Path(target), settings, executor, overwrite, on_event)


@contextmanager
def _started(
    request: _Request, plan: Plan, given: Analysis | None, made_with: Sequence[str]
) -> Iterator[Run]:
    """A run with its job folder and its workers, for as long as it takes."""
    mark = fingerprint(request.source, request.settings, given, made_with)
    if not request.overwrite:
        claim(request.target, mark)
    with ExitStack() as stack:
        job = stack.enter_context(open_job(request.target, mark))
        executor = request.executor or stack.enter_context(LocalExecutor(plan.workers))
        yield Run(plan, request.settings, job, executor, request.on_event)


def _analyzed(run: Run) -> Analysis:
    """The run's own analysis, read back: `run` sees the rounded numbers that `render` would."""
    kept = run.job.analysis
    if not kept.is_file():
        write_analysis(analyze_video(run), kept)
    try:
        return read_analysis(kept, run.settings.limits)
    except InputError:  # cut short by a crash: the next run makes it anew
        kept.unlink()
        raise


def _accepted(given: Analysis, plan: Plan, settings: Settings) -> Analysis:
    """The given analysis with the settings' choice of tracks. InputError: of another source."""
    if given.source_sha256 != plan.source_sha256:
        raise InputError(
            f"the analysis belongs to another video than {plan.info.path} (sha256 differs)"
        )
    check_analyzed(given, plan.info)
    return replace(given, tracks=choose(given.tracks, settings.choose, plan.info))


def _mux(plan: Plan, parts: Sequence[Part], whole: Path) -> Fraction:
    """Write the parts and the other streams to `whole`; seconds by which its times are earlier."""
    written = [part for part in parts if part.frames]
    if not written:
        raise InputError(f"{plan.info.path}: not one frame decodes")
    return mux(
        written,
        Path(plan.info.path),
        plan.info,
        whole,
        settings=plan.encode,
        metadata={"comment": CONTAINER_TAG},
        window=plan.window,
        leave_out=plan.leave_out,
        fragmented=plan.fragmented,
    )
