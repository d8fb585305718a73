"""The result of each command, as --json prints it and `facepipe describe` describes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from facepipe.batch.estimate import Estimate
    from facepipe.batch.report import BatchSummary
    from facepipe.datatypes import Analysis
    from facepipe.pipeline.api import Summary
    from facepipe.pipeline.preflight import Plan
    from facepipe.presentation.preview import Preview


@dataclass(frozen=True)
class FileResult:
    """What `run` and `render` made of a video or a photograph.

    `faces` counts over all frames. `complete` is False where parts went through unenhanced, as
    workers were lost: the same command makes it whole. `report` is the JSON beside the output,
    None: there is none, as no face of a photograph was enhanced. `cpu_seconds` are those of each
    stage with --profile-time, None without.
    """

    output: Path
    report: Path | None
    page: Path | None
    source_sha256: str
    frames: int
    faces: int
    tracks: int
    refused: int
    spans_kept: int
    seconds: float
    complete: bool
    advice: str | None
    warnings: tuple[str, ...]
    cpu_seconds: Mapping[str, float] | None

    @classmethod
    def of(cls, summary: Summary, page: Path | None) -> FileResult:
        """The result of a run; `page` was written beside it."""
        from facepipe.pipeline.sidecar import sidecar_path

        report = sidecar_path(summary.target)
        return cls(
            output=summary.target,
            report=report if report.is_file() else None,
            page=page,
            source_sha256=summary.source_sha256,
            frames=summary.frames,
            faces=summary.faces,
            tracks=summary.tracks,
            refused=summary.refused,
            spans_kept=summary.resumed,
            seconds=round(summary.seconds, 3),
            complete=not summary.lost,
            advice=summary.advice,
            warnings=summary.warnings,
            cpu_seconds=None if summary.cpu_seconds is None else dict(summary.cpu_seconds.items()),
        )


@dataclass(frozen=True)
class FilePlan:
    """What `run --dry-run` would do. Sizes are in px, `spans` in seconds from the first frame.

    Photographs have neither frames nor seconds, no codec, no workers and no spans.
    """

    source: Path
    output: Path
    width: int
    height: int
    output_width: int
    output_height: int
    warnings: tuple[str, ...]
    frames: int | None = None
    seconds: float | None = None
    codec: str | None = None
    pix_fmt: str | None = None
    workers: int | None = None
    spans: tuple[tuple[float, float], ...] = ()

    @classmethod
    def of_video(cls, plan: Plan, output: Path) -> FilePlan:
        """What a run would do with a video."""
        from facepipe.video.damage import describe_damage

        info, encode = plan.info, plan.encode
        starts = [(float((s.start - info.pts[0]) * info.time_base), s) for s in plan.spans]
        return cls(
            source=Path(info.path),
            output=output,
            width=info.width,
            height=info.height,
            output_width=info.width * encode.scale,
            output_height=info.height * encode.scale,
            warnings=(
                *info.warnings,
                *describe_damage(info.damage, info.time_base),
                *plan.notes,
            ),
            frames=len(info.pts),
            seconds=round(float(info.seconds), 3),
            codec=encode.codec,
            pix_fmt=encode.pix_fmt,
            workers=plan.workers,
            spans=tuple(
                (round(start, 3), round(start + float((s.stop - s.start) * info.time_base), 3))
                for start, s in starts
            ),
        )


@dataclass(frozen=True)
class AnalysisResult:
    """What `analyze` found: tracks, how many of them are to be enhanced, how many were refused."""

    output: Path
    source_sha256: str
    tracks: int
    enhanced: int
    refused: int
    warnings: tuple[str, ...]

    @classmethod
    def of(cls, analysis: Analysis, output: Path) -> AnalysisResult:
        """The result of an analysis that was written to `output`."""
        from facepipe.video.damage import describe_damage

        enhanced = sum(track.enhance for track in analysis.tracks)
        return cls(
            output=output,
            source_sha256=analysis.source_sha256,
            tracks=len(analysis.tracks),
            enhanced=enhanced,
            refused=len(analysis.tracks) - enhanced,
            warnings=(
                *analysis.warnings,
                *describe_damage(analysis.damage, analysis.time_base),
            ),
        )


@dataclass(frozen=True)
class BatchCount:
    """The items of a batch in one state, and their totals; `size` in bytes."""

    items: int
    size: int
    frames: int
    faces: int


@dataclass(frozen=True)
class BatchResult:
    """What a batch did. `counts` are by state over all items: done, passed, lost, failed, waiting.

    `worked_on` is this run's share, `kept` what an earlier run had finished. Each item is in
    `report`. After a watch, these are the figures of all its rounds but for `worked_on`, `kept`,
    `spans_kept`, `unread` and `seconds`, which are those of the last one.
    """

    output: Path
    report: Path
    address: str | None
    counts: Mapping[str, BatchCount]
    worked_on: int
    kept: int
    spans_kept: int
    skipped: int
    unread: int
    seconds: float

    @classmethod
    def of(cls, summary: BatchSummary, address: str | None) -> BatchResult:
        """The result of a batch that was delivered to an address; None: it was not."""
        from facepipe.batch.report import NAME

        return cls(
            output=summary.folder,
            report=summary.folder / f"{NAME}.json",
            address=address,
            counts={
                state: BatchCount(one.items, one.size, one.frames, one.faces)
                for state, one in summary.counts.items()
            },
            worked_on=summary.worked_on,
            kept=summary.kept,
            spans_kept=summary.kept_spans,
            skipped=summary.skipped,
            unread=summary.unread,
            seconds=round(summary.seconds, 3),
        )


@dataclass(frozen=True)
class SkippedSource:
    """Something that a batch found and does not take, and why."""

    source: str
    reason: str


@dataclass(frozen=True)
class BatchPlan:
    """What `batch --dry-run` counted. `core_hours` leave faces out; `unknown` videos too."""

    videos: int
    images: int
    size: int
    video_seconds: float
    core_hours: float
    unknown: int
    skipped: tuple[SkippedSource, ...]

    @classmethod
    def of(cls, work: Estimate) -> BatchPlan:
        """What was counted."""
        return cls(
            videos=work.videos,
            images=work.images,
            size=work.size,
            video_seconds=round(work.video_seconds, 3),
            core_hours=round(work.core_seconds / 3600, 4),
            unknown=work.unknown,
            skipped=tuple(SkippedSource(one.source, one.reason) for one in work.skipped),
        )


@dataclass(frozen=True)
class ShownFace:
    """A face on a sheet: its track, its time, and why it is shown, or why it was refused."""

    track: int
    seconds: float
    enhanced: bool
    why: str


@dataclass(frozen=True)
class PreviewResult:
    """The sheet that `preview` drew."""

    output: Path
    faces: tuple[ShownFace, ...]
    notes: tuple[str, ...]

    @classmethod
    def of(cls, preview: Preview, output: Path) -> PreviewResult:
        """What a sheet shows."""
        return cls(
            output=output,
            faces=tuple(
                ShownFace(
                    track=view.moment.track.number,
                    seconds=round(view.seconds, 3),
                    enhanced=view.moment.track.enhance,
                    why=(None if view.moment.track.enhance else view.moment.track.reason)
                    or view.moment.why,
                )
                for view in preview.views
            ),
            notes=tuple(preview.sheet.notes),
        )


@dataclass(frozen=True)
class PageResult:
    """The page that `report` wrote."""

    output: Path
    tracks: int


@dataclass(frozen=True)
class GalleryResult:
    """The folder that `gallery` wrote, and its table."""

    output: Path
    images: int
    tracks: int
    table: Path


@dataclass(frozen=True)
class ComparisonResult:
    """The video that `compare` wrote."""

    output: Path
    frames: int


@dataclass(frozen=True)
class WeightsFile:
    """A file of weights and its SHA-256."""

    file: str
    sha256: str


@dataclass(frozen=True)
class NetworkEntry:
    """A network that facepipe knows. `shipped` ones have files and a licence."""

    name: str
    aliases: tuple[str, ...]
    summary: str
    parameters: int
    gmacs: float
    shipped: bool
    licence: str | None
    files: tuple[WeightsFile, ...]


@dataclass(frozen=True)
class ModelsResult:
    """The networks that `models list` names."""

    models: tuple[NetworkEntry, ...]


@dataclass(frozen=True)
class ContractResult:
    """What `models show` tells of a restorer: its files, and its contract field by field."""

    name: str
    kind: str
    files: tuple[WeightsFile, ...]
    contract: dict[str, Any]


@dataclass(frozen=True)
class EvaluationResult:
    """The figures of an evaluation, as --figures writes them: one object for each table."""

    evaluations: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class TrainResult:
    """What `train` did: trained into `output`, listed recipes, or copied one to `output`."""

    action: Literal["trained", "listed", "copied"]
    output: Path | None = None
    recipes: Mapping[str, str] | None = None


@dataclass(frozen=True)
class ArchiveResult:
    """The zip that `align` or `label` wrote, and how many faces it has, or masks of faces."""

    output: Path
    faces: int


@dataclass(frozen=True)
class ServedResult:
    """Where `ui` served its page; it is printed on standard error meanwhile."""

    address: str | None


@dataclass(frozen=True)
class ExportResult:
    """The files that `export` wrote."""

    files: tuple[WeightsFile, ...]
