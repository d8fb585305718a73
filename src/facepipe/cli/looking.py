"""The commands to look with: `preview`, `report`, `compare` and `gallery`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from facepipe._system.files import write_bytes, write_text
from facepipe.cli.options import (
    Input,
    Overwrite,
    Progress,
    ProgressKind,
    Quiet,
    with_settings,
)
from facepipe.cli.output import print_preview
from facepipe.cli.progress import reporting
from facepipe.cli.results import ComparisonResult, GalleryResult, PageResult, PreviewResult
from facepipe.cli.run import prepare_workers
from facepipe.cli.terminal import show_image
from facepipe.configs.notices import SHORT_NOTICE
from facepipe.configs.settings import Settings
from facepipe.errors import UsageError, printable

if TYPE_CHECKING:
    from facepipe.presentation.documents import Document

_PAGES = (".html", ".htm")


class Style(StrEnum):
    side = "side"
    wipe = "wipe"
    flicker = "flicker"


Document_ = Annotated[
    Path,
    typer.Argument(
        metavar="ANALYSIS|OUTPUT",
        help="an analysis, or an output beside its report",
        readable=False,
    ),
]
Source = Annotated[
    Path | None,
    typer.Option(help="the source, where it lies elsewhere or has another name", metavar="FILE"),
]


@with_settings(
    "detect",
    "choose",
    "restore",
    "output.scale",
    "output.size",
    "output.start",
    "output.end",
    "stream",
    "workers",
)
def preview(
    source: Input,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="the sheet to write, .png or .html")
    ],
    settings: Settings,
    compare: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE;VALUE",
            help="settings side by side, such as fidelity=0.3;0.7; two to four of them",
        ),
    ] = None,
    analysis: Annotated[
        Path | None, typer.Option(help="an analysis of INPUT, whose faces are shown")
    ] = None,
    faces: Annotated[int, typer.Option(help="so many faces at most", min=1, max=100)] = 12,
    overwrite: Overwrite = False,
    progress: Progress = ProgressKind.auto,
    quiet: Quiet = False,
) -> PreviewResult:
    """Show the most telling faces of INPUT before and after, without rendering all of it."""
    from facepipe.pipeline.preflight import check_output

    if output.suffix.lower() not in (".png", *_PAGES):
        raise UsageError(f"{output}: a sheet is a .png or a .html")
    prepare_workers(settings, source)
    from facepipe.presentation.images import png_bytes
    from facepipe.presentation.page import preview_page
    from facepipe.presentation.preview import make_preview
    from facepipe.presentation.sheet import draw_sheet

    check_output(source, output, overwrite)
    with reporting(progress, quiet) as on_event:
        made = make_preview(
            source,
            settings,
            analysis=analysis,
            comparisons=compare or (),
            most=faces,
            on_event=on_event,
        )
    is_page = output.suffix.lower() in _PAGES
    if is_page:
        write_text(preview_page(made.sheet), output)
    result = PreviewResult.of(made, output)
    if quiet and is_page:
        return result
    png = png_bytes(draw_sheet(made.sheet), enhanced=True)
    if not is_page:
        write_bytes(png, output)
    if not quiet:
        print_preview(made, output)
        show_image(png)
    return result


@with_settings("restore", "output.scale", "workers")
def report(
    document: Document_,
    output: Annotated[Path, typer.Option("--output", "-o", help="the page to write, .html")],
    settings: Settings,
    source: Source = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> PageResult:
    """Write a page on an analysis or an output: timeline, faces before and after, reasons."""
    from facepipe.presentation.report import make_report

    check_report(document, output, overwrite=overwrite)
    given = _read(document, source, settings)
    write_text(make_report(given, settings), output)
    if not quiet:
        print(f"{printable(output)}: {len(given.tracks)} tracks")
        print(SHORT_NOTICE)
    return PageResult(output, len(given.tracks))


@with_settings("restore", "output.scale", "workers")
def gallery(
    document: Document_,
    output: Annotated[Path, typer.Option("--output", "-o", help="the folder to write to")],
    settings: Settings,
    source: Source = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> GalleryResult:
    """Write each track's best enhanced face and its source crop as images, with a table."""
    from facepipe.presentation.gallery import TABLE, write_gallery

    made = write_gallery(_read(document, source, settings), output, settings, overwrite=overwrite)
    if not quiet:
        print(f"{printable(output)}: {made.images} images, {made.tracks} tracks in {TABLE}")
        print(SHORT_NOTICE)
    return GalleryResult(output, made.images, made.tracks, output / TABLE)


@with_settings(
    "output.codec", "output.quality", "output.crf", "output.preset", "output.start", "output.end"
)
def compare(
    first: Annotated[Path, typer.Argument(metavar="A", help="the source", readable=False)],
    second: Annotated[
        Path, typer.Argument(metavar="B", help="what was made of it", readable=False)
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="the video to write")],
    settings: Settings,
    style: Annotated[
        Style, typer.Option(help="side by side, a line that wipes over, or by turns")
    ] = Style.side,
    labels: Annotated[
        str, typer.Option(metavar="A,B", help="what is written on the two")
    ] = "before,after",
    insets: Annotated[
        int, typer.Option(help="so many faces enlarged below, which follow tracks", min=0, max=6)
    ] = 3,
    tracks: Annotated[
        Path | None,
        typer.Option(
            metavar="ANALYSIS|OUTPUT",
            help="whose faces are enlarged, where B has no report beside it",
        ),
    ] = None,
    overwrite: Overwrite = False,
    progress: Progress = ProgressKind.auto,
    quiet: Quiet = False,
) -> ComparisonResult:
    """Write A and B into one video, side by side, wiped or by turns, with faces enlarged below."""
    one, comma, other = labels.partition(",")
    if not comma:
        raise UsageError(f"--labels {labels}: wants two labels, as in before,after")
    from facepipe.presentation.comparison import compare_videos

    with reporting(progress, quiet) as on_event:
        frames = compare_videos(
            first,
            second,
            output,
            settings,
            style=style.value,
            labels=(one.strip(), other.strip()),
            insets=insets,
            report=tracks,
            overwrite=overwrite,
            on_event=on_event,
        )
    if not quiet:
        print(f"{printable(output)}: {frames} frames")
        print(SHORT_NOTICE)
    return ComparisonResult(output, frames)


def check_report(source: Path, output: Path, *, overwrite: bool) -> None:
    """Refuse the name of a page before the work: another suffix, or a file that is there."""
    from facepipe.pipeline.preflight import check_output

    if output.suffix.lower() not in _PAGES:
        raise UsageError(f"{output}: a report is a .html")
    check_output(source, output, overwrite)


def write_report(output: Path, source: Path, page: Path, settings: Settings) -> bool:
    """Write the page on an output that was just made of `source`; whether there is one.

    There is none of a photograph in which no face was enhanced: it has no report.
    """
    from facepipe.pipeline.sidecar import sidecar_path
    from facepipe.presentation.documents import read_document
    from facepipe.presentation.report import make_report

    if not sidecar_path(output).is_file():
        return False
    write_text(make_report(read_document(output, source=source), settings), page)
    return True


def _read(path: Path, source: Path | None, settings: Settings) -> Document:
    """The document of a command; its settings go with an analysis alone."""
    from facepipe.presentation.documents import read_document

    document = read_document(path, source=source, limits=settings.limits)
    given = settings.restore.model_fields_set | settings.output.model_fields_set
    if document.sidecar is not None and given:
        raise UsageError(
            f"{path}: shows faces as its run made them; {', '.join(sorted(given))} and profiles go "
            "with an analysis"
        )
    prepare_workers(settings, Path(document.source_name))
    return document
