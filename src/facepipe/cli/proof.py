"""The commands that prove what was done: `verify` and `reproduce`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from facepipe.cli.machine import note_result
from facepipe.cli.options import Progress, ProgressKind, Quiet
from facepipe.cli.output import print_warnings
from facepipe.cli.progress import reporting
from facepipe.cli.proof_results import ReproductionResult, VerificationResult
from facepipe.errors import UsageError, VerificationError, printable

if TYPE_CHECKING:
    from facepipe.pipeline.reproduce import Reproduction
    from facepipe.pipeline.verify import Verification

_SHOWN = {"ok": "ok", "failed": "FAILED", "unchecked": "not checked"}

Source = Annotated[
    Path | None,
    typer.Option(help="the source; by default, it is looked for beside the output", metavar="FILE"),
]


def verify(
    output: Annotated[
        Path, typer.Argument(metavar="OUTPUT", help="an output, or a batch's folder")
    ],
    source: Source = None,
    trust: Annotated[
        Path | None,
        typer.Option(help="certificates (PEM) whose signatures are trusted", metavar="FILE.pem"),
    ] = None,
) -> VerificationResult:
    """Check that OUTPUT, its report and its manifest are still what was delivered.

    It says what could not be checked. Ends with exit code 10 where something was changed.
    """
    if output.is_dir():
        from facepipe.batch.verify import verify_batch

        if source is not None or trust is not None:
            raise UsageError("--source and --trust belong to one output, not to a batch's folder")
        found = verify_batch(output)
    else:
        from facepipe.pipeline.verify import verify_output

        found = verify_output(output, source=source, trust=trust)
    result = VerificationResult.of(found)
    note_result(result)
    _print_verification(found)
    failed = [check.what for check in found.checks if check.state == "failed"]
    if failed:
        raise VerificationError(f"{found.path}: was changed: {', '.join(failed)}")
    if found.verdict != "intact":
        raise VerificationError(f"{found.path}: nothing is beside it by which it can be checked")
    return result


def _print_verification(found: Verification) -> None:
    print(f"{printable(found.path)}: {found.verdict}")
    for check in found.checks:
        print(printable(f"  {_SHOWN[check.state]:<12} {check.what}: {check.words}"))


def reproduce(
    report: Annotated[
        Path, typer.Argument(metavar="REPORT", help="OUTPUT.facepipe.json, or OUTPUT itself")
    ],
    source: Source = None,
    analysis: Annotated[
        Path | None,
        typer.Option(
            help="the analysis that `render` was given, where it is not beside the output",
            metavar="FILE",
        ),
    ] = None,
    keep: Annotated[
        Path | None,
        typer.Option(help="keep the new copy here; by default, it is removed", metavar="FILE"),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="processes; by default a core each", min=1, max=256)
    ] = None,
    trust_report: Annotated[
        bool,
        typer.Option(
            "--trust-report",
            help="the report is your own: take its encoder options, limits and files of weights",
        ),
    ] = False,
    progress: Progress = ProgressKind.auto,
    quiet: Quiet = False,
) -> ReproductionResult:
    """Enhance the source of REPORT again, and compare each decoded frame with the output.

    Ends with exit code 10 where a frame differs.
    """
    from facepipe.pipeline.reproduce import reproduce as run

    with reporting(progress, quiet) as on_event:
        found = run(
            report,
            source=source,
            analysis=analysis,
            keep=keep,
            workers=workers,
            trusted=trust_report,
            on_event=on_event,
        )
    result = ReproductionResult.of(found)
    note_result(result)
    if not quiet:
        print_warnings(found.notes)
        print(_in_words(found))
    if not found.is_same:
        raise VerificationError(
            f"{found.output}: {found.differing} of {found.frames} frames differ, the first is "
            f"number {found.first}, by {found.largest} code values at most"
        )
    return result


def _in_words(found: Reproduction) -> str:
    name = printable(found.output)
    if found.same_file:
        return f"{name}: the new copy is the same file, byte for byte ({found.frames} frames)"
    if found.is_same:
        return f"{name}: all {found.frames} decoded frames are the same"
    return f"{name}: {found.frames - found.differing} of {found.frames} decoded frames are the same"
