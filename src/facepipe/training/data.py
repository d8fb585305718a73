"""Training batches: each is a pure function of (seed, step).

So resuming is exact: step k sees the same images whether or not the run was interrupted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from facepipe.datatypes import CANVAS, NEIGHBOUR_CHANNELS, SEQUENCE_LENGTH, Float32
from facepipe.errors import InputError
from facepipe.faces.restoration.fusion import fuse
from facepipe.models.networks.parsingnet import PARTS
from facepipe.training.degradations import (
    SIDE_FRAMES,
    FaceSequence,
    Rgb,
    degrade,
    degrade_sequence,
    draw_degradation,
    soften,
)
from facepipe.training.face_archive import ALIGNED_SIZE, IGNORED, FaceArchive, crop_canvas
from facepipe.training.reductions import bicubic_downscaled, draw_crisp, reduced

#: Share of faces whose truth is softened, as most video is soft, by codec; and px of detail it
#: keeps.
_SOFT_SHARES = {"none": 0.35, "jpeg": 0.35, "h264": 0.7, "h265": 0.7}
_SOFT_SIZES = (30, 100)
#: Share of sequences that are coded as typical videos are; the others teach how to fuse frames.
_VIDEO_SHARE = 0.5
#: Shares of grey faces and of faces in low light; and the luma weights of BT.601.
_GREY_SHARE, _DARK_SHARE = 0.08, 0.08
_LUMA = np.array([[0.299, 0.587, 0.114]])
#: Share of sequences that lack neighbour frames on one side.
_ONE_SIDED_SHARE = 0.15

#: Share of faces whose landmarks are off by more, and how many times as much.
_WIDE_JITTER_SHARE, _WIDE_JITTER = 0.25, 2.0

_NEIGHBOURS = tuple(k for k in range(SEQUENCE_LENGTH) if k != SIDE_FRAMES)


@dataclass(frozen=True)
class Batch:
    """One training batch; B faces.

    `inputs` and `truth` are (B, 3, 128, 128). `neighbours` (B, 7, 128, 128) float16 holds the fused
    neighbour frames (`faces.restoration.fusion`), None where no face has any. `valid`
    (B, 1, 128, 128) is 255 inside the photograph. Images are uint8 as they leave the loader, and
    float in [0, 1] after `to`. `parts` (B, 8, S, S) float16 are shares of each class that sum to 1,
    or to 0 where the class is unknown; it is empty (B, 0, 0, 0) without masks.
    """

    inputs: Tensor
    neighbours: Tensor | None
    truth: Tensor
    valid: Tensor
    parts: Tensor

    def to(self, device: torch.device) -> Batch:
        """Move the batch to `device` as floats, images in channels-last memory."""
        neighbours = self.neighbours
        return Batch(
            _to_floats(self.inputs, device).contiguous(memory_format=torch.channels_last),
            None if neighbours is None else neighbours.to(device, non_blocking=True).float(),
            _to_floats(self.truth, device).contiguous(memory_format=torch.channels_last),
            _to_floats(self.valid, device),
            self.parts.to(device, non_blocking=True).float(),
        )


@dataclass(frozen=True, eq=False)
class _Sample:
    """One face of a batch: images (128, 128, C) uint8, and the others as in Batch."""

    degraded: Rgb
    neighbours: Float32 | None
    truth: Rgb
    valid: Rgb
    parts: NDArray[np.float16] | None


class FaceBatches(Dataset[Batch]):
    """Dataset of `steps` batches, addressed by step.

    `exact_bicubic` is the share of faces reduced to 16 px by plain bicubic, `crisp` that of crisp
    and nearly crisp faces (`crisp_large` of these have 48 px and more), `clean` that of faces that
    are not degraded. The others get random degradations, a share `sequences` of them with neighbour
    frames. Where shares add up to more than 1, clean counts before exact, exact before crisp. With
    `masks`, only faces that have one are used, and their parts come at `parse_size` px a side;
    InputError when none has. `shard` (rank, world) takes every world-th face of each batch from
    number rank on: all processes together see the whole batch.
    """

    def __init__(
        self,
        faces: FaceArchive,
        *,
        batch: int,
        steps: int,
        seed: int,
        exact_bicubic: float,
        sequences: float = 0.0,
        clean: float = 0.0,
        crisp: float = 0.0,
        crisp_large: float = 0.5,
        masks: FaceArchive | None = None,
        parse_size: int = 64,
        shard: tuple[int, int] = (0, 1),
    ) -> None:
        self._faces = faces
        self._masks = masks
        self._numbers = [
            k
            for k, name in enumerate(faces.names)
            if masks is None or masks.number(name) is not None
        ]
        if not self._numbers:
            raise InputError("no face has a mask of its name: names without suffix must agree")
        self._batch, self._steps, self._seed = batch, steps, seed
        self._exact_bicubic, self._sequences = exact_bicubic, sequences
        self._clean, self._parse_size = clean, parse_size
        self._crisp, self._crisp_large = crisp, crisp_large
        self._shard = shard

    def __len__(self) -> int:
        return self._steps

    def _number(self, draw: int) -> int:
        epoch, place = divmod(draw, len(self._numbers))
        return self._numbers[int(_permutation(self._seed, epoch, len(self._numbers))[place])]

    def __getitem__(self, step: int) -> Batch:
        rank, world = self._shard
        samples = [self._sample(step, k) for k in range(rank, self._batch, world)]
        parts = [sample.parts for sample in samples if sample.parts is not None]
        return Batch(
            _to_planes([sample.degraded for sample in samples]),
            _stack_neighbours([s.neighbours for s in samples]) if self._sequences else None,
            _to_planes([sample.truth for sample in samples]),
            _to_planes([sample.valid for sample in samples]),
            torch.from_numpy(np.stack(parts)) if parts else torch.zeros(self._batch, 0, 0, 0),
        )

    def _sample(self, step: int, place: int) -> _Sample:
        """Face number `place` of batch `step`, augmented and degraded."""
        rng = np.random.default_rng([self._seed, 1, step, place])
        number = self._number(step * self._batch + place)
        face, valid = self._faces.face(number)
        labels = None
        if self._masks is not None:
            label_number = self._masks.number(self._faces.names[number])
            assert label_number is not None
            labels = self._masks.mask(label_number)
        face, valid, labels = augment(rng, face, valid, labels)
        degraded, neighbours, face = self._degrade(rng, face)
        return _Sample(
            degraded,
            neighbours,
            crop_canvas(face),
            np.where(crop_canvas(valid) > 127, 255, 0).astype(np.uint8)[..., None],
            None if labels is None else _part_shares(crop_canvas(labels), self._parse_size),
        )

    def _degrade(self, rng: np.random.Generator, face: Rgb) -> tuple[Rgb, Float32 | None, Rgb]:
        """A degraded canvas, its fused neighbour frames, and the face that is its truth."""
        drawn = rng.random()
        if drawn < self._clean:
            return crop_canvas(face), None, face
        drawn -= self._clean
        if drawn < self._exact_bicubic:
            return bicubic_downscaled(crop_canvas(face), 16), None, face
        if drawn - self._exact_bicubic < self._crisp:
            return reduced(crop_canvas(face), draw_crisp(rng, self._crisp_large)), None, face
        single = rng.random() >= self._sequences
        video = not single and rng.random() < _VIDEO_SHARE
        degradation = draw_degradation(rng, video=video)
        if rng.random() < _SOFT_SHARES[degradation.codec]:
            face = soften(face, float(np.exp(rng.uniform(*np.log(_SOFT_SIZES)))))
        if single:
            return degrade(face, degradation), None, face
        sequence = degrade_sequence(face, degradation)
        neighbours = fuse_neighbours(sequence, _draw_neighbours(rng))
        return sequence.canvases[SIDE_FRAMES], neighbours, face


def batches(dataset: FaceBatches, *, order: Sequence[int], workers: int) -> DataLoader[Batch]:
    """A loader of the batches of those numbers, in that order."""
    return DataLoader(
        dataset,
        batch_size=None,
        sampler=order,
        num_workers=workers,
        worker_init_fn=_single_threaded if workers else None,
        prefetch_factor=6 if workers else None,
        # A generator of its own, so that resuming does not advance PyTorch's global one.
        generator=torch.Generator(),
    )


def _single_threaded(_: int) -> None:
    cv2.setNumThreads(0)
    torch.set_num_threads(1)


@lru_cache(maxsize=2)
def _permutation(seed: int, epoch: int, count: int) -> NDArray[np.intp]:
    return np.random.default_rng([seed, epoch]).permutation(count)


def augment(
    rng: np.random.Generator, face: Rgb, valid: NDArray[np.uint8], labels: NDArray[np.uint8] | None
) -> tuple[Rgb, NDArray[np.uint8], NDArray[np.uint8] | None]:
    """Augment one face, its validity and its labels: mirror, affine jitter, light and colour.

    Left and right parts share a class, so a mirrored label needs no renaming.
    """
    if rng.random() < 0.5:
        face, valid = face[:, ::-1], valid[:, ::-1]
        labels = None if labels is None else labels[:, ::-1]
    face, valid = np.ascontiguousarray(face), np.ascontiguousarray(valid)
    if rng.random() < 0.75:
        face, valid, labels = _jitter(rng, face, valid, labels)
    return _relight(rng, face), valid, labels


def _jitter(
    rng: np.random.Generator, face: Rgb, valid: NDArray[np.uint8], labels: NDArray[np.uint8] | None
) -> tuple[Rgb, NDArray[np.uint8], NDArray[np.uint8] | None]:
    """A random similarity about the middle: rotation, scale and shift."""
    middle = (ALIGNED_SIZE - 1) / 2
    # Landmarks detected on faces of 24 px are off by 1.4 to 2.4 canvas px, on others by more.
    spread = _WIDE_JITTER if rng.random() < _WIDE_JITTER_SHARE else 1.0
    warp = cv2.getRotationMatrix2D(
        (middle, middle),
        float(rng.normal(0, 4 * spread)),
        float(np.exp(rng.normal(0, 0.07 * spread))),
    )
    warp[:, 2] = warp[:, 2] + rng.normal(0, 2.5 * spread, 2)
    size, nearest = (ALIGNED_SIZE, ALIGNED_SIZE), cv2.INTER_NEAREST
    warped = cv2.warpAffine(face, warp, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    valid = np.asarray(cv2.warpAffine(valid, warp, size, flags=nearest), np.uint8)
    if labels is not None:
        moved = cv2.warpAffine(
            np.ascontiguousarray(labels),
            warp,
            size,
            flags=nearest,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=IGNORED,
        )
        labels = np.asarray(moved, np.uint8)
    return np.asarray(warped, np.uint8), valid, labels


def _relight(rng: np.random.Generator, face: Rgb) -> Rgb:
    """Random gain, gamma, white balance and haze; some faces grey, some dark."""
    if rng.random() < 0.4:
        gain, gamma = np.exp(rng.normal(0, 0.2, 3) * [0.5, 1, 1]), np.exp(rng.normal(0, 0.4))
        channel_gain = np.array([gain[1], 1.0, gain[2]]) ** 0.4 * gain[0]
        curve = np.linspace(0, 1, 256)[:, None] ** gamma * channel_gain
        haze = rng.uniform(0, 0.5)
        curve = (1 - haze) * curve + haze * rng.uniform(0, 1)
        table = np.clip(curve * 255 + 0.5, 0, 255).astype(np.uint8)
        face = np.asarray(cv2.LUT(face, table[None]), np.uint8)
    if rng.random() < _GREY_SHARE:
        # Black-and-white film, and infrared, in which skin is brighter and eyes are darker.
        weights = rng.dirichlet((6, 6, 2))[None] if rng.random() < 0.5 else _LUMA
        grey = np.asarray(cv2.transform(face, weights), np.uint8)
        face = np.repeat(grey.reshape(*grey.shape[:2], 1), 3, axis=2)
    if rng.random() < _DARK_SHARE:
        brightness = np.exp(rng.uniform(np.log(0.12), np.log(0.5)))
        face = np.asarray(cv2.convertScaleAbs(face, alpha=float(brightness)), np.uint8)
    return face


def _part_shares(labels: NDArray[np.uint8], size: int) -> NDArray[np.float16]:
    cell = CANVAS // size
    one_hot = (labels[None] == np.arange(len(PARTS))[:, None, None]).astype(np.float32)
    shares = one_hot.reshape(len(PARTS), size, cell, size, cell).mean((2, 4))
    total = shares.sum(0, keepdims=True)
    return np.where(total > 0.5, shares / np.maximum(total, 1e-6), 0).astype(np.float16)


def fuse_neighbours(sequence: FaceSequence, numbers: Sequence[int] = _NEIGHBOURS) -> Float32:
    """Fuse the neighbour frames of those numbers for the middle frame: (128, 128, 7) float32."""
    canvases = sequence.canvases.astype(np.float32) / np.float32(255)
    others = [(canvases[k], sequence.to_frame[k]) for k in numbers]
    return fuse(canvases[SIDE_FRAMES], sequence.to_frame[SIDE_FRAMES], others)


def _draw_neighbours(rng: np.random.Generator) -> list[int]:
    """Draw which neighbour frames exist: near the ends of a track, some of one side are missing."""
    if rng.random() >= _ONE_SIDED_SHARE:
        return list(_NEIGHBOURS)
    first = int(rng.integers(1, SIDE_FRAMES + 1))
    direction = 1 if rng.random() < 0.5 else -1
    return [k for k in _NEIGHBOURS if (k - SIDE_FRAMES) * direction < first]


def _stack_neighbours(of_faces: list[Float32 | None]) -> Tensor:
    """Stack to (B, 7, 128, 128) float16, zero for faces without neighbour frames."""
    stacked = torch.zeros(len(of_faces), NEIGHBOUR_CHANNELS, CANVAS, CANVAS, dtype=torch.float16)
    for k, neighbours in enumerate(of_faces):
        if neighbours is not None:
            stacked[k] = torch.from_numpy(neighbours).permute(2, 0, 1)
    return stacked


def _to_planes(images: list[NDArray[np.uint8]]) -> Tensor:
    """Stack images (..., H, W, C) to a tensor (B, ..., C, H, W)."""
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(np.stack(images), -1, -3)))


def _to_floats(bytes_: Tensor, device: torch.device) -> Tensor:
    return bytes_.to(device, non_blocking=True).float().div_(255)
