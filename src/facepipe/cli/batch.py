"""The command for many films and pictures at once."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from facepipe.cli.options import (
    AllowLoss,
    Assign,
    Codec,
    Config,
    CopyUnchanged,
    Crf,
    DetectEvery,
    Detector,
    DeviceName,
    Fidelity,
    Gpus,
    MaxFace,
    MaxPixels,
    MinFace,
    Overwrite,
    Pack,
    PixFmt,
    Preset,
    Profile,
    Progress,
    ProgressKind,
    QualityName,
    Quiet,
    Ray,
    Restorer,
    Scale,
    Score,
    Shared,
    Strength,
    StrictInput,
    Workers,
    settings_of,
)
from facepipe.cli.progress import batch_reporting
from facepipe.errors import UsageError

if TYPE_CHECKING:
    from facepipe.batch.report import BatchSummary
    from facepipe.batch.session import BatchSettings
    from facepipe.configs.settings import Settings
    from facepipe.workers.base import Executor

#: The exit code of a batch of which items failed.
ITEMS_FAILED = 8


def batch(
    ctx: typer.Context,
    sources: Annotated[
        list[str],
        typer.Argument(metavar="SOURCE...", help="folders, files, patterns, archives, manifests"),
    ],
    output: Annotated[
        str, typer.Option("--output", "-o", help="the folder, or the address, to write to")
    ],
    work: Annotated[
        Path | None,
        typer.Option(help="folder that keeps what is done, where results go to an address"),
    ] = None,
    scale: Scale = None,
    min_face: MinFace = None,
    max_face: MaxFace = None,
    score: Score = None,
    detect_every: DetectEvery = None,
    detector: Detector = None,
    pack: Pack = None,
    restorer: Restorer = None,
    strength: Strength = None,
    fidelity: Fidelity = None,
    device: DeviceName = None,
    codec: Codec = None,
    quality: QualityName = None,
    crf: Crf = None,
    preset: Preset = None,
    pix_fmt: PixFmt = None,
    copy: CopyUnchanged = None,
    allow_loss: AllowLoss = None,
    strict_input: StrictInput = None,
    workers: Workers = None,
    ray: Ray = None,
    shared: Shared = False,
    gpus: Gpus = 0.0,
    max_pixels: MaxPixels = 200_000_000,
    profile: Profile = "balanced",
    config: Config = None,
    assign: Assign = None,
    pack_archives: Annotated[
        bool, typer.Option("--pack-archives", help="archives come out as archives, not as folders")
    ] = False,
    overwrite: Overwrite = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="print what would be done, write nothing")
    ] = False,
    progress: Progress = ProgressKind.auto,
    quiet: Quiet = False,
) -> None:
    """Enhance every film and picture of SOURCE... into a folder; the same command goes on."""
    from facepipe._files import is_address
    from facepipe.batch.runner import run_batch
    from facepipe.batch.session import BatchSettings

    settings = settings_of(ctx)
    address = output if is_address(output) else None
    if address and work is None:
        raise UsageError(f"-o {output} is an address: --work FOLDER must say where the job is kept")
    folder = work or Path(output)
    asked = BatchSettings(
        address=address, pack=pack_archives, overwrite=overwrite, max_pixels=max_pixels
    )
    if dry_run:
        _print_batch_plan(sources, folder, asked, settings.output.scale)
        return
    with (
        closing(_executor(settings, ray, shared, gpus)) as executor,
        batch_reporting(progress, quiet) as on_event,
    ):
        summary = run_batch(sources, folder, settings, executor, batch=asked, on_event=on_event)
    _print_batch_summary(summary, quiet)
    if summary.failed:
        raise typer.Exit(ITEMS_FAILED)


def _executor(settings: Settings, ray: str | None, shared: bool, gpus: float) -> Executor:
    if ray is None:
        from facepipe.workers.local import LocalExecutor
        from facepipe.workers.resources import affordable_workers, worker_bytes

        return LocalExecutor(settings.workers or affordable_workers(worker_bytes()), isolated=True)
    from facepipe.workers.ray_executor import RayExecutor

    return RayExecutor(ray, workers=settings.workers, gpus=gpus, shared=shared)


def _print_batch_plan(
    sources: Sequence[str], folder: Path, asked: BatchSettings, scale: int
) -> None:
    """What there is to do, counted without a ledger, by the heads of files alone."""
    from facepipe.batch.estimate import estimate
    from facepipe.batch.sources import find_items

    work = estimate(find_items(sources, asked.limits, exclude=folder), scale)
    for one in work.skipped:
        print(f"skipped: {one.source}: {one.reason}")
    print(f"{work.videos} videos of {work.video_seconds / 60:.1f} minutes, {work.images} images")
    print(f"{work.size / 2**20:.1f} MiB, {len(work.skipped)} files skipped; to {folder}")
    unsaid = f", without {work.unknown} videos that do not say" if work.unknown else ""
    print(f"about {work.core_seconds / 3600:.2f} hours of one core without faces{unsaid}")


def _print_batch_summary(summary: BatchSummary, quiet: bool) -> None:
    if quiet:
        return
    if not summary.worked_on:
        print("nothing was left to do")
    counts = summary.counts
    told = [
        f"{counts[s].items} {s}" for s in ("done", "passed", "failed", "waiting") if s in counts
    ]
    frames = sum(count.frames for count in counts.values())
    faces = sum(count.faces for count in counts.values())
    print(
        f"{summary.folder}: {', '.join(told) or 'no item'}, {summary.skipped} skipped; "
        f"{frames} frames and pictures, {faces} faces enhanced, {summary.seconds:.1f} s"
    )
    if summary.kept or summary.kept_spans:
        print(f"kept from an earlier run: {summary.kept} items, {summary.kept_spans} spans")
    print(f"each item: {summary.folder / 'facepipe-batch.csv'} (and .json)")
    if summary.failed:
        print(f"facepipe: {summary.failed} items failed", file=sys.stderr)
