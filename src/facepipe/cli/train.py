"""The commands `train`, `align`, `label` and `export`: from faces to a network that ships."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from facepipe.cli.results import ArchiveResult, ExportResult, TrainResult, WeightsFile
from facepipe.configs.training import copy_recipe, find_recipe, load_recipe, shipped_recipes
from facepipe.errors import UsageError


def train(
    recipe: Annotated[
        str | None,
        typer.Argument(metavar="RECIPE", help="a TOML file, or the name of a recipe that ships"),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="processes or GPUs, through Ray Train", min=1)
    ] = None,
    ray: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="a Ray cluster [this machine]")
    ] = None,
    list_recipes: Annotated[
        bool, typer.Option("--list", help="list the recipes that ship, and do nothing else")
    ] = False,
    copy: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="copy a recipe that ships to this folder, to edit it"),
    ] = None,
) -> TrainResult:
    """Train a network by a recipe (docs/training.md); the same command goes on after a stop."""
    if list_recipes:
        recipes = {name: _summary(path) for name, path in shipped_recipes().items()}
        for name, summary in recipes.items():
            print(f"{name}: {summary}")
        return TrainResult("listed", recipes=recipes)
    if copy is not None:
        copied = copy_recipe(copy, Path())
        print(copied)
        return TrainResult("copied", copied)
    if recipe is None:
        raise UsageError("train needs a RECIPE; facepipe train --list names those that ship")
    settings = load_recipe(find_recipe(recipe))
    if workers or ray:
        from facepipe.training.distributed import train_on_workers

        train_on_workers(settings, workers=workers or 1, address=ray)
    else:
        from facepipe.training.loop import train as steps

        for step in steps(settings):
            print(step, flush=True)
    print(f"{settings.out}: weights, log and sheets")
    return TrainResult("trained", settings.out)


def _summary(recipe: Path) -> str:
    """The first line of a recipe, which says what it is."""
    return recipe.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")


def align(
    photographs: Annotated[list[Path], typer.Argument(help="photographs, or folders of them")],
    output: Annotated[Path, typer.Option("--output", "-o", help="the zip of faces to write")],
) -> ArchiveResult:
    """Cut aligned faces out of photographs, for `train` and `evaluate faces`."""
    from tqdm import tqdm

    from facepipe.training.align import align_photographs

    with tqdm(unit="photograph") as bar:

        def advance(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        count = align_photographs(photographs, output, progress=advance)
    print(f"{output}: {count} faces")
    return ArchiveResult(output, count)


def label(
    faces: Annotated[list[Path], typer.Argument(help="folders or zips of aligned faces")],
    teacher: Annotated[Path, typer.Option(help="weights of a parsing-teacher (.safetensors)")],
    output: Annotated[Path, typer.Option("--output", "-o", help="the zip of masks to write")],
) -> ArchiveResult:
    """Label the parts of many faces with a teacher that was trained on few."""
    from tqdm import tqdm

    from facepipe.models.networks.parsingnet import ParsingTeacher
    from facepipe.models.weights import load_weights
    from facepipe.training.face_archive import FaceArchive
    from facepipe.training.label import label as write_labels

    network = ParsingTeacher()
    load_weights(network, teacher)
    archive = FaceArchive(faces)
    with tqdm(total=len(archive), unit="face") as bar:

        def advance(done: int, _total: int) -> None:
            bar.update(done - bar.n)

        write_labels(network, archive, output, progress=advance)
    print(f"{output}: {len(archive)} masks")
    return ArchiveResult(output, len(archive))


def export(
    parsing: Annotated[Path, typer.Option(help="ParsingNet weights (.safetensors)")],
    restore: Annotated[Path, typer.Option(help="FishSRNet weights (.safetensors)")],
    output: Annotated[Path, typer.Option("--output", "-o", help="NAME.safetensors to write")],
    mix: Annotated[
        Path | None, typer.Option(help="FishSRNet weights to mix in, of the same lineage")
    ] = None,
    share: Annotated[float, typer.Option(help="their share", min=0, max=1)] = 0.5,
) -> ExportResult:
    """Join two trained networks into one restorer: NAME.safetensors and its graphs."""
    from facepipe.training.export import export as join

    written = join(parsing, restore, output, mix=mix, share=share)
    for path, digest in written:
        print(f"{path} sha256 {digest}")
    return ExportResult(tuple(WeightsFile(str(path), digest) for path, digest in written))
