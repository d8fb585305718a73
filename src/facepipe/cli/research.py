"""The commands for those who train networks and measure them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from facepipe.cli.options import Device, Protocol

if TYPE_CHECKING:
    from torch import nn

    from facepipe.evaluation.tables import Figures

models_app = typer.Typer(help="The networks that facepipe knows.", invoke_without_command=True)
evaluate_app = typer.Typer(help="Measure quality on data with known truth.", no_args_is_help=True)

JsonFile = Annotated[Path | None, typer.Option("--json", help="write the figures here")]
MarkdownFile = Annotated[Path | None, typer.Option("--markdown", help="write the table here")]


@models_app.callback()
def models(ctx: typer.Context) -> None:
    """The networks that facepipe knows."""
    if ctx.invoked_subcommand is None:
        list_models()


@models_app.command("list")
def list_models() -> None:
    """The networks that ship and those of the comparison: size, cost, source and licence."""
    from facepipe.models.registry import PARSER, RESTORERS, SYSTEMS

    for spec in (*RESTORERS, PARSER):
        names = ", also ".join((spec.name, *spec.aliases))
        print(f"{names}: {spec.summary}")
        print(f"  {spec.parameters / 1e6:.2f} M parameters, {spec.gmacs:.2f} GMACs a face")
        print(f"  licence: {spec.licence}")
        for file, digest in spec.files:
            print(f"  {file} sha256 {digest}")
    print("\nNetworks of the comparison: `facepipe train` makes their weights, none ship.")
    for system in SYSTEMS:
        print(f"{system.name}: {system.source}")
        print(f"  {system.parameters / 1e6:.2f} M parameters, {system.gmacs:.2f} GMACs a face")
    print("[26] of the paper's slides: not to be had, for they do not say what it is")


def train(
    recipe: Annotated[Path, typer.Argument(help="a TOML recipe, see docs/training.md")],
    workers: Annotated[
        int | None, typer.Option(help="processes or GPUs, through Ray Train", min=1)
    ] = None,
    ray: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="a Ray cluster [this machine]")
    ] = None,
) -> None:
    """Train a network by a recipe; the same command goes on where a stopped run left off."""
    from facepipe.configs.training import load_recipe

    settings = load_recipe(recipe)
    if workers or ray:
        from facepipe.training.distributed import train_on_workers

        train_on_workers(settings, workers=workers or 1, address=ray)
        print(f"{settings.out}: weights, log and sheets")
        return
    from facepipe.training.loop import train as steps

    for at in steps(settings):
        print(at, flush=True)
    print(f"{settings.out}: weights, log and sheets")


def label(
    faces: Annotated[list[Path], typer.Argument(help="folders or zips of aligned faces")],
    teacher: Annotated[Path, typer.Option(help="weights of a parsing-teacher (.safetensors)")],
    output: Annotated[Path, typer.Option("--output", "-o", help="the zip of masks to write")],
) -> None:
    """Label the parts of many faces with a teacher that was trained on few."""
    from tqdm import tqdm

    from facepipe.models.networks.parsingnet import ParsingTeacher
    from facepipe.models.weights import load_weights
    from facepipe.training.face_archive import FaceArchive
    from facepipe.training.label import label as write

    network = ParsingTeacher()
    load_weights(network, teacher)
    archive = FaceArchive(faces)
    with tqdm(total=len(archive), unit="face") as bar:

        def tell(done: int, _all: int) -> None:
            bar.update(done - bar.n)

        write(network, archive, output, progress=tell)
    print(f"{output}: {len(archive)} masks")


def export(
    parsing: Annotated[Path, typer.Option(help="ParsingNet weights (.safetensors)")],
    restore: Annotated[Path, typer.Option(help="FishSRNet weights (.safetensors)")],
    output: Annotated[Path, typer.Option("--output", "-o", help="NAME.safetensors to write")],
    mix: Annotated[
        Path | None, typer.Option(help="FishSRNet weights to mix in, of the same lineage")
    ] = None,
    share: Annotated[float, typer.Option(help="their share", min=0, max=1)] = 0.5,
) -> None:
    """Join two trained networks into one restorer: NAME.safetensors and its graphs."""
    from facepipe.training.export import export as join

    for path, digest in join(parsing, restore, output, mix=mix, share=share):
        print(f"{path} sha256 {digest}")


COMMANDS = (train, label, export)


@evaluate_app.command("faces")
def evaluate_faces(
    faces: Annotated[Path, typer.Argument(help="folder or zip of aligned faces")],
    protocol: Annotated[Protocol, typer.Option(help="how the faces are made small")],
    restorer: Annotated[
        list[str] | None,
        typer.Option(help="a row: a restorer or trained weights; may be repeated [fishsrnet]"),
    ] = None,
    limit: Annotated[int | None, typer.Option(help="only so many faces", min=1)] = None,
    output: JsonFile = None,
    markdown: MarkdownFile = None,
    sheet: Annotated[Path | None, typer.Option(help="write a sheet of pictures here")] = None,
    worst: Annotated[bool, typer.Option("--worst", help="a sheet of the least gains")] = False,
    mirrored: Annotated[bool, typer.Option("--mirrored", help="as profile thorough does")] = False,
    device: Annotated[Device, typer.Option()] = Device.auto,
) -> None:
    """Restorers against bicubic enlargement on faces whose truth is known."""
    from facepipe.evaluation.faces import evaluate_faces as evaluate
    from facepipe.evaluation.faces import write_sheet
    from facepipe.evaluation.restorers import entrant
    from facepipe.training.face_archive import FaceArchive

    entrants = {
        _row_name(name): entrant(name, device=device.value, mirrored=mirrored)
        for name in restorer or ["fishsrnet"]
    }
    rows = {name: one.restore for name, one in entrants.items()}
    costs = {name: one.cost for name, one in entrants.items() if one.cost}
    archive = FaceArchive([faces])
    result = evaluate(archive, rows, protocol=protocol.value, costs=costs, limit=limit)
    _tell(result, output, markdown)
    if sheet:
        names = result.worst if worst else ()
        write_sheet(sheet, archive, rows, protocol=protocol.value, names=names)


def _tell(result: Figures | Sequence[Figures], output: Path | None, markdown: Path | None) -> None:
    """Print the tables of `result`, and write them where that was asked for."""
    from facepipe.evaluation.tables import as_json, write

    several = result if isinstance(result, Sequence) else [result]
    tables = "\n".join(one.to_markdown() for one in several)
    print(tables)
    if output:
        write(output, as_json(result))
    if markdown:
        write(markdown, tables)


def _row_name(restorer: str) -> str:
    return Path(restorer).stem if restorer.endswith(".safetensors") else restorer


@evaluate_app.command("parsing")
def evaluate_parsing(
    faces: Annotated[Path, typer.Argument(help="folder or zip of aligned faces")],
    masks: Annotated[Path, typer.Option(help="folder or zip of parsing masks, same names")],
    weights: Annotated[
        Path | None, typer.Option(help="a ParsingNet or its teacher [the default restorer's]")
    ] = None,
    size: Annotated[
        list[int] | None, typer.Option(help="px a side; may be repeated [16, 32, 64]", min=4)
    ] = None,
    limit: Annotated[int | None, typer.Option(help="only so many faces", min=1)] = None,
    output: JsonFile = None,
    markdown: MarkdownFile = None,
) -> None:
    """ParsingNet against masks: intersection over union of every part, by the face's size."""
    from facepipe.evaluation.parsing import evaluate_parsing as evaluate
    from facepipe.models.networks.fishsrnet import guided_fishsrnet
    from facepipe.models.networks.parsingnet import ParsingNet, ParsingTeacher
    from facepipe.models.registry import find_model
    from facepipe.models.weights import load_weights, read_weights
    from facepipe.training.face_archive import FaceArchive

    if weights is None:
        guided = guided_fishsrnet()
        load_weights(guided, find_model("fishsrnet").paths[0])
        network: nn.Module = guided.parsing
    else:
        teaches = read_weights(weights)[1].get("network") == "parsing-teacher"
        network = ParsingTeacher() if teaches else ParsingNet()
        load_weights(network, weights)
    result = evaluate(
        network,
        FaceArchive([faces]),
        FaceArchive([masks]),
        sizes=tuple(size or (16, 32, 64)),
        limit=limit,
    )
    _tell(result, output, markdown)


@evaluate_app.command("video")
def evaluate_video(
    films: Annotated[list[Path], typer.Argument(help="clips in which faces are large")],
    restorer: Annotated[
        list[str] | None, typer.Option(help="a row; may be repeated [fishsrnet]")
    ] = None,
    face: Annotated[float, typer.Option(help="px to which faces are reduced", min=8)] = 24,
    scale: Annotated[int, typer.Option(help="enlargement: 1, 2 or 4")] = 4,
    crf: Annotated[int, typer.Option(help="x264's constant quality", min=0, max=51)] = 28,
    frames: Annotated[int, typer.Option(help="only so many from the first", min=2)] = 90,
    output: JsonFile = None,
    markdown: MarkdownFile = None,
) -> None:
    """The whole of facepipe on clips that are made small and coded, against what they were."""
    from facepipe.configs.settings import load_settings
    from facepipe.evaluation.video import evaluate_film

    settings = load_settings(overrides={"output.scale": scale})
    found = [
        evaluate_film(
            film, restorer or ["fishsrnet"], settings, face_px=face, crf=crf, frames=frames
        )
        for film in films
    ]
    _tell(found, output, markdown)
    if len(found) > 1:
        for row in range(1, len(found[0].rows)):
            gains = [one.rows[row].gain_db for one in found]
            print(f"{found[0].rows[row].name}: {sum(gains) / len(gains):+.2f} dB in the mean")


@evaluate_app.command("crowd")
def evaluate_crowd(
    faces: Annotated[
        list[Path] | None, typer.Argument(help="folders or zips of aligned faces [one portrait]")
    ] = None,
    background: Annotated[
        list[Path] | None, typer.Option(help="a photograph without faces; may be repeated")
    ] = None,
    restorer: Annotated[
        list[str] | None, typer.Option(help="a row; may be repeated [fishsrnet]")
    ] = None,
    scale: Annotated[int, typer.Option(help="enlargement: 1, 2 or 4")] = 2,
    frames: Annotated[int, typer.Option(help="length of the film", min=4)] = 150,
    count: Annotated[int, typer.Option("--count", help="faces in a shot", min=1)] = 12,
    smallest: Annotated[float, typer.Option(help="px of the film", min=6)] = 10,
    largest: Annotated[float, typer.Option(help="px of the film", max=70)] = 44,
    motion: Annotated[float, typer.Option(help="0: faces at rest, 1: people who walk", min=0)] = 1,
    noise: Annotated[float, typer.Option(help="sigma, code values", min=0)] = 2,
    crf: Annotated[int, typer.Option(help="x264's constant quality", min=0, max=51)] = 26,
    seed: Annotated[int, typer.Option(help="another crowd for every number")] = 0,
    output: JsonFile = None,
    markdown: MarkdownFile = None,
) -> None:
    """The whole of facepipe among faces whose places are known: found, followed, restored."""
    from facepipe.configs.settings import load_settings
    from facepipe.evaluation.assets import (
        installed_photographs,
        portrait,
        read_faces,
        read_photographs,
    )
    from facepipe.evaluation.crowd import evaluate_crowd as evaluate
    from facepipe.evaluation.synthetic_crowd import Crowd, Plan

    plan = Plan(
        faces=count,
        frames=frames,
        sizes=(smallest, max(largest, smallest)),
        motion=motion,
        noise=noise,
        crf=crf,
        seed=seed,
    )
    crowd = Crowd(
        read_faces(faces, 2 * count) if faces else [portrait()],
        read_photographs(background) if background else installed_photographs(),
        plan,
    )
    settings = load_settings(overrides={"output.scale": scale})
    _tell(evaluate(crowd, settings, restorer or ["fishsrnet"]), output, markdown)
