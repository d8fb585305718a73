"""How well restorers bring back the faces of an archive, beside plain bicubic on the same faces.

Three protocols. `bicubic8`: the canvas reduced to 16 px by antialiased bicubic, the degradation of
the papers. `blind`: a degradation drawn for each face as footage has it (blur, noise, codec), the
same at every run. `sequence`: the same, with the two frames before and after as the restorer's
further input, and each restorer without them in a row of its own. Pixels outside the source
photograph (alpha 0) count in no figure.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import Literal, TypeVar, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from facepipe.errors import InputError, ModelError, OutputError, UsageError
from facepipe.frames import SEQUENCE, Crops
from facepipe.models.restorers import create_restorer
from facepipe.models.runtime import Device
from facepipe.training.degradations import (
    CANVAS,
    bicubic_reduced,
    degrade,
    degrade_sequence,
    draw_degradation,
)
from facepipe.training.faces import MARGIN, FaceArchive
from facepipe.training.metrics import Fidelity, measurable, measure
from facepipe.training.stlpips import StLpips, find_stlpips_weights, load_stlpips

Protocol = Literal["bicubic8", "blind", "sequence"]
#: (N, 5, 128, 128, 3) float32 RGB in [0, 1], frames by time, to the middle ones (N, 128, 128, 3).
RestoreFrames = Callable[[NDArray[np.float32]], NDArray[np.float32]]
Rgb = NDArray[np.uint8]
Number = TypeVar("Number", np.uint8, np.float32)

BICUBIC = "bicubic"
BATCH = 16
_SMALL = 16  # px a side of the face in bicubic8
_NO_ST_LPIPS = "ST-LPIPS was left out: the optional package stlpips-pytorch is not installed."


@dataclass(frozen=True)
class Row:
    """One restorer's figures, means over the faces of each face's figure.

    PSNR in dB, SSIM at most 1 (higher is better); `st_lpips` (lower is better) is None where it
    was not measured; `milliseconds` a face, in batches of 16; `gain_db` is the PSNR over RGB above
    bicubic's.
    """

    name: str
    psnr_rgb: float
    ssim_rgb3d: float
    psnr_y: float
    ssim_y: float
    st_lpips: float | None
    milliseconds: float
    gain_db: float


@dataclass(frozen=True)
class Evaluation:
    """The figures of all restorers on the same faces; the first row is bicubic, the input."""

    protocol: Protocol
    faces: int
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()

    def to_json(self) -> str:
        """The figures as an indented JSON object."""
        return json.dumps(asdict(self), indent=2, allow_nan=False) + "\n"

    def to_markdown(self) -> str:
        """The figures as a table, with what was measured above it and the notes below."""
        lines = [
            f"Protocol `{self.protocol}`, {self.faces} faces.",
            "",
            "| restorer | PSNR RGB | SSIM RGB | PSNR Y | SSIM Y | ST-LPIPS | ms a face | gain dB |",
            "|---|---:|---:|---:|---:|---:|---:|---:|",
        ]
        for row in self.rows:
            distance = "-" if row.st_lpips is None else f"{row.st_lpips:.4f}"
            lines.append(
                f"| {row.name} | {row.psnr_rgb:.2f} | {row.ssim_rgb3d:.4f} | {row.psnr_y:.2f} "
                f"| {row.ssim_y:.4f} | {distance} | {row.milliseconds:.1f} | {row.gain_db:+.2f} |"
            )
        lines += [f"\n{note}" for note in self.notes]
        return "\n".join(lines) + "\n"


@dataclass(frozen=True, eq=False)
class _Faces:
    """A batch: `frames` (N, 5, 128, 128, 3) and `truths` (N, 128, 128, 3) uint8, and what counts.

    `valid` (N, 128, 128) bool.
    """

    frames: Rgb
    truths: Rgb
    valid: NDArray[np.bool_]


def evaluate_faces(
    archive: FaceArchive,
    restorers: Mapping[str, RestoreFrames],
    *,
    protocol: Protocol,
    limit: int | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Measure every restorer, and bicubic before them, on the faces of `archive`.

    `limit` takes that many faces, evenly spaced. Degradations of `blind` depend on `seed` and the
    face's number alone, so a limit does not change them. `progress` hears faces done and in all.
    Pictures are rounded to 8 bits before they are measured, as a file would hold them.
    Raises UsageError, InputError for faces that cannot be used, ModelError for a restorer that
    gives back no picture.
    """
    _check(restorers, protocol)
    numbers = evenly_spaced(len(archive), limit)
    weights = find_stlpips_weights()
    perceptual = None if weights is None else load_stlpips(weights)
    every: dict[str, RestoreFrames] = {BICUBIC: _middle, **_rows(restorers, protocol)}
    figures: dict[str, list[tuple[float, ...]]] = {name: [] for name in every}
    distances: dict[str, list[float]] = {name: [] for name in every}
    seconds = dict.fromkeys(every, 0.0)
    done = 0
    for chosen in _batches(numbers):
        faces = _faces(archive, chosen, protocol=protocol, seed=seed)
        for name, restore in every.items():
            if not done:  # a first call pays for what is set up once
                _restored(name, restore, faces.frames[:1])
            begun = time.perf_counter()
            restored = _restored(name, restore, faces.frames)
            seconds[name] += time.perf_counter() - begun
            triples = zip(restored, faces.truths, faces.valid, strict=True)
            figures[name] += [astuple(measure(*triple)) for triple in triples]
            if perceptual is not None:
                distances[name] += _distances(perceptual, restored, faces)
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
        )
        for name, mean in means.items()
    )
    notes = () if perceptual is not None else (_NO_ST_LPIPS,)
    return Evaluation(protocol, len(numbers), rows, notes)


def restoring(name: str, *, device: Device = "auto", mirrored: bool = False) -> RestoreFrames:
    """The restorer `name` as a row; arguments and errors are those of `create_restorer`."""
    restorer = create_restorer(name, device=device, threads=2, mirrored=mirrored)

    def restore(frames: NDArray[np.float32]) -> NDArray[np.float32]:
        count = len(frames)
        numbers = count + np.arange(count * SEQUENCE).reshape(count, SEQUENCE)
        numbers[:, SEQUENCE // 2] = np.arange(count)
        nowhere, beside = np.zeros(count, np.intp), frames.reshape(-1, *frames.shape[2:])
        to_frame = np.zeros((count, 2, 3))
        crops = Crops(_middle(frames), to_frame, nowhere, nowhere, numbers, beside)
        return restorer(crops).pixels

    return restore


def write_sheet(
    path: Path,
    archive: FaceArchive,
    restorers: Mapping[str, RestoreFrames],
    *,
    protocol: Protocol,
    faces: int = 12,
    seed: int = 0,
) -> None:
    """Write a PNG to look at: a row for each of some evenly spaced faces.

    Columns: the input, each restorer, the truth. Raises as `evaluate_faces` does, and OutputError
    when `path` cannot be written.
    """
    _check(restorers, protocol)
    chosen = evenly_spaced(len(archive), faces)
    rows = _rows(restorers, protocol)
    columns: dict[str, list[Rgb]] = {name: [] for name in ("input", *rows, "truth")}
    for numbers in _batches(chosen):
        batch = _faces(archive, numbers, protocol=protocol, seed=seed)
        columns["input"] += list(_middle(batch.frames))
        for name, restore in rows.items():
            columns[name] += list(_restored(name, restore, batch.frames))
        columns["truth"] += list(batch.truths)
    body = np.concatenate([np.concatenate(pictures, 0) for pictures in columns.values()], 1)
    heading = Image.new("RGB", (body.shape[1], 16), "white")
    pen = ImageDraw.Draw(heading)
    for place, name in enumerate(columns):
        pen.text((place * CANVAS + 4, 2), name, fill="black")
    sheet = Image.fromarray(np.concatenate([np.asarray(heading), body], 0))
    partial = path.with_name(path.name + ".partial")
    try:
        sheet.save(partial, format="PNG")
        partial.replace(path)
    except OSError as error:
        raise OutputError(f"{path}: the sheet cannot be written ({error})") from error


def evenly_spaced(count: int, limit: int | None) -> list[int]:
    """At most `limit` of the numbers 0 .. count - 1, spread over all of them.

    Archives are sorted by name and so by source: the first ones alone would not speak for all.
    """
    if limit is not None and limit < 1:
        raise UsageError(f"the number of faces must be at least 1, got {limit}")
    wanted = count if limit is None else min(limit, count)
    return [place * count // wanted for place in range(wanted)]


def degraded_frames(face: Rgb, protocol: Protocol, *, number: int, seed: int = 0) -> Rgb:
    """The canvases (5, 128, 128, 3) that a restorer is given for the aligned face (160, 160, 3)."""
    how = draw_degradation(np.random.default_rng([seed, number]))
    if protocol == "sequence":
        return degrade_sequence(face, how)
    alone = degrade(face, how) if protocol == "blind" else bicubic_reduced(_canvas(face), _SMALL)
    return np.repeat(alone[None], SEQUENCE, 0)


def _rows(restorers: Mapping[str, RestoreFrames], protocol: Protocol) -> dict[str, RestoreFrames]:
    if protocol != "sequence":
        return dict(restorers)
    rows: dict[str, RestoreFrames] = {}
    for name, restore in restorers.items():
        rows[f"{name}, one frame"] = _one_frame(restore)
        rows[name] = restore
    return rows


def _one_frame(restore: RestoreFrames) -> RestoreFrames:
    return lambda frames: restore(np.repeat(_middle(frames)[:, None], SEQUENCE, 1))


def _middle(frames: NDArray[Number]) -> NDArray[Number]:
    return frames[:, SEQUENCE // 2]


def _check(restorers: Mapping[str, RestoreFrames], protocol: str) -> None:
    if protocol not in get_args(Protocol):
        raise UsageError(f"protocol {protocol}: there are {', '.join(get_args(Protocol))}")
    if BICUBIC in restorers:
        raise UsageError("bicubic is always measured, leave it out of the restorers")


def _batches(numbers: list[int]) -> Iterator[list[int]]:
    for first in range(0, len(numbers), BATCH):
        yield numbers[first : first + BATCH]


def _canvas(face: Rgb) -> Rgb:
    return face[MARGIN : MARGIN + CANVAS, MARGIN : MARGIN + CANVAS]


def _faces(
    archive: FaceArchive, numbers: Sequence[int], *, protocol: Protocol, seed: int
) -> _Faces:
    frames, truths, valids = [], [], []
    for number in numbers:
        face, alpha = archive.face(number)
        valid = alpha[MARGIN : MARGIN + CANVAS, MARGIN : MARGIN + CANVAS] > 127
        if not measurable(valid):
            raise InputError(f"{archive.names[number]}: no pixel inside the photograph (alpha 0)")
        frames.append(degraded_frames(face, protocol, number=number, seed=seed))
        truths.append(_canvas(face))
        valids.append(valid)
    return _Faces(np.stack(frames), np.stack(truths), np.stack(valids))


def _restored(name: str, restore: RestoreFrames, frames: Rgb) -> Rgb:
    restored = restore(frames.astype(np.float32) / np.float32(255))
    if restored.shape != _middle(frames).shape or not np.isfinite(restored).all():
        raise ModelError(f"{name}: gave back {restored.shape}, or values that are no numbers")
    return (np.clip(restored, 0, 1) * 255 + 0.5).astype(np.uint8)


def _distances(perceptual: StLpips, restored: Rgb, faces: _Faces) -> list[float]:
    """ST-LPIPS a face; pixels outside the photograph are made equal first."""
    shown = np.where(faces.valid[..., None], restored, faces.truths)
    with torch.inference_mode():
        return [float(d) for d in perceptual(_planes(shown), _planes(faces.truths))]


def _planes(pictures: Rgb) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(pictures.transpose(0, 3, 1, 2))).float() / 255
