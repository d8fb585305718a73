"""A film from end to end, composed: this page is what facepipe does."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from facepipe import __version__
from facepipe._files import is_image, sha256_of
from facepipe.configs.settings import Settings
from facepipe.datatypes import Analysis
from facepipe.errors import InputError
from facepipe.pipeline.analysis_file import read_analysis, write_analysis
from facepipe.pipeline.checkpoint import claim, fingerprint, is_left, open_job
from facepipe.pipeline.limits import check_crowd
from facepipe.pipeline.passes import OnEvent, analyze_pass, check_damage, render_pass
from facepipe.pipeline.preflight import (
    check_output,
    check_restorer,
    check_unchanged,
    make_plan,
    told_plainly,
)
from facepipe.pipeline.selection import choose
from facepipe.pipeline.sidecar import (
    CONTAINER_TAG,
    make_sidecar,
    scale_advice,
    sidecar_path,
    write_sidecar,
)
from facepipe.video import mux
from facepipe.workers.base import Executor
from facepipe.workers.local import LocalExecutor


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
        if is_image(source):
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
        found = analyze_pass(planned, settings, job, workers, on_event)
        check_damage(planned, found.damage, settings)
        write_analysis(found, job.analysis)
        job.deliver(job.analysis, target)
        job.remove()
    return found


def _picture(source: Path, target: Path, settings: Settings, overwrite: bool) -> Summary:
    from facepipe.pipeline.stills import enhance_image_file

    done = enhance_image_file(source, target, settings, overwrite=overwrite)
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
                found = analyze_pass(planned, settings, job, workers, on_event)
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
        check_damage(planned, analysis.damage, settings)
        parts, resumed = render_pass(planned, analysis, settings, job, workers, on_event)
        check_damage(planned, [one for part in parts for one in part.damage], settings)
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
        content = make_sidecar(
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
        warnings=(
            *content.warnings,
            *(
                f"{part.from_seconds:.2f}-{part.to_seconds:.2f} s went through unenhanced: "
                f"{part.reason}"
                for part in content.passed_through
            ),
        ),
    )
