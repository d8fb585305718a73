"""The command `batch`: many videos and photographs at once."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from facepipe.cli.options import (
    DryRun,
    Overwrite,
    Progress,
    ProgressKind,
    Quiet,
    with_settings,
)
from facepipe.cli.output import print_error, print_warnings
from facepipe.cli.progress import batch_reporting
from facepipe.configs.settings import Settings
from facepipe.errors import UsageError, printable

if TYPE_CHECKING:
    from facepipe.batch.report import BatchSummary
    from facepipe.batch.session import BatchSettings
    from facepipe.workers.base import Executor

#: The exit code of a batch of which items failed.
ITEMS_FAILED = 8
#: A heading of the help.
CLUSTER = "On a Ray cluster"


Sources = Annotated[
    list[str],
    typer.Argument(metavar="SOURCE...", help="folders, files, patterns, archives, manifests"),
]
Folder = Annotated[
    str, typer.Option("--output", "-o", help="the folder, or the address, to write to")
]
Work = Annotated[
    Path | None,
    typer.Option(help="folder that keeps what is done, where results go to an address"),
]
PackArchives = Annotated[
    bool, typer.Option("--pack-archives", help="archives come out as archives, not as folders")
]
MaxPixels = Annotated[int, typer.Option(help="largest photograph that is opened, px", min=1)]
Ray = Annotated[
    str | None,
    typer.Option(
        metavar="auto|local|HOST:PORT",
        help="work on a Ray cluster; local starts one here",
        rich_help_panel=CLUSTER,
    ),
]
Shared = Annotated[
    bool,
    typer.Option(
        "--shared", help="the cluster sees the same paths as this machine", rich_help_panel=CLUSTER
    ),
]
Gpus = Annotated[
    float,
    typer.Option(help="GPUs that each worker asks Ray for, as .5", min=0, rich_help_panel=CLUSTER),
]


@with_settings(
    "detect",
    "restore",
    "output",
    "sign",
    "stream",
    "strict_input",
    "workers",
    without=("output.start", "output.end"),
)
def batch(
    sources: Sources,
    output: Folder,
    settings: Settings,
    work: Work = None,
    pack_archives: PackArchives = False,
    max_pixels: MaxPixels = 200_000_000,
    ray: Ray = None,
    shared: Shared = False,
    gpus: Gpus = 0.0,
    overwrite: Overwrite = False,
    dry_run: DryRun = False,
    progress: Progress = ProgressKind.auto,
    quiet: Quiet = False,
) -> None:
    """Enhance every video and photograph of the sources into a folder.

    The same command goes on after a stop.
    """
    from facepipe._system.files import is_address
    from facepipe.batch.runner import run_batch
    from facepipe.batch.session import BatchSettings

    address = output if is_address(output) else None
    if address and work is None:
        raise UsageError(f"-o {output} is an address: --work FOLDER must say where the job is kept")
    folder = work or Path(output)
    wanted = BatchSettings(
        address=address, pack=pack_archives, overwrite=overwrite, max_pixels=max_pixels
    )
    if settings.sign.key or settings.sign.certificate:
        _check_signing(ray, pack_archives=pack_archives)
    if dry_run:
        _print_plan(sources, folder, wanted, settings)
        return
    with (
        closing(_executor(settings, ray, shared, gpus)) as executor,
        batch_reporting(progress, quiet) as on_event,
    ):
        summary = run_batch(sources, folder, settings, executor, batch=wanted, on_event=on_event)
    if not quiet:
        _print_summary(summary)
    if summary.failed or summary.lost or summary.unread:
        raise typer.Exit(ITEMS_FAILED)


def _check_signing(ray: str | None, *, pack_archives: bool) -> None:
    """Refuse to sign where a key would have to travel, or a manifest has no place."""
    if ray is not None:
        raise UsageError("--sign-key: the key stays on this machine, so it does not go with --ray")
    if pack_archives:
        raise UsageError(
            "--sign-key: archives have no place for manifests; leave --pack-archives out"
        )


def _executor(settings: Settings, ray: str | None, shared: bool, gpus: float) -> Executor:
    if ray is None:
        from facepipe.workers.local import LocalExecutor
        from facepipe.workers.resources import (
            NO_SEMAPHORES,
            affordable_workers,
            has_semaphores,
            worker_bytes,
        )

        if not has_semaphores():
            print_warnings([NO_SEMAPHORES])
        return LocalExecutor(settings.workers or affordable_workers(worker_bytes()), isolated=True)
    from facepipe.workers.ray_executor import RayExecutor

    return RayExecutor(
        ray,
        workers=settings.workers,
        gpus=gpus,
        shared=shared,
        notify=lambda line: print_warnings([line]),
    )


def _print_plan(
    sources: Sequence[str], folder: Path, wanted: BatchSettings, settings: Settings
) -> None:
    """Print what there is to do, counted from the headers of files, without a ledger."""
    from facepipe.batch.estimate import estimate
    from facepipe.batch.sources import find_items

    items = find_items(sources, wanted.limits, exclude=folder)
    work = estimate(items, settings.output.scale, settings.stream)
    for one in work.skipped:
        print(printable(f"skipped: {one.source}: {one.reason}"))
    print(
        f"{work.videos} videos of {work.video_seconds / 60:.1f} minutes, {work.images} photographs"
    )
    print(f"{work.size / 2**20:.1f} MiB, {len(work.skipped)} files skipped; to {folder}")
    unknown = f", without {work.unknown} videos of unknown length" if work.unknown else ""
    print(f"about {work.core_seconds / 3600:.2f} hours of one core without faces{unknown}")


def _counted(summary: BatchSummary) -> str:
    counts = summary.counts
    states = [
        f"{counts[s].items} {s}"
        for s in ("done", "passed", "lost", "failed", "waiting")
        if s in counts
    ]
    frames = sum(count.frames for count in counts.values())
    faces = sum(count.faces for count in counts.values())
    return (
        f"{', '.join(states) or 'no item'}, {summary.skipped} skipped; "
        f"{frames} frames and photographs, {faces} faces enhanced"
    )


def _print_summary(summary: BatchSummary) -> None:
    if not summary.worked_on:
        print("nothing was left to do")
    print(f"{summary.folder}: {_counted(summary)}, {summary.seconds:.1f} s")
    if summary.kept or summary.kept_spans:
        print(f"kept from an earlier run: {summary.kept} items, {summary.kept_spans} spans")
    print(f"each item: {summary.folder / 'facepipe-batch.csv'} (and .json)")
    print(f"last entry of the log, to note elsewhere: {summary.log_sha256}")
    if summary.unread:
        print_error(f"{summary.unread} folders or files cannot be read")
    if summary.lost:
        print_error(f"{summary.lost} items lost their workers; the same command does them again")
    if summary.failed:
        print_error(f"{summary.failed} items failed")
