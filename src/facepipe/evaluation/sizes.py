"""Evaluation of restorers at every size: gain over bicubic of crisp and nearly crisp faces.

A table of faces of one size says nothing of the others: what a restorer gains at 16 px it may lose
at 96.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facepipe.datatypes import CANVAS, NEIGHBOUR_CHANNELS
from facepipe.errors import InputError, UsageError
from facepipe.evaluation.faces import BATCH, BICUBIC, evenly_spaced, restored_images
from facepipe.evaluation.metrics import measurable, psnr
from facepipe.evaluation.restorers import Restore
from facepipe.evaluation.tables import markdown_table
from facepipe.training.degradations import Rgb
from facepipe.training.face_archive import FaceArchive, crop_canvas
from facepipe.training.reductions import Reduction, reduced

#: Sizes of the protocol: px that the canvas spans.
SIZES = (12, 16, 24, 32, 48, 64, 96)
#: Its degradations by name; each face gets the size and a seed.
DEGRADATIONS: dict[str, Reduction] = {
    "bicubic": Reduction(0),
    "box": Reduction(0, Image.Resampling.BOX),
    "Hamming": Reduction(0, Image.Resampling.HAMMING),
    "Lanczos": Reduction(0, Image.Resampling.LANCZOS),
    "bilinear": Reduction(0, Image.Resampling.BILINEAR),
    "noise 2": Reduction(0, noise=2.0),
    "noise 2, JPEG 90": Reduction(0, noise=2.0, quality=90),
}


@dataclass(frozen=True)
class SizeRow:
    """Gains of one restorer on faces of one degradation, by size.

    `gains_db` is PSNR over RGB less that of bicubic, dB, the mean over all faces, in the order of
    `SizeEvaluation.sizes`. In the first rows, of bicubic itself, it is its PSNR.
    """

    name: str
    degradation: str
    gains_db: tuple[float, ...]


@dataclass(frozen=True)
class SizeEvaluation:
    """Gains of all restorers by size and degradation, on the same faces."""

    faces: int
    sizes: tuple[int, ...]
    rows: tuple[SizeRow, ...]

    @property
    def least(self) -> dict[str, float]:
        """The smallest gain of each restorer, dB: below 0 it does harm."""
        return {
            row.name: min(min(one.gains_db) for one in self.rows if one.name == row.name)
            for row in self.rows
            if row.name != BICUBIC
        }

    def to_markdown(self) -> str:
        """The gains as a Markdown table, a row for each restorer and degradation."""
        lines = [
            f"Protocol `sizes`, {self.faces} faces: PSNR of bicubic, then gains over it, dB RGB.",
            "",
            *markdown_table(
                ["restorer", "degradation", *(f"{size} px" for size in self.sizes)],
                [
                    [row.name, row.degradation, *(_cell(row, gain) for gain in row.gains_db)]
                    for row in self.rows
                ],
            ),
        ]
        lines += [
            f"\nSmallest gain of {name}: {gain:+.2f} dB." for name, gain in self.least.items()
        ]
        return "\n".join(lines) + "\n"


def evaluate_sizes(
    archive: FaceArchive,
    restorers: Mapping[str, Restore],
    *,
    limit: int | None = None,
    sizes: tuple[int, ...] = SIZES,
    progress: Callable[[int, int], None] | None = None,
) -> SizeEvaluation:
    """Measure every restorer on the faces of `archive`, at each size, in each of `DEGRADATIONS`.

    Faces are single: there are no neighbour frames. `limit` takes that many faces, evenly spaced.
    Noise depends on the face's number alone. `progress` is called with the cells done and the
    number of all. Raises UsageError, InputError for faces that cannot be used, ModelError for a
    restorer that returns no image.
    """
    if BICUBIC in restorers:
        raise UsageError("bicubic is always measured, leave it out of the restorers")
    numbers = evenly_spaced(len(archive), limit)
    truths, valids = _read(archive, numbers)
    gains: dict[tuple[str, str], list[float]] = {}
    done, cells = 0, len(sizes) * len(DEGRADATIONS)
    for degradation, pattern in DEGRADATIONS.items():
        for size in sizes:
            inputs = np.stack(
                [
                    reduced(truth, replace(pattern, size=size, seed=number))
                    for truth, number in zip(truths, numbers, strict=True)
                ]
            )
            base = _mean_psnr(inputs, truths, valids)
            gains.setdefault((BICUBIC, degradation), []).append(base)
            for name, restore in restorers.items():
                found = _mean_psnr(_restored(name, restore, inputs), truths, valids)
                gains.setdefault((name, degradation), []).append(found - base)
            done += 1
            if progress is not None:
                progress(done, cells)
    rows = tuple(
        SizeRow(name, degradation, tuple(gains[name, degradation]))
        for name in (BICUBIC, *restorers)
        for degradation in DEGRADATIONS
    )
    return SizeEvaluation(len(numbers), sizes, rows)


def _cell(row: SizeRow, gain: float) -> str:
    return f"{gain:.2f}" if row.name == BICUBIC else f"{gain:+.2f}"


def _read(archive: FaceArchive, numbers: list[int]) -> tuple[Rgb, NDArray[np.bool_]]:
    """The canvases (N, 128, 128, 3) and what of them counts (N, 128, 128)."""
    truths, valids = [], []
    for number in numbers:
        face, alpha = archive.face(number)
        valid = crop_canvas(alpha) > 127
        if not measurable(valid):
            raise InputError(f"{archive.names[number]}: no pixel inside the photograph (alpha 0)")
        truths.append(crop_canvas(face))
        valids.append(valid)
    return np.stack(truths), np.stack(valids)


def _restored(name: str, restore: Restore, canvases: Rgb) -> Rgb:
    """The restored canvases (N, 128, 128, 3), 16 at a time."""
    found = []
    for first in range(0, len(canvases), BATCH):
        pixels = canvases[first : first + BATCH].astype(np.float32) / np.float32(255)
        alone = np.zeros((len(pixels), CANVAS, CANVAS, NEIGHBOUR_CHANNELS), np.float32)
        found.append(restored_images(name, restore, np.concatenate([pixels, alone], 3)))
    return np.concatenate(found)


def _mean_psnr(images: Rgb, truths: Rgb, valids: NDArray[np.bool_]) -> float:
    triples = zip(images.astype(np.float32), truths.astype(np.float32), valids, strict=True)
    return float(np.mean([psnr(image, truth, valid) for image, truth, valid in triples]))
