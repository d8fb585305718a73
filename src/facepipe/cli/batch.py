"""The command `batch`: many videos and photographs at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from facepipe.cli.error_report import ITEMS_FAILED, report_of_exit
from facepipe.cli.machine import note_error, note_result
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
from facepipe.cli.results import BatchPlan, BatchResult
from facepipe.configs.settings import Settings
from facepipe.errors import UsageError, printable

if TYPE_CHECKING:
    from facepipe.batch.report import BatchSummary
    from facepipe.batch.session import BatchSettings
    from facepipe.batch.watch import WatchSettings
    from facepipe.workers.base import Executor

#: Headings of the help.
CLUSTER, WATCH = "On a Ray cluster", "Folders that are watched"


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
Watch = Annotated[
    bool,
    typer.Option(
        "--watch",
        help="enhance what comes into the folders, until Ctrl-C ends it",
        rich_help_panel=WATCH,
    ),
]
Settle = Annotated[
    float | None,
    typer.Option(
        metavar="SECONDS",
        help="take a file when its size and time were the same for so long [5]",
        min=0.1,
        max=86400,
        rich_help_panel=WATCH,
    ),
]
DoneTo = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        help="move finished sources there; nothing is replaced [they stay]",
        rich_help_panel=WATCH,
    ),
]
FailedTo = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER", help="move sources that failed there [they stay]", rich_help_panel=WATCH
    ),
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
    watch: Watch = False,
    settle: Settle = None,
    done_to: DoneTo = None,
    failed_to: FailedTo = None,
    overwrite: Overwrite = False,
    dry_run: DryRun = False,
    progress: Progress = ProgressKind.auto,
    quiet: Quiet = False,
) -> BatchResult | BatchPlan:
    """Enhance every video and photograph of the sources into a folder.

    The same command goes on after a stop.
    """
    from facepipe._system.files import is_address
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
    watching = _watch_settings(watch, settle, done_to, failed_to)
    if watching and (pack_archives or ray):
        raise UsageError("--watch does not go with --pack-archives, nor with --ray")
    if dry_run:
        return _print_plan(sources, folder, wanted, settings)
    with closing(_executor(settings, ray, shared, gpus)) as executor:
        rounds = _rounds(sources, folder, settings, executor, wanted, watching, progress, quiet)
        for summary in rounds:
            result = BatchResult.of(summary, address)
            note_result(result)
            if not quiet:
                _print_summary(summary)
    return _checked(result, summary)


def _rounds(
    sources: Sequence[str],
    folder: Path,
    settings: Settings,
    executor: Executor,
    wanted: BatchSettings,
    watching: WatchSettings | None,
    progress: ProgressKind,
    quiet: bool,
) -> Iterator[BatchSummary]:
    """One batch, or a round of a watch after another."""
    from facepipe.batch.runner import run_batch
    from facepipe.batch.watch import watch_batch

    with batch_reporting(progress, quiet) as on_event:
        if watching is None:
            yield run_batch(sources, folder, settings, executor, batch=wanted, on_event=on_event)
            return
        if not quiet:
            print(f"watching {printable(', '.join(sources))}; Ctrl-C ends it")
        yield from watch_batch(
            sources, folder, settings, executor, watch=watching, batch=wanted, on_event=on_event
        )


def _watch_settings(
    watch: bool, settle: float | None, done_to: Path | None, failed_to: Path | None
) -> WatchSettings | None:
    """How the sources are watched; None: they are not. UsageError for options of a watch alone."""
    from facepipe.batch.watch import WatchSettings

    given = {"--settle": settle, "--done-to": done_to, "--failed-to": failed_to}
    named = [flag for flag, value in given.items() if value is not None]
    if named and not watch:
        raise UsageError(f"{named[0]} goes with --watch")
    usual = WatchSettings.settle
    return WatchSettings(settle or usual, done_to, failed_to) if watch else None


def _checked(result: BatchResult, summary: BatchSummary) -> BatchResult:
    """The result of a batch of which no item failed; of others the exit code."""
    if not (summary.failed or summary.lost or summary.unread):
        return result
    over = {"failed": summary.failed, "lost": summary.lost, "unreadable": summary.unread}
    said = ", ".join(f"{number} {what}" for what, number in over.items() if number)
    passing = not summary.failed and not summary.unread
    note_error(report_of_exit(ITEMS_FAILED, f"not all items are done: {said}", retryable=passing))
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
) -> BatchPlan:
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
    return BatchPlan.of(work)


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
