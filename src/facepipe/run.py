"""The two passes, composed: this page is what facepipe does."""

from __future__ import annotations

import hashlib
import json
import tempfile
import time
from bisect import bisect_left
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from facepipe import __version__
from facepipe.configs.settings import OutputSettings, Settings
from facepipe.errors import FacepipeError, InputError, OutputError, UsageError, WorkerError
from facepipe.frames import Analysis, Part, Span, SpanFaces, Track, VideoInfo
from facepipe.media import (
    EncodeSettings,
    check_encoder,
    check_target,
    homeless_streams,
    mux,
    output_pix_fmt,
    probe,
)
from facepipe.models.detectors import create_detector
from facepipe.models.registry import ModelFiles, find_model, sha256_of
from facepipe.models.runtime import choose
from facepipe.pipeline.analysis_file import read_analysis, write_analysis
from facepipe.pipeline.link import link
from facepipe.pipeline.plan import anchors, plan
from facepipe.pipeline.report import CONTAINER_TAG, scale_advice, sidecar, write_sidecar
from facepipe.pipeline.spans import (
    AnalyzeTask,
    PassThroughTask,
    RenderTask,
    analyze_span,
    pass_through_span,
    render_span,
)
from facepipe.workers.executor import Executor, Outcome
from facepipe.workers.jobs import Job, open_job
from facepipe.workers.local import LocalExecutor

Result = TypeVar("Result")

#: Encoders whose quality is one constant rate factor, and the one that looks like the source.
CRF_DEFAULTS = {"libx264": 18, "libx265": 20, "libvpx-vp9": 24, "libsvtav1": 24, "libaom-av1": 24}
#: Threads of each encoder. Fixed, because x264's result depends on it and ours must not.
ENCODER_THREADS = 2


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
    frames: int
    faces: int  # enhanced, over all frames
    tracks: int
    refused: int
    seconds: float
    resumed: int  # spans that an earlier run had finished
    advice: str | None
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """What a run would do, found out without decoding."""

    info: VideoInfo
    spans: tuple[Span, ...]
    encode: EncodeSettings
    window: tuple[int, int] | None
    notes: tuple[str, ...]
    leave_out: tuple[int, ...] = ()  # streams that no container takes


OnEvent = Callable[[Event], None]


def make_plan(
    source: Path, settings: Settings, *, target: Path | None = None, overwrite: bool = False
) -> Plan:
    """Probe the source and settle everything that can be refused before the work starts.

    Without a `target`, nothing of the film to write is checked.

    Raises InputError for the source, UsageError for settings that do not fit it, OutputError or
    MediaError for a target that cannot hold it.
    """
    info = probe(source)
    if target is not None:
        _check_output(source, target, overwrite)
    window = _window(info, settings.output)
    spans = plan(info, span_seconds=settings.span_seconds, window=window)
    if not spans:
        raise UsageError(
            f"no frame lies between --start {settings.output.start or 0:g} and "
            f"--end {settings.output.end or info.seconds:g}; the film has {info.seconds:.2f} s"
        )
    # Loaded here to be refused here: a missing pack or damaged weights stop every span alike.
    create_detector(settings.detect.detector, pack=settings.detect.pack, threads=1)
    encode = _encode_settings(settings.output)
    pix_fmt, note = output_pix_fmt(encode, info)
    encode = replace(encode, pix_fmt=pix_fmt)
    notes = [note] if note else []
    homeless = homeless_streams(source)
    notes += [
        f"stream {index} ({codec}) fits no container and is left out" for index, codec in homeless
    ]
    leave_out = tuple(index for index, _ in homeless)
    if target is not None:
        check_encoder(encode, info)
        check_target(source, info, target, settings=encode, leave_out=leave_out)
        _check_restorer(settings)
    return Plan(info, spans, encode, window, tuple(notes), leave_out)


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

    What an interrupted run had finished is not done again. Writes `TARGET.facepipe.json` beside
    the film. Raises FacepipeError; then there is no target.
    """
    made = settings or Settings()
    return _make(Path(source), Path(target), made, None, executor, overwrite, on_event)


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
    found = read_analysis(Path(analysis))
    made = settings or Settings()
    return _make(Path(source), Path(target), made, found, executor, overwrite, on_event)


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
    planned = make_plan(source, settings)
    _check_output(source, target, overwrite)
    with ExitStack() as stack:
        job = stack.enter_context(open_job(target, _fingerprint(source, settings, None, ())))
        workers = executor or stack.enter_context(LocalExecutor(settings.workers))
        found = _analyze(source, planned, settings, job, workers, on_event)
        _guarded(lambda: write_analysis(found, target), target)
        job.remove()
    return found


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
    planned = make_plan(source, settings, target=target, overwrite=overwrite)
    model, runs_on = _check_restorer(settings)
    made_with = (runs_on, *(model.sha256 if model else ()))
    with ExitStack() as stack:
        fingerprint = _fingerprint(source, settings, analysis, made_with)
        job = stack.enter_context(open_job(target, fingerprint))
        workers = executor or stack.enter_context(LocalExecutor(settings.workers))
        if analysis is None:
            if not job.analysis.is_file():
                found = _analyze(source, planned, settings, job, workers, on_event)
                _guarded(lambda: write_analysis(found, job.analysis), target)
            # Read back, so that `run` and `analyze` + `render` see the same rounded numbers.
            try:
                analysis = read_analysis(job.analysis)
            except InputError:  # cut short by a crash: the next run finds it anew
                job.analysis.unlink()
                raise
        elif analysis.source_sha256 != sha256_of(source):
            raise InputError(f"the analysis belongs to another film than {source} (sha256 differs)")
        parts, resumed = _render(planned, analysis, settings, job, workers, on_event)
        if not any(part.frames for part in parts):
            raise InputError(f"{source}: not one picture decodes")
        mux(
            [Path(part.path) for part in parts if part.frames],
            source,
            planned.info,
            target,
            settings=planned.encode,
            metadata={"comment": CONTAINER_TAG},
            expected_frames=sum(part.frames for part in parts),
            window=planned.window,
            leave_out=planned.leave_out,
        )
        content = sidecar(
            info=planned.info,
            analysis=analysis,
            settings=settings,
            model=model,
            runs_on=runs_on,
            parts=parts,
            target=target,
            target_sha256=sha256_of(target),
            notes=planned.notes,
        )
        _guarded(lambda: write_sidecar(content, sidecar_path(target)), target)
        job.remove()
    return Summary(
        target=target,
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


def sidecar_path(target: Path) -> Path:
    """Where the report of `target` lies."""
    return target.with_name(f"{target.name}.facepipe.json")


def _analyze(
    source: Path,
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
    tasks = [
        AnalyzeTask(info, span, starts, settings.detect, beyond=int(span is not spans[-1]))
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
                raise WorkerError(f"every span failed: {outcome.error}")
            warning = f"no faces were looked for from pts {span.start}: {outcome.error}"
            result = SpanFaces(span, (), (), (warning,))
        else:
            _guarded(lambda: job.keep_faces(result), job.folder)
        found[span.index] = result

    _work(executor, analyze_span, tasks, keep, "analyze", spans, info, on_event)
    ordered = [found[span.index] for span in spans]
    tracks = link(
        ordered,
        score=settings.detect.score,
        min_face=settings.detect.min_face,
        max_face=settings.detect.max_face,
        min_seconds=settings.link.min_seconds,
        gap_seconds=settings.link.gap_seconds,
        info=info,
    )
    return Analysis(
        source_sha256=sha256_of(source),
        time_base=info.time_base,
        frames=len(info.pts),
        width=info.width,
        height=info.height,
        tracks=tracks,
        cuts=tuple(sorted({cut for part in ordered for cut in part.cuts})),
        warnings=tuple(dict.fromkeys(w for part in ordered for w in part.warnings)),
    )


def _render(
    planned: Plan,
    analysis: Analysis,
    settings: Settings,
    job: Job,
    executor: Executor,
    on_event: OnEvent | None,
) -> tuple[list[Part], int]:
    spans = planned.spans
    parts: dict[int, Part] = {}
    for span in spans:
        kept = job.kept_part(span)
        if kept is not None:
            parts[span.index] = kept
    resumed = len(parts)
    tasks = [
        RenderTask(
            planned.info,
            span,
            tracks_within(analysis.tracks, span),
            settings.restore,
            planned.encode,
            job.part(span),
        )
        for span in spans
        if span.index not in parts
    ]

    failed: list[PassThroughTask] = []

    def finish(part: Part) -> None:
        _guarded(lambda: job.keep_part(part), job.folder)
        parts[part.span.index] = part

    def keep(outcome: Outcome[Part]) -> None:
        if outcome.result is not None:
            finish(outcome.result)
            return
        _raise_if_hopeless(outcome.error)
        reason = f"restoring failed twice: {outcome.error}"
        failed.append(PassThroughTask(tasks[outcome.number], reason))

    _work(executor, render_span, tasks, keep, "render", spans, planned.info, on_event)
    if failed and len(failed) == len(spans):
        raise WorkerError(f"every span failed; {failed[0].reason}")
    for outcome in executor.map(pass_through_span, failed, progress=lambda _: None):
        if outcome.result is None:
            span = failed[outcome.number].render.span
            raise WorkerError(f"span {span.index} fails even unenhanced: {outcome.error}")
        finish(outcome.result)
    return [parts[span.index] for span in spans], resumed


def tracks_within(tracks: Sequence[Track], span: Span) -> tuple[Track, ...]:
    """The enhanced tracks that `span` shows, each with no more knots than the span needs."""
    inside = []
    for track in tracks:
        if not track.enhance or track.last < span.start or track.first >= span.stop:
            continue
        before = int(np.searchsorted(track.pts, span.start, "right")) - 1
        after = int(np.searchsorted(track.pts, span.stop, "left")) + 1
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


Task = TypeVar("Task", AnalyzeTask, RenderTask)


def _work(
    executor: Executor,
    function: Callable[[Task, Callable[[int], None]], Result],
    tasks: Sequence[Task],
    keep: Callable[[Outcome[Result]], None],
    stage: str,
    spans: Sequence[Span],
    info: VideoInfo,
    on_event: OnEvent | None,
) -> None:
    """Run all tasks and tell how many of the film's frames are done."""
    total = sum(_frames_within(info, span) for span in spans)
    done = total - sum(_frames_within(info, task.span) for task in tasks)

    def progress(frames: int) -> None:
        nonlocal done
        done += frames
        if on_event:
            on_event(Event(stage, min(done, total), total))

    progress(0)
    for outcome in executor.map(function, tasks, progress=progress):
        keep(outcome)


def _frames_within(info: VideoInfo, span: Span) -> int:
    return bisect_left(info.pts, span.stop) - bisect_left(info.pts, span.start)


def _raise_if_hopeless(error: BaseException | None) -> None:
    """Raise what no other span would fare better with; a worker's own trouble is not that."""
    if isinstance(error, FacepipeError) and not isinstance(error, WorkerError):
        raise error


def _check_restorer(settings: Settings) -> tuple[ModelFiles | None, str]:
    """Find the weights and settle the device, so that both are refused before the work starts."""
    if settings.restore.restorer == "bicubic":
        return None, "none"
    model = find_model(settings.restore.restorer)
    device, runtime = choose(settings.restore.device, settings.restore.runtime)
    return model, f"{runtime} on {device}"


def _check_output(source: Path, target: Path, overwrite: bool) -> None:
    if target.exists():
        if target.is_dir():
            raise OutputError(f"{target}: is a directory, a file name is wanted")
        if source.exists() and target.samefile(source):
            raise OutputError(f"{target}: is the source itself; name another file")
        if not overwrite:
            raise OutputError(f"{target}: exists already; --overwrite replaces it")
    if not target.parent.is_dir():
        raise OutputError(f"{target.parent}: no such folder to write to")
    try:
        with tempfile.TemporaryFile(dir=target.parent):
            pass
    except OSError as error:
        raise OutputError(
            f"{target.parent}: cannot write there ({error.strerror or error})"
        ) from error


def _window(info: VideoInfo, output: OutputSettings) -> tuple[int, int] | None:
    if output.start is None and output.end is None:
        return None
    first = info.pts[0]
    start = first + round((output.start or 0) / info.time_base)
    stop = info.pts[-1] + 1
    if output.end is not None:
        stop = min(stop, first + round(output.end / info.time_base))
    return start, stop


def _encode_settings(output: OutputSettings) -> EncodeSettings:
    options = dict(output.options)
    if output.codec in CRF_DEFAULTS:
        if "qp" not in options:
            crf = CRF_DEFAULTS[output.codec] if output.crf is None else output.crf
            options.setdefault("crf", f"{crf:g}")
        if output.codec == "libvpx-vp9":
            options.setdefault("b", "0")
    elif output.crf is not None:
        raise UsageError(
            f"--crf does not go with {output.codec}; it does with {', '.join(CRF_DEFAULTS)}"
        )
    if output.preset is not None:
        options["preset"] = output.preset
    return EncodeSettings(
        codec=output.codec,
        options=tuple(sorted(options.items())),
        pix_fmt=output.pix_fmt,
        threads=ENCODER_THREADS,
        scale=output.scale,
    )


def _fingerprint(
    source: Path, settings: Settings, analysis: Analysis | None, made_with: Sequence[str]
) -> str:
    """What a kept part depends on; any other job with the same target begins anew."""
    made_of = {
        "version": __version__,
        "made_with": list(made_with),
        "source": sha256_of(source),
        "settings": settings.model_dump(mode="json", exclude={"workers"}),
        "analysis": None if analysis is None else repr(analysis_digest(analysis)),
    }
    return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()


def analysis_digest(analysis: Analysis) -> str:
    """A digest of every knot and decision of an analysis."""
    digest = hashlib.sha256()
    for track in analysis.tracks:
        digest.update(f"{track.number} {track.enhance} ".encode())
        for values in (track.pts, track.boxes, track.landmarks):
            digest.update(values.tobytes())
    return digest.hexdigest()


def _guarded(write: Callable[[], None], target: Path) -> None:
    try:
        write()
    except OSError as error:
        raise OutputError(f"{target}: cannot be written ({error.strerror or error})") from error
