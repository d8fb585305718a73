"""argv to settings to a run: prints results and picks exit codes.

Here are the commands on one film; those on many, and those that train and measure, have files of
their own.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from facepipe import __version__
from facepipe.cli.batch import batch
from facepipe.cli.evaluate import evaluate_app
from facepipe.cli.models import models_app
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
    End,
    Fidelity,
    Input,
    Largest,
    MaxFace,
    MinFace,
    Output,
    Overwrite,
    Pack,
    PixFmt,
    Preset,
    Profile,
    Progress,
    ProgressKind,
    QualityName,
    Quiet,
    Region,
    Restorer,
    Scale,
    Score,
    Start,
    Strength,
    StrictInput,
    Tracks,
    Workers,
    begin,
    settings_of,
)
from facepipe.cli.progress import reporting
from facepipe.cli.signals import Interrupted, graceful_shutdown
from facepipe.cli.train import COMMANDS as TRAINING_COMMANDS
from facepipe.errors import FacepipeError, OutOfMemoryError

if TYPE_CHECKING:
    from facepipe.cli.doctor import Health
    from facepipe.pipeline.api import Summary
    from facepipe.pipeline.preflight import Plan

NOTICE = "Enhanced faces are plausible inventions, no evidence."

app = typer.Typer(
    name="facepipe",
    help="Make the tiny faces of a film clear and leave the rest of the film as it is.\n\n"
    + NOTICE,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version(asked: bool) -> None:
    if asked:
        print(f"facepipe {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="print the version")
    ] = False,
) -> None:
    """Make the tiny faces of a film clear and leave the rest of the film as it is."""


@app.command()
def run(
    ctx: typer.Context,
    source: Input,
    output: Output,
    scale: Scale = None,
    min_face: MinFace = None,
    max_face: MaxFace = None,
    score: Score = None,
    detect_every: DetectEvery = None,
    detector: Detector = None,
    pack: Pack = None,
    tracks: Tracks = None,
    region: Region = None,
    largest: Largest = None,
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
    start: Start = None,
    end: End = None,
    workers: Workers = None,
    profile: Profile = "balanced",
    config: Config = None,
    assign: Assign = None,
    overwrite: Overwrite = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="print the plan, write nothing")
    ] = False,
    progress: Progress = ProgressKind.auto,
    quiet: Quiet = False,
) -> None:
    """Enhance the faces of INPUT and write the film to OUTPUT, with a report beside it."""
    settings = settings_of(ctx) if dry_run else begin(ctx, source)
    from facepipe.pipeline import api as passes
    from facepipe.pipeline.preflight import make_plan

    if dry_run:
        _print_plan(make_plan(source, settings, target=output, overwrite=overwrite), output)
        return
    with reporting(progress, quiet) as on_event:
        summary = passes.enhance(source, output, settings, overwrite=overwrite, on_event=on_event)
    _print_summary(summary, quiet)


@app.command()
def analyze(
    ctx: typer.Context,
    source: Input,
    output: Annotated[Path, typer.Option("--output", "-o", help="the analysis.json to write")],
    min_face: MinFace = None,
    max_face: MaxFace = None,
    score: Score = None,
    detect_every: DetectEvery = None,
    detector: Detector = None,
    pack: Pack = None,
    region: Region = None,
    largest: Largest = None,
    strict_input: StrictInput = None,
    start: Start = None,
    end: End = None,
    workers: Workers = None,
    profile: Profile = "balanced",
    config: Config = None,
    assign: Assign = None,
    overwrite: Overwrite = False,
    progress: Progress = ProgressKind.auto,
    quiet: Quiet = False,
) -> None:
    """Find and follow the faces of INPUT; write what was found, to read, edit and render."""
    settings = begin(ctx, source)
    from facepipe.pipeline import api as passes
    from facepipe.video.damage import describe_damage

    with reporting(progress, quiet) as on_event:
        found = passes.analyze(source, output, settings, overwrite=overwrite, on_event=on_event)
    if not quiet:
        enhanced = sum(track.enhance for track in found.tracks)
        print(
            f"{_shown(output)}: {len(found.tracks)} tracks, {enhanced} to enhance, "
            f"{len(found.tracks) - enhanced} refused with their reasons"
        )
        for warning in (*found.warnings, *describe_damage(found.damage, found.time_base)):
            print(f"warning: {_shown(warning)}", file=sys.stderr)


@app.command()
def render(
    ctx: typer.Context,
    source: Input,
    analysis: Annotated[Path, typer.Argument(metavar="ANALYSIS", help="from facepipe analyze")],
    output: Output,
    tracks: Tracks = None,
    region: Region = None,
    largest: Largest = None,
    scale: Scale = None,
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
    start: Start = None,
    end: End = None,
    workers: Workers = None,
    profile: Profile = "balanced",
    config: Config = None,
    assign: Assign = None,
    overwrite: Overwrite = False,
    progress: Progress = ProgressKind.auto,
    quiet: Quiet = False,
) -> None:
    """Write INPUT to OUTPUT with the faces enhanced that ANALYSIS names."""
    settings = begin(ctx, source)
    from facepipe.pipeline import api as passes

    with reporting(progress, quiet) as on_event:
        summary = passes.render(
            source, analysis, output, settings, overwrite=overwrite, on_event=on_event
        )
    _print_summary(summary, quiet)


@app.command()
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="print it as JSON")] = False,
) -> None:
    """Try what this machine has: encoders, devices, runtimes, weights, and whether run can work."""
    from dataclasses import asdict

    from facepipe.cli.doctor import examine

    health = examine()
    if as_json:
        print(json.dumps(asdict(health), indent=1))
    else:
        _print_health(health)
    if health.reason is not None:
        print(f"facepipe: {health.reason}", file=sys.stderr)
        raise typer.Exit(health.code)


app.command()(batch)
for command in TRAINING_COMMANDS:
    app.command()(command)
app.add_typer(models_app, name="models")
app.add_typer(evaluate_app, name="evaluate")


#: What loaders say where a library finds no room.
_NO_ROOM = ("map segment", "bad_alloc", "Cannot allocate")


#: Address space that Python and its libraries take before any film is opened. With less, some of
#: them end the process, and some turn for ever.
_LEAST_SPACE = 1100 * 2**20


def _check_space() -> None:
    """Raise OutOfMemoryError where this process may not even load what it needs."""
    if sys.platform == "win32":
        return
    import resource

    allowed, _ = resource.getrlimit(resource.RLIMIT_AS)
    if allowed != resource.RLIM_INFINITY and allowed < _LEAST_SPACE:
        raise OutOfMemoryError(
            f"there is not enough memory: this process may take {allowed >> 20} MB, "
            f"{_LEAST_SPACE >> 20} MB at least are needed"
        )


def main() -> None:
    """The console script: runs the command and turns what it raises into an exit code."""
    try:
        with graceful_shutdown():
            if len(sys.argv) > 1 and sys.argv[1] in ("run", "analyze", "render", "batch"):
                _check_space()
            app()
    except FacepipeError as error:
        print(f"facepipe: {_shown(error)}", file=sys.stderr)
        sys.exit(error.exit_code)
    except MemoryError:
        print("facepipe: there is not enough memory; fewer --workers need less", file=sys.stderr)
        sys.exit(OutOfMemoryError.exit_code)
    except ModuleNotFoundError as error:
        print(
            f"facepipe: this needs {error.name}, which is not installed; "
            "allowed: pip install 'facepipe[train]' (or [torch] for a GPU alone)",
            file=sys.stderr,
        )
        sys.exit(2)
    except ImportError as error:  # a library that is damaged, or finds no room
        short = any(words in str(error) for words in _NO_ROOM)
        said = "there is not enough memory; " if short else ""
        print(f"facepipe: {said}a library does not load: {_shown(error)}", file=sys.stderr)
        sys.exit(OutOfMemoryError.exit_code if short else 1)
    except Interrupted as stopped:
        print(
            "facepipe: stopped; what is finished is kept, the same command goes on from there",
            file=sys.stderr,
        )
        sys.exit(stopped.exit_code)


def _shown(text: object) -> str:
    """A text in one line, without what a terminal would obey: names of files may hold anything."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(text))


def _print_summary(summary: Summary, quiet: bool) -> None:
    if quiet:
        return
    for warning in summary.warnings:
        print(f"warning: {_shown(warning)}", file=sys.stderr)
    line = (
        f"{_shown(summary.target)}: {summary.frames} frames, {summary.faces} faces of "
        f"{summary.tracks} tracks enhanced, {summary.refused} tracks refused, "
        f"{summary.seconds:.1f} s"
    )
    if summary.resumed:
        line += f", {summary.resumed} spans kept from an earlier run"
    print(line)
    if summary.advice:
        print(summary.advice)
    print(NOTICE)


def _print_health(health: Health) -> None:
    wide = max(len(row.name) for row in health.rows)
    section = None
    for row in health.rows:
        if row.section != section:
            print(f"{row.section}:")
            section = row.section
        print(f"  {'yes' if row.works else 'no ':3} {row.name:{wide}}  {row.told}")


def _print_plan(plan: Plan, output: Path) -> None:
    info, encode = plan.info, plan.encode
    width, height = info.width * encode.scale, info.height * encode.scale
    options = " ".join(f"{key}={value}" for key, value in encode.options)
    print(f"source: {_shown(info.path)}: {info.container}, {info.codec} {info.pix_fmt}")
    print(f"  {info.width}x{info.height}, {len(info.pts)} frames, {info.seconds:.2f} s")
    print(f"output: {_shown(output)}: {encode.codec} {options} {encode.pix_fmt}, {width}x{height}")
    for stream in info.others:
        if stream.index not in plan.leave_out:
            print(f"  copied: stream {stream.index}, {stream.kind} {stream.codec}")
    print(f"workers: {plan.workers}")
    print(f"spans: {len(plan.spans)}")
    for span in plan.spans:
        start = float((span.start - info.pts[0]) * info.time_base)
        stop = float((span.stop - info.pts[0]) * info.time_base)
        print(f"  {span.index}: {start:.2f} s to {stop:.2f} s")
    from facepipe.video.damage import describe_damage

    for note in (*info.warnings, *describe_damage(info.damage, info.time_base), *plan.notes):
        print(f"warning: {_shown(note)}")


if __name__ == "__main__":
    main()
