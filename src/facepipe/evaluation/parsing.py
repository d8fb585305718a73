"""How well ParsingNet finds the parts of faces that are small: intersection over union."""

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
from facepipe.evaluation.tables import cell, table
from facepipe.models.networks.fishsrnet import guided_fishsrnet
from facepipe.models.networks.parsingnet import PARTS, ParsingNet, ParsingTeacher
from facepipe.models.registry import find_model
from facepipe.models.weights import load_weights, read_weights
from facepipe.training.degradations import bicubic_reduced
from facepipe.training.face_archive import IGNORED, FaceArchive, canvas_of

#: What the paper's map marks: the components of a face, without skin, hair and surroundings.
COMPONENTS = ("brows", "eyes", "nose", "mouth")
BATCH = 16


def parsing_network(weights: Path | None) -> nn.Module:
    """A ParsingNet or its teacher, by what `weights` holds; None: the default restorer's own."""
    if weights is None:
        guided = guided_fishsrnet()
        load_weights(guided, find_model("fishsrnet").paths[0])
        return guided.parsing
    teaches = read_weights(weights)[1].get("network") == "parsing-teacher"
    network: nn.Module = ParsingTeacher() if teaches else ParsingNet()
    load_weights(network, weights)
    return network


@dataclass(frozen=True)
class ParsingRow:
    """Intersection over union in [0, 1] of each part, over all pixels of all faces of one size.

    `components` is the mean over brows, eyes, nose and mouth, `mean` over all eight parts; a part
    that no mask holds is None and left out of both.
    """

    size: int  # px a side to which the canvas was reduced
    parts: dict[str, float | None]
    components: float
    mean: float


@dataclass(frozen=True)
class ParsingEvaluation:
    """The figures of one network on the same faces at several sizes."""

    faces: int
    rows: tuple[ParsingRow, ...]

    def to_markdown(self) -> str:
        """The figures as a table."""
        rows = [
            [
                str(row.size),
                *(cell(value, ".3f") for value in (*row.parts.values(), row.components, row.mean)),
            ]
            for row in self.rows
        ]
        lines = [f"Intersection over union, {self.faces} faces.", ""]
        return "\n".join(lines + table(["px", *PARTS, "components", "mean"], rows)) + "\n"


def evaluate_parsing(
    network: nn.Module,
    faces: FaceArchive,
    masks: FaceArchive,
    *,
    sizes: Sequence[int] = (16, 32, 64),
    limit: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> ParsingEvaluation:
    """Measure `network` on the faces that have a mask of their name, reduced to `sizes` px.

    `network` gives logits over PARTS (ParsingNet, or its teacher). They are enlarged to the canvas,
    where the most likely part of each pixel is
    compared. Places without a label (outside the photograph) do not count. Raises InputError when
    no face has a mask.
    """
    pairs = [
        (number, mask)
        for number, name in enumerate(faces.names)
        if (mask := masks.number(name)) is not None
    ][:limit]
    if not pairs:
        raise InputError("no face has a mask of its name: names without suffix must agree")
    network.eval()
    both = np.zeros((len(sizes), len(PARTS)), np.int64)
    either = np.zeros_like(both)
    for first in range(0, len(pairs), BATCH):
        chosen = pairs[first : first + BATCH]
        canvases = [canvas_of(faces.face(number)[0]) for number, _ in chosen]
        labels = np.stack([canvas_of(masks.mask(mask)) for _, mask in chosen])
        for k, size in enumerate(sizes):
            found = _parts(network, [bicubic_reduced(canvas, size) for canvas in canvases])
            for part in range(len(PARTS)):
                said, true = (found == part) & (labels != IGNORED), labels == part
                both[k, part] += np.count_nonzero(said & true)
                either[k, part] += np.count_nonzero(said | true)
        if progress is not None:
            progress(first + len(chosen), len(pairs))
    rows = [
        _row(size, both_of, either_of)
        for size, both_of, either_of in zip(sizes, both, either, strict=True)
    ]
    return ParsingEvaluation(len(pairs), tuple(rows))


def _parts(network: nn.Module, canvases: list[NDArray[np.uint8]]) -> NDArray[np.intp]:
    """(N, 128, 128): the most likely part of each pixel."""
    planes = torch.from_numpy(np.stack(canvases)).permute(0, 3, 1, 2).float() / 255
    with torch.inference_mode():
        likely = torch.softmax(network(planes), 1)
        large = torch.nn.functional.interpolate(likely, size=(CANVAS, CANVAS), mode="bilinear")
    return np.asarray(large.argmax(1).numpy(), np.intp)


def _row(size: int, both: NDArray[np.int64], either: NDArray[np.int64]) -> ParsingRow:
    parts = {
        name: float(one / other) if other else None
        for name, one, other in zip(PARTS, both.tolist(), either.tolist(), strict=True)
    }
    known = {name: value for name, value in parts.items() if value is not None}
    components = [known[name] for name in COMPONENTS if name in known]
    return ParsingRow(
        size,
        parts,
        float(np.mean(components)) if components else 0.0,
        float(np.mean(list(known.values()))),
    )
