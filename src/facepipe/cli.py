"""argv to settings to a run: the module that prints results and picks exit codes."""

from __future__ import annotations

import signal
import sys
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from facepipe import __version__
from facepipe.errors import FacepipeError
from facepipe.options import (
    SETTING_OF_OPTION,
    Assign,
    Codec,
    Config,
    Crf,
    DetectEvery,
    Detector,
    Device,
    DeviceName,
    End,
    Fidelity,
    Input,
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
    Protocol,
    Quiet,
    Restorer,
    Scale,
    Score,
    Start,
    Strength,
    Workers,
)
from facepipe.progress import reporting

if TYPE_CHECKING:
    from facepipe.configs.settings import Settings
    from facepipe.prepare import Plan
    from facepipe.run import Summary

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
evaluate_app = typer.Typer(help="Measure quality on data with known truth.", no_args_is_help=True)
app.add_typer(evaluate_app, name="evaluate")


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
    restorer: Restorer = None,
    strength: Strength = None,
    fidelity: Fidelity = None,
    device: DeviceName = None,
    codec: Codec = None,
    crf: Crf = None,
    preset: Preset = None,
    pix_fmt: PixFmt = None,
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
    settings = _settings(ctx)
    from facepipe import run as passes
    from facepipe.prepare import make_plan

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
    settings = _settings(ctx)
    from facepipe import run as passes

    with reporting(progress, quiet) as on_event:
        found = passes.analyze(source, output, settings, overwrite=overwrite, on_event=on_event)
    if not quiet:
        enhanced = sum(track.enhance for track in found.tracks)
        print(
            f"{output}: {len(found.tracks)} tracks, {enhanced} to enhance, "
            f"{len(found.tracks) - enhanced} refused with their reasons"
        )
        for warning in found.warnings:
            print(f"warning: {warning}", file=sys.stderr)


@app.command()
def render(
    ctx: typer.Context,
    source: Input,
    analysis: Annotated[Path, typer.Argument(metavar="ANALYSIS", help="from facepipe analyze")],
    output: Output,
    scale: Scale = None,
    restorer: Restorer = None,
    strength: Strength = None,
    fidelity: Fidelity = None,
    device: DeviceName = None,
    codec: Codec = None,
    crf: Crf = None,
    preset: Preset = None,
    pix_fmt: PixFmt = None,
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
    settings = _settings(ctx)
    from facepipe import run as passes

    with reporting(progress, quiet) as on_event:
        summary = passes.render(
            source, analysis, output, settings, overwrite=overwrite, on_event=on_event
        )
    _print_summary(summary, quiet)


@app.command()
def models() -> None:
    """List the restorers, their size, cost and licence."""
    from facepipe.models.registry import RESTORERS

    for spec in RESTORERS:
        print(f"{spec.name}: {spec.summary}")
        print(f"  {spec.parameters / 1e6:.2f} M parameters, {spec.gmacs:.2f} GMACs a face")
        print(f"  licence: {spec.licence}")
        for file, digest in spec.files:
            print(f"  {file} sha256 {digest}")


@app.command()
def train(
    recipe: Annotated[Path, typer.Argument(help="a TOML recipe, see docs/training.md")],
) -> None:
    """Train a network by a recipe; the same command goes on where a stopped run left off."""
    from facepipe.configs.training import load_recipe
    from facepipe.training.loop import train as steps

    settings = load_recipe(recipe)
    for at in steps(settings):
        print(
            f"step {at.step}/{at.steps}  loss {at.loss:.5f}  {at.faces_per_second:.0f} faces/s",
            flush=True,
        )
    print(f"{settings.out}: weights, log and sheets")


@app.command()
def export(
    parsing: Annotated[Path, typer.Option(help="ParsingNet weights (.safetensors)")],
    restore: Annotated[Path, typer.Option(help="FishSRNet weights (.safetensors)")],
    output: Annotated[Path, typer.Option("--output", "-o", help="NAME.safetensors to write")],
) -> None:
    """Join two trained networks into one restorer: NAME.safetensors and NAME.onnx."""
    from facepipe.training.export import export as join

    for path, digest in join(parsing, restore, output):
        print(f"{path} sha256 {digest}")


@evaluate_app.command("faces")
def evaluate_faces(
    faces: Annotated[Path, typer.Argument(help="folder or zip of aligned faces")],
    protocol: Annotated[Protocol, typer.Option(help="how the faces are made small")],
    restorer: Annotated[list[str] | None, typer.Option(help="rows; may be repeated")] = None,
    limit: Annotated[int | None, typer.Option(help="only so many faces", min=1)] = None,
    output: Annotated[Path | None, typer.Option("--json", help="write the figures here")] = None,
    sheet: Annotated[Path | None, typer.Option(help="write a sheet of pictures here")] = None,
    mirrored: Annotated[bool, typer.Option("--mirrored", help="as profile thorough does")] = False,
    device: Annotated[Device, typer.Option()] = Device.auto,
) -> None:
    """Restorers against bicubic enlargement on faces whose truth is known."""
    from facepipe.training.evaluate import evaluate_faces as evaluate
    from facepipe.training.evaluate import restoring, write_sheet
    from facepipe.training.faces import FaceArchive

    names = restorer or ["fishsrnet"]
    rows = {name: restoring(name, device=device.value, mirrored=mirrored) for name in names}
    archive = FaceArchive([faces])
    result = evaluate(archive, rows, protocol=protocol.value, limit=limit)
    print(result.to_markdown())
    if output:
        output.write_text(result.to_json(), encoding="utf-8")
    if sheet:
        write_sheet(sheet, archive, rows, protocol=protocol.value)


#: What ends a run in good order: Ctrl-C, a request to end, a terminal that closes.
_ENDINGS = [signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if sys.platform != "win32" else [])]


class Stopped(BaseException):
    """Ctrl-C or a request to end; no KeyboardInterrupt, which the command line would swallow."""

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.exit_code = 128 + signum


def _stop(signum: int, _frame: object) -> None:
    # Once is enough: a second one must not land in the midst of clearing up.
    for kind in _ENDINGS:
        signal.signal(kind, signal.SIG_IGN)
    raise Stopped(signum)


def main() -> None:
    """The console script: runs the command and turns what it raises into an exit code."""
    for kind in _ENDINGS:
        # Under nohup a closed terminal is to be ignored.
        if kind in _ENDINGS[:2] or signal.getsignal(kind) is not signal.SIG_IGN:
            signal.signal(kind, _stop)
    try:
        app()
    except FacepipeError as error:
        print(f"facepipe: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except ModuleNotFoundError as error:
        print(
            f"facepipe: this needs {error.name}, which is not installed; "
            "allowed: pip install 'facepipe[train]' (or [torch] for a GPU alone)",
            file=sys.stderr,
        )
        sys.exit(2)
    except Stopped as stopped:
        print(
            "facepipe: stopped; what is finished is kept, the same command goes on from there",
            file=sys.stderr,
        )
        sys.exit(stopped.exit_code)


def _settings(ctx: typer.Context) -> Settings:
    """The settings that the command's options make, as far as they were given."""
    from facepipe.configs.settings import load_settings

    given = ctx.params
    overrides = {key: given[name] for name, key in SETTING_OF_OPTION.items() if name in given}
    return load_settings(
        profile=given["profile"],
        config=given["config"],
        assignments=given["assign"] or (),
        overrides={k: v.value if isinstance(v, Enum) else v for k, v in overrides.items()},
    )


def _print_summary(summary: Summary, quiet: bool) -> None:
    if quiet:
        return
    for warning in summary.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    line = (
        f"{summary.target}: {summary.frames} frames, {summary.faces} faces of {summary.tracks} "
        f"tracks enhanced, {summary.refused} tracks refused, {summary.seconds:.1f} s"
    )
    if summary.resumed:
        line += f", {summary.resumed} spans kept from an earlier run"
    print(line)
    if summary.advice:
        print(summary.advice)
    print(NOTICE)


def _print_plan(plan: Plan, output: Path) -> None:
    info, encode = plan.info, plan.encode
    width, height = info.width * encode.scale, info.height * encode.scale
    options = " ".join(f"{key}={value}" for key, value in encode.options)
    print(f"source: {info.path}: {info.container}, {info.codec} {info.pix_fmt}")
    print(f"  {info.width}x{info.height}, {len(info.pts)} frames, {info.seconds:.2f} s")
    print(f"output: {output}: {encode.codec} {options} {encode.pix_fmt}, {width}x{height}")
    for stream in info.others:
        print(f"  copied: stream {stream.index}, {stream.kind} {stream.codec}")
    print(f"workers: {plan.workers}")
    print(f"spans: {len(plan.spans)}")
    for span in plan.spans:
        start = float((span.start - info.pts[0]) * info.time_base)
        stop = float((span.stop - info.pts[0]) * info.time_base)
        print(f"  {span.index}: {start:.2f} s to {stop:.2f} s")
    for note in (*info.warnings, *plan.notes):
        print(f"warning: {note}")


if __name__ == "__main__":
    main()
