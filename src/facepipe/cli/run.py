"""The commands on one file: `run`, and its two halves `analyze` and `render`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from facepipe._system.files import is_image
from facepipe.cli.options import (
    DryRun,
    Input,
    Output,
    Overwrite,
    Progress,
    ProgressKind,
    Quiet,
    with_settings,
)
from facepipe.cli.output import (
    print_analysis,
    print_found,
    print_image_plan,
    print_plan,
    print_summary,
    print_warnings,
)
from facepipe.cli.progress import reporting, resolved
from facepipe.cli.results import AnalysisResult, FilePlan, FileResult
from facepipe.configs.settings import Settings
from facepipe.errors import printable

if TYPE_CHECKING:
    from facepipe.datatypes import Analysis

Report = Annotated[
    Path | None,
    typer.Option(help="write a page too, to look at: see `facepipe report`", metavar="FILE.html"),
]


@with_settings(
    *("detect", "choose", "restore", "output", "sign", "stream", "strict_input", "workers"),
    "profile_time",
)
def run(
    source: Input,
    output: Output,
    settings: Settings,
    report: Report = None,
    overwrite: Overwrite = False,
    dry_run: DryRun = False,
    progress: Progress = ProgressKind.auto,
    quiet: Quiet = False,
) -> FileResult | FilePlan:
    """Enhance the faces of INPUT and write the video to OUTPUT, with a report beside it."""
    _check_report(source, report, overwrite=overwrite)
    if not dry_run:
        prepare_workers(settings, source)
    from facepipe.pipeline import api
    from facepipe.pipeline.preflight import make_plan

    if dry_run and is_image(source):
        from facepipe.pipeline.stills import plan_image

        image, notes = plan_image(source, output, settings, overwrite=overwrite)
        size = image.frame.width, image.frame.height
        scale = settings.output.scale
        print_image_plan(source, output, size, scale, notes)
        return FilePlan(source, output, *size, size[0] * scale, size[1] * scale, tuple(notes))
    if dry_run:
        plan = make_plan(source, settings, target=output, overwrite=overwrite)
        print_plan(plan, output)
        return FilePlan.of_video(plan, output)
    with reporting(progress, quiet) as on_event:
        summary = api.enhance(
            source,
            output,
            settings,
            overwrite=overwrite,
            on_event=on_event,
            on_found=_tell_found(settings, progress, quiet=quiet),
        )
    if not quiet:
        print_summary(summary)
    page = _write_report(report, source, output, settings, quiet=quiet)
    return FileResult.of(summary, page)


@with_settings(
    "detect",
    "choose.region",
    "choose.largest",
    "output.size",
    "output.start",
    "output.end",
    "stream",
    "strict_input",
    "workers",
)
def analyze(
    source: Input,
    output: Annotated[Path, typer.Option("--output", "-o", help="the analysis.json to write")],
    settings: Settings,
    overwrite: Overwrite = False,
    progress: Progress = ProgressKind.auto,
    quiet: Quiet = False,
) -> AnalysisResult:
    """Find and follow the faces of INPUT; write what was found, to read, edit and render."""
    prepare_workers(settings, source)
    from facepipe.pipeline import api

    with reporting(progress, quiet) as on_event:
        analysis = api.analyze(source, output, settings, overwrite=overwrite, on_event=on_event)
    if not quiet:
        print_analysis(analysis, output, settings.output.scale)
    return AnalysisResult.of(analysis, output)


@with_settings(
    *("choose", "restore", "output", "sign", "stream", "strict_input", "workers", "profile_time")
)
def render(
    source: Input,
    analysis: Annotated[
        Path, typer.Argument(metavar="ANALYSIS", help="from facepipe analyze", readable=False)
    ],
    output: Output,
    settings: Settings,
    report: Report = None,
    overwrite: Overwrite = False,
    progress: Progress = ProgressKind.auto,
    quiet: Quiet = False,
) -> FileResult:
    """Write INPUT to OUTPUT with the faces enhanced that ANALYSIS names."""
    _check_report(source, report, overwrite=overwrite)
    prepare_workers(settings, source)
    from facepipe.pipeline import api

    with reporting(progress, quiet) as on_event:
        summary = api.render(
            source, analysis, output, settings, overwrite=overwrite, on_event=on_event
        )
    if not quiet:
        print_summary(summary)
    page = _write_report(report, source, output, settings, quiet=quiet)
    return FileResult.of(summary, page)


def _tell_found(
    settings: Settings, progress: ProgressKind, *, quiet: bool
) -> Callable[[Analysis], None] | None:
    """Say what was found before hours are spent on it, where somebody may read it."""
    is_read = resolved(progress, quiet) is ProgressKind.bar or progress is ProgressKind.lines
    if quiet or not is_read:
        return None
    return lambda analysis: print_found(analysis, settings.output.scale)


def _check_report(source: Path, report: Path | None, *, overwrite: bool) -> None:
    """Refuse the name of a page before the work."""
    if report is not None:
        from facepipe.cli.looking import check_report

        check_report(source, report, overwrite=overwrite)


def _write_report(
    report: Path | None, source: Path, output: Path, settings: Settings, *, quiet: bool
) -> Path | None:
    """Write the page on what was made, where one is asked for; where it is, None: there is none."""
    if report is None:
        return None
    from facepipe.cli.looking import write_report

    written = write_report(output, source, report, settings)
    if not written:
        print_warnings([f"{report} was not written: no face was enhanced"])
    elif not quiet:
        print(f"{printable(report)}: a page to look at")
    return report if written else None


def prepare_workers(settings: Settings, source: Path) -> None:
    """Begin to import what workers need for a video, while this process imports its own."""
    from facepipe.workers.forkserver import prepare
    from facepipe.workers.resources import usable_cores

    if (settings.workers or usable_cores()) > 1 and not is_image(source):
        prepare()
