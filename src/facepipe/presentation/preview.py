"""Preview: the most telling faces of a source before and after, without rendering all of it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from facepipe._system.files import is_image, sha256_of
from facepipe.configs.settings import Settings
from facepipe.datatypes import Analysis, Track, VideoInfo
from facepipe.errors import InputError, UsageError
from facepipe.faces.tracking.fade import faded
from facepipe.pipeline.advice import scale_advice
from facepipe.pipeline.analysis_file import read_analysis
from facepipe.pipeline.preflight import (
    Plan,
    as_analyzed,
    check_analyzed,
    check_restorer,
    plan_run,
    sized_as_analyzed,
    translated_errors,
)
from facepipe.pipeline.selection import choose
from facepipe.presentation.moments import telling_moments
from facepipe.presentation.sampling import OnEvent, Sample, search_sample
from facepipe.presentation.sheet import SIDE, Sheet
from facepipe.presentation.variants import compared
from facepipe.presentation.views import FaceView, Look, rendered_views, view_of
from facepipe.presentation.words import clock, counted, refused_lines, summary
from facepipe.video import probe
from facepipe.workers.base import Executor
from facepipe.workers.local import LocalExecutor


@dataclass(frozen=True, eq=False)
class Preview:
    """What a preview found and shows."""

    sheet: Sheet
    analysis: Analysis
    whole: bool  # all of the source was searched: tracks have the numbers of a run

    @property
    def views(self) -> tuple[FaceView, ...]:
        return self.sheet.views


@dataclass(frozen=True)
class _Seen:
    """The faces of a source, where they come from, and how much of it was searched."""

    info: VideoInfo
    sample: Sample
    given: bool = False


def make_preview(
    source: Path,
    settings: Settings,
    *,
    analysis: Path | None = None,
    comparisons: Sequence[str] = (),
    most: int = 12,
    executor: Executor | None = None,
    on_event: OnEvent | None = None,
) -> Preview:
    """Show the `most` telling faces of a video or a photograph, by the settings or side by side.

    Of a long video a few places are searched, unless its `analysis` is given. Errors: as
    `api.enhance` and `variants.compared`.
    """
    labels, looks = compared(settings, comparisons)
    for look in looks:
        check_restorer(settings.model_copy(update={"restore": look.restore}))
    with translated_errors(source, source):
        if is_image(source):
            if analysis is not None:
                raise UsageError("--analysis goes with a video; a photograph is searched at once")
            seen, views = _of_image(source, settings, looks, most)
        else:
            seen, views = _of_video(source, settings, analysis, looks, most, executor, on_event)
    sheet = Sheet(
        title=_title(source, seen),
        notes=_notes(seen, settings, compares=bool(comparisons), shown=len(views)),
        labels=("before", *labels),
        views=tuple(views),
    )
    return Preview(sheet, seen.sample.analysis, seen.sample.whole)


def _of_video(
    source: Path,
    settings: Settings,
    analysis: Path | None,
    looks: Sequence[Look],
    most: int,
    executor: Executor | None,
    on_event: OnEvent | None,
) -> tuple[_Seen, list[FaceView]]:
    given = None if analysis is None else read_analysis(analysis, settings.limits)
    if given is not None:
        settings = as_analyzed(settings, given)
    info = probe(source, settings.limits, settings.stream)
    if given is not None:
        settings = sized_as_analyzed(settings, given, info)
    plan = plan_run(info, settings)
    with ExitStack() as stack:
        executor = executor or stack.enter_context(LocalExecutor(plan.workers))
        if given is not None:
            sample = _as_sample(given, plan, settings)
        else:
            sample = search_sample(source, plan, settings, executor, on_event)
        views = _views(plan, sample.analysis, looks, most, executor)
    return _Seen(plan.info, sample, given is not None), views


def _as_sample(given: Analysis, plan: Plan, settings: Settings) -> Sample:
    """A given analysis with the settings' choice of tracks. InputError: of another source."""
    if given.source_sha256 != sha256_of(Path(plan.info.path)):
        raise InputError(
            f"the analysis belongs to another video than {plan.info.path} (sha256 differs)"
        )
    check_analyzed(given, plan.info)
    tracks = choose(given.tracks, settings.choose, plan.info)
    return Sample(replace(given, tracks=tracks), plan.info.seconds, whole=True)


def _views(
    plan: Plan, analysis: Analysis, looks: Sequence[Look], most: int, executor: Executor
) -> list[FaceView]:
    info = plan.info
    start, stop = plan.spans[0].start, plan.spans[-1].stop
    tracks: tuple[Track, ...] = faded(analysis.tracks, analysis.cuts, info, start, stop)
    frames = [pts for pts in info.pts if start <= pts < stop]
    moments = telling_moments(_to_show(tracks, looks), frames, most)
    return rendered_views(info, moments, tracks, looks, side=SIDE, executor=executor)


def _to_show(tracks: Sequence[Track], looks: Sequence[Look]) -> Sequence[Track]:
    """The tracks that a sheet is about: looks side by side show nothing of refused ones."""
    return tracks if len(looks) == 1 else [track for track in tracks if track.enhance]


def _of_image(
    source: Path, settings: Settings, looks: Sequence[Look], most: int
) -> tuple[_Seen, list[FaceView]]:
    from facepipe.images.still import read_image
    from facepipe.pipeline.image_faces import image_info
    from facepipe.pipeline.stills import enhance_image

    if not source.is_file():
        raise InputError(f"{source}: there is no such image")
    content = source.read_bytes()
    image = read_image(content, source.name)
    info = image_info(image.frame, image.kind, source.name)
    digest = hashlib.sha256(content).hexdigest()
    made = []
    analysis = None
    for look in looks:
        output = settings.output.model_copy(update={"scale": look.scale, "allow_loss": True})
        wanted = settings.model_copy(update={"restore": look.restore, "output": output})
        frame, analysis, _ = enhance_image(image, info, digest, wanted)
        made.append((frame, look.scale))
    assert analysis is not None
    moments = telling_moments(_to_show(analysis.tracks, looks), info.pts, most)
    views = [view_of(info, moment, image.frame, made, side=SIDE) for moment in moments]
    return _Seen(info, Sample(analysis, 0.0, whole=True)), views


def _title(source: Path, seen: _Seen) -> str:
    return f"{source.name}: {summary(seen.sample.analysis.tracks)}"


def _notes(seen: _Seen, settings: Settings, *, compares: bool, shown: int) -> tuple[str, ...]:
    """What is to be known of a sheet, a line each."""
    tracks = seen.sample.analysis.tracks
    notes = []
    if not tracks:
        notes.append("no face was found")
    if not seen.sample.whole:
        notes.append(
            f"searched: {seen.sample.seconds:.0f} s of {clock(seen.info.seconds)}; in a run tracks "
            "have other numbers, and are longer, so that fewer are refused"
        )
    if not compares:
        restore = settings.restore
        notes.append(
            f"{restore.restorer}, strength {restore.strength:g}, fidelity {restore.fidelity:g}, "
            f"scale {settings.output.scale}; {counted(shown, 'face')} shown, before encoding"
        )
    notes += [f"refused: {line}" for line in refused_lines(tracks)]
    advice = scale_advice(seen.sample.analysis, settings.output.scale)
    if advice and not compares:
        notes.append(advice)
    return tuple(notes)
