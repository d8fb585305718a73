"""Evaluation of face parsing: intersection over union (IoU) of each part, by face size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from facepipe.datatypes import CANVAS
from facepipe.errors import InputError
from facepipe.evaluation.tables import format_cell, markdown_table
from facepipe.models.networks.fishsrnet import load_guided
from facepipe.models.networks.parsingnet import PARTS, ParsingNet, ParsingTeacher
from facepipe.models.registry import find_model
from facepipe.models.weights import load_weights, read_weights
from facepipe.training.face_archive import IGNORED, FaceArchive, crop_canvas
from facepipe.training.reductions import bicubic_downscaled

#: The parts that the paper's map marks: the components of a face, without skin and hair.
COMPONENTS = ("brows", "eyes", "nose", "mouth")
BATCH = 16


def parsing_network(weights: Path | None) -> nn.Module:
    """Load the ParsingNet or teacher in `weights`; None: the ParsingNet of the default restorer."""
    if weights is None:
        return load_guided(find_model("fishsrnet").paths[0]).parsing
    is_teacher = read_weights(weights)[1].get("network") == "parsing-teacher"
    network: nn.Module = ParsingTeacher() if is_teacher else ParsingNet()
    load_weights(network, weights)
    return network


@dataclass(frozen=True)
class ParsingRow:
    """IoU in [0, 1] of each part, over all pixels of all faces of one size.

    `components` is the mean over brows, eyes, nose and mouth, `mean` that over all eight parts. A
    part that no mask contains is None and left out of both.
    """

    size: int  # px a side to which the canvas was reduced
    parts: dict[str, float | None]
    components: float
    mean: float


@dataclass(frozen=True)
class ParsingEvaluation:
    """IoU of one network on the same faces at several sizes."""

    faces: int
    rows: tuple[ParsingRow, ...]

    def to_markdown(self) -> str:
        """The metrics as a Markdown table."""
        rows = [
            [
                str(row.size),
                *(
                    format_cell(value, ".3f")
                    for value in (*row.parts.values(), row.components, row.mean)
                ),
            ]
            for row in self.rows
        ]
        lines = [f"Intersection over union, {self.faces} faces.", ""]
        return "\n".join(lines + markdown_table(["px", *PARTS, "components", "mean"], rows)) + "\n"


def evaluate_parsing(
    network: nn.Module,
    faces: FaceArchive,
    masks: FaceArchive,
    *,
    sizes: Sequence[int] = (16, 32, 64),
    limit: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> ParsingEvaluation:
    """IoU of `network` on the faces that have a mask of the same name, reduced to `sizes` px.

    `network` gives logits over PARTS (ParsingNet, or its teacher). Its probabilities are upscaled
    to the canvas, and the most probable part of each pixel is compared. Pixels without a label
    (outside the photograph) do not count. Raises InputError when no face has a mask.
    """
    pairs = _pairs(faces, masks)[:limit]
    if not pairs:
        raise InputError("no face has a mask of its name: names without suffix must agree")
    network.eval()
    intersections = np.zeros((len(sizes), len(PARTS)), np.int64)
    unions = np.zeros_like(intersections)
    for first in range(0, len(pairs), BATCH):
        chosen = pairs[first : first + BATCH]
        canvases = [crop_canvas(faces.face(number)[0]) for number, _ in chosen]
        labels = np.stack([crop_canvas(masks.mask(mask)) for _, mask in chosen])
        for k, size in enumerate(sizes):
            small = [bicubic_downscaled(canvas, size) for canvas in canvases]
            intersection, union = _overlaps(_predict_parts(network, small), labels)
            intersections[k] += intersection
            unions[k] += union
        if progress is not None:
            progress(first + len(chosen), len(pairs))
    rows = [
        _row(size, intersection, union)
        for size, intersection, union in zip(sizes, intersections, unions, strict=True)
    ]
    return ParsingEvaluation(len(pairs), tuple(rows))


def _pairs(faces: FaceArchive, masks: FaceArchive) -> list[tuple[int, int]]:
    """The numbers of each face that has a mask, and of its mask."""
    numbers = ((number, masks.number(name)) for number, name in enumerate(faces.names))
    return [(number, mask) for number, mask in numbers if mask is not None]


def _overlaps(
    predicted_parts: NDArray[np.integer], labels: NDArray[np.integer]
) -> tuple[list[int], list[int]]:
    """Pixels in the intersection and in the union of each part with its truth."""
    counted = labels != IGNORED
    masks = [((predicted_parts == part) & counted, labels == part) for part in range(len(PARTS))]
    intersections = [int(np.count_nonzero(predicted & true)) for predicted, true in masks]
    unions = [int(np.count_nonzero(predicted | true)) for predicted, true in masks]
    return intersections, unions


def _predict_parts(network: nn.Module, canvases: list[NDArray[np.uint8]]) -> NDArray[np.intp]:
    """The most probable part (N, 128, 128) of each pixel."""
    planes = torch.from_numpy(np.stack(canvases)).permute(0, 3, 1, 2).float() / 255
    with torch.inference_mode():
        probabilities = torch.softmax(network(planes), 1)
        upscaled = torch.nn.functional.interpolate(
            probabilities, size=(CANVAS, CANVAS), mode="bilinear"
        )
    return np.asarray(upscaled.argmax(1).numpy(), np.intp)


def _row(size: int, intersections: NDArray[np.int64], unions: NDArray[np.int64]) -> ParsingRow:
    parts = {
        name: float(one / other) if other else None
        for name, one, other in zip(PARTS, intersections.tolist(), unions.tolist(), strict=True)
    }
    known = {name: value for name, value in parts.items() if value is not None}
    components = [known[name] for name in COMPONENTS if name in known]
    return ParsingRow(
        size,
        parts,
        float(np.mean(components)) if components else 0.0,
        float(np.mean(list(known.values()))),
    )
