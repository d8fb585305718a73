"""The commands `train`, `align`, `label` and `export`: from faces to a network that ships."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


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


def align(
    photographs: Annotated[list[Path], typer.Argument(help="photographs, or folders of them")],
    output: Annotated[Path, typer.Option("--output", "-o", help="the zip of faces to write")],
) -> None:
    """Cut aligned faces out of photographs, for `train` and `evaluate faces`."""
    from tqdm import tqdm

    from facepipe.training.align import align_photographs

    with tqdm(unit="photograph") as bar:

        def report(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        count = align_photographs(photographs, output, progress=report)
    print(f"{output}: {count} faces")


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


COMMANDS = (train, align, label, export)
