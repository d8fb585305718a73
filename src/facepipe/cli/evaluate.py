"""The commands `evaluate ...`: quality measured where the truth is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from facepipe.cli.commands import Command, Group
from facepipe.cli.options import Device
from facepipe.cli.results import EvaluationResult
from facepipe.errors import UsageError
from facepipe.models.registry import CHECKPOINTS

if TYPE_CHECKING:
    from facepipe.evaluation.protocols import FaceProtocol as Degraded
    from facepipe.evaluation.restorers import Candidate, Cost
    from facepipe.evaluation.tables import Evaluation

evaluate_app = typer.Typer(
    cls=Group,
    help="Measure quality on data with known truth.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)


class FaceProtocol(StrEnum):
    bicubic8 = "bicubic8"
    bicubic4 = "bicubic4"
    blind = "blind"
    sequence = "sequence"
    sizes = "sizes"


JsonFile = Annotated[Path | None, typer.Option("--figures", help="write the figures here, as JSON")]
MarkdownFile = Annotated[Path | None, typer.Option("--markdown", help="write the table here")]


@evaluate_app.command("faces", cls=Command)
def evaluate_faces(
    faces: Annotated[Path, typer.Argument(help="folder or zip of aligned faces")],
    protocol: Annotated[FaceProtocol, typer.Option(help="how the faces are made small")],
    restorer: Annotated[
        list[str] | None,
        typer.Option(help="a row: a restorer or trained weights; may be repeated [fishsrnet]"),
    ] = None,
    limit: Annotated[int | None, typer.Option(help="only so many faces", min=1)] = None,
    output: JsonFile = None,
    markdown: MarkdownFile = None,
    sheet: Annotated[Path | None, typer.Option(help="write a sheet of images here")] = None,
    worst: Annotated[bool, typer.Option("--worst", help="a sheet of the least gains")] = False,
    mirrored: Annotated[bool, typer.Option("--mirrored", help="as profile thorough does")] = False,
    device: Annotated[Device, typer.Option()] = Device.auto,
) -> EvaluationResult:
    """Compare restorers with bicubic enlargement on faces whose original is known."""
    from facepipe.evaluation.faces import evaluate_faces as evaluate
    from facepipe.evaluation.faces import write_sheet
    from facepipe.evaluation.restorers import load_candidate
    from facepipe.evaluation.sizes import evaluate_sizes
    from facepipe.training.face_archive import FaceArchive

    if sheet and protocol is FaceProtocol.sizes:
        raise UsageError("--sheet draws faces of one protocol; --protocol sizes has no sheet")
    entrants = [
        (_row_name(name), load_candidate(name, device=device.value, mirrored=mirrored))
        for name in restorer or ["fishsrnet"]
    ]
    rows = {name: one.restore for name, one in entrants}
    archive = FaceArchive([faces])
    if protocol is FaceProtocol.sizes:
        return _report(evaluate_sizes(archive, rows, limit=limit), output, markdown)
    chosen = cast("Degraded", protocol.value)
    costs = _costs(entrants)
    result = evaluate(archive, rows, protocol=chosen, costs=costs, limit=limit)
    figures = _report(result, output, markdown)
    if sheet:
        names = result.worst if worst else ()
        write_sheet(sheet, archive, rows, protocol=chosen, names=names)
    return figures


def _costs(entrants: Sequence[tuple[str, Candidate]]) -> dict[str, Cost]:
    """What each row costs, of those that tell it."""
    return {name: one.cost for name, one in entrants if one.cost}


def _report(
    result: Evaluation | Sequence[Evaluation], output: Path | None, markdown: Path | None
) -> EvaluationResult:
    """Print the tables of `result`; write them to `output` as JSON, to `markdown` as they are."""
    from facepipe.evaluation.tables import as_json, write_text

    several = result if isinstance(result, Sequence) else [result]
    tables = "\n".join(one.to_markdown() for one in several)
    print(tables)
    if output:
        write_text(as_json(result), output)
    if markdown:
        write_text(tables, markdown)
    return EvaluationResult(tuple(asdict(one) for one in several))


def _row_name(restorer: str) -> str:
    path = Path(restorer)
    return path.stem if path.suffix.lower() in (".safetensors", ".onnx", *CHECKPOINTS) else restorer


@evaluate_app.command("parsing", cls=Command)
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
) -> EvaluationResult:
    """Measure ParsingNet against masks: intersection over union of every part, by face size."""
    from facepipe.evaluation.parsing import evaluate_parsing as evaluate
    from facepipe.evaluation.parsing import parsing_network
    from facepipe.training.face_archive import FaceArchive

    result = evaluate(
        parsing_network(weights),
        FaceArchive([faces]),
        FaceArchive([masks]),
        sizes=tuple(size or (16, 32, 64)),
        limit=limit,
    )
    return _report(result, output, markdown)


@evaluate_app.command("video", cls=Command)
def evaluate_video(
    videos: Annotated[list[Path], typer.Argument(help="clips in which faces are large")],
    restorer: Annotated[
        list[str] | None, typer.Option(help="a row; may be repeated [fishsrnet]")
    ] = None,
    face: Annotated[float, typer.Option(help="px to which faces are reduced", min=8)] = 24,
    scale: Annotated[int, typer.Option(help="enlargement: 1, 2 or 4")] = 4,
    crf: Annotated[int, typer.Option(help="x264's constant quality", min=0, max=51)] = 28,
    frames: Annotated[int, typer.Option(help="only so many from the first", min=2)] = 90,
    output: JsonFile = None,
    markdown: MarkdownFile = None,
) -> EvaluationResult:
    """Measure facepipe on clips that are made small and coded, against the original clips."""
    from facepipe.configs.settings import load_settings
    from facepipe.evaluation.video import evaluate_video as evaluate

    settings = load_settings(overrides={"output.scale": scale})
    found = [
        evaluate(video, restorer or ["fishsrnet"], settings, face_px=face, crf=crf, frames=frames)
        for video in videos
    ]
    figures = _report(found, output, markdown)
    if len(found) > 1:
        for row in range(1, len(found[0].rows)):
            gains = [one.rows[row].gain_db for one in found]
            print(f"{found[0].rows[row].name}: {sum(gains) / len(gains):+.2f} dB on average")
    return figures


@evaluate_app.command("crowd", cls=Command)
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
    frames: Annotated[int, typer.Option(help="length of the video", min=4)] = 150,
    count: Annotated[int, typer.Option("--count", help="faces in a shot", min=1)] = 12,
    smallest: Annotated[float, typer.Option(help="px of the frame", min=6)] = 10,
    largest: Annotated[float, typer.Option(help="px of the frame", max=70)] = 44,
    motion: Annotated[float, typer.Option(help="0: faces at rest, 1: people who walk", min=0)] = 1,
    noise: Annotated[float, typer.Option(help="sigma, code values", min=0)] = 2,
    crf: Annotated[int, typer.Option(help="x264's constant quality", min=0, max=51)] = 26,
    seed: Annotated[int, typer.Option(help="another crowd for every number")] = 0,
    output: JsonFile = None,
    markdown: MarkdownFile = None,
) -> EvaluationResult:
    """Measure facepipe on a drawn crowd: faces found, followed and restored, against the truth."""
    from facepipe.configs.settings import load_settings
    from facepipe.evaluation.assets import (
        portrait,
        read_faces,
        read_images,
        sample_backgrounds,
    )
    from facepipe.evaluation.crowd import evaluate_crowd as evaluate
    from facepipe.evaluation.synthetic_crowd import Crowd, CrowdSettings

    plan = CrowdSettings(
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
        read_images(background) if background else sample_backgrounds(),
        plan,
    )
    settings = load_settings(overrides={"output.scale": scale})
    result = evaluate(crowd, settings, restorer or ["fishsrnet"])
    return _report(result, output, markdown)
