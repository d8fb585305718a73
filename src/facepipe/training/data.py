"""Batches for training: every batch is a pure function of (seed, step).

That makes resuming exact: step k sees the same pictures whether or not the run was stopped.
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

from facepipe.datatypes import CANVAS, NEIGHBOUR_CHANNELS, SEQUENCE_LENGTH
from facepipe.errors import InputError
from facepipe.faces.restoration.fusion import fuse
from facepipe.models.networks.parsingnet import PARTS
from facepipe.training.degradations import (
    REACH,
    Sighted,
    bicubic_reduced,
    degrade,
    degrade_sequence,
    draw_degradation,
    softened,
)
from facepipe.training.face_archive import ALIGNED_SIZE, IGNORED, FaceArchive, canvas_of

#: Share of faces whose truth is itself soft, as most video is, and px of detail that it has.
_SOFT_SHARE = {"none": 0.35, "jpeg": 0.35, "h264": 0.7, "h265": 0.7}
_SOFT_SIZES = (30, 100)
#: Share of sequences that are coded as film mostly is; the rest shows how frames are best fused.
_FILM_SHARE = 0.5
#: Shares of faces without colour and of those in low light, and the weights of Rec. 601.
_GRAY_SHARE, _DARK_SHARE = 0.08, 0.08
_LUMA = np.array([[0.299, 0.587, 0.114]])
#: Share of sequences that lack frames on one side.
_CUT_SHORT = 0.15

_BESIDE = tuple(k for k in range(SEQUENCE_LENGTH) if k != REACH)


@dataclass(frozen=True)
class Batch:
    """One training batch; B faces.

    `inputs` and `truth` are (B, 3, 128, 128); `beside` (B, 7, 128, 128) float16 is what the frames
    beside add (`pipeline.fuse`), None where every face stands alone; `valid` (B, 1, 128, 128) is
    255 where the photograph has pixels. Pictures are bytes as they leave the loader, and in [0, 1]
    after `to`. `parts` (B, 8, S, S) float16 are shares of each class that sum to 1, or to 0
    where the class is unknown; it is empty (B, 0, 0, 0) when there are no masks.
    """

    inputs: Tensor
    beside: Tensor | None
    truth: Tensor
    valid: Tensor
    parts: Tensor

    def to(self, device: torch.device) -> Batch:
        """The same batch as floats on `device`, pictures in channels-last memory."""
        beside = self.beside
        return Batch(
            _floats(self.inputs, device).contiguous(memory_format=torch.channels_last),
            None if beside is None else beside.to(device, non_blocking=True).float(),
            _floats(self.truth, device).contiguous(memory_format=torch.channels_last),
            _floats(self.valid, device),
            self.parts.to(device, non_blocking=True).float(),
        )


class FaceBatches(Dataset[Batch]):
    """Batch number k for every k below `steps`.

    `exact_bicubic` is the share of faces reduced to 16 px by plain bicubic; the rest goes through
    drawn degradations, a share `sequences` of it with the frames beside. A share `clean` of all is
    not degraded. With `masks`, only faces that have one are used, and their parts come at
    `parse_size` px a side; InputError when none has. `share` (r, n) gives every n-th face of each
    batch from number r on: n processes together see what one would.
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
        masks: FaceArchive | None = None,
        parse_size: int = 64,
        share: tuple[int, int] = (0, 1),
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
        self._share = share

    def __len__(self) -> int:
        return self._steps

    def _number(self, draw: int) -> int:
        epoch, place = divmod(draw, len(self._numbers))
        return self._numbers[int(_order(self._seed, epoch, len(self._numbers))[place])]

    def __getitem__(self, step: int) -> Batch:
        inputs, besides, truths, valids, parts = [], [], [], [], []
        rank, world = self._share
        for k in range(rank, self._batch, world):
            rng = np.random.default_rng([self._seed, 1, step, k])
            number = self._number(step * self._batch + k)
            face, valid = self._faces.face(number)
            labels = None
            if self._masks is not None:
                label_number = self._masks.number(self._faces.names[number])
                assert label_number is not None
                labels = self._masks.mask(label_number)
            face, valid, labels = jitter(rng, face, valid, labels)
            beside = None
            if self._clean and rng.random() < self._clean:
                shown = canvas_of(face)
            elif rng.random() < self._exact_bicubic:
                shown = bicubic_reduced(canvas_of(face), 16)
            else:
                alone = rng.random() >= self._sequences
                film = not alone and rng.random() < _FILM_SHARE
                how = draw_degradation(rng, film=film)
                if rng.random() < _SOFT_SHARE[how.codec]:
                    face = softened(face, float(np.exp(rng.uniform(*np.log(_SOFT_SIZES)))))
                if alone:
                    shown = degrade(face, how)
                else:
                    sighted = degrade_sequence(face, how)
                    shown = sighted.canvases[REACH]
                    beside = what_is_beside(sighted, _frames_beside(rng))
            inputs.append(shown)
            besides.append(beside)
            truths.append(canvas_of(face))
            valids.append(np.where(canvas_of(valid) > 127, 255, 0).astype(np.uint8)[..., None])
            if labels is not None:
                parts.append(_shares(canvas_of(labels), self._parse_size))
        return Batch(
            _planes(inputs),
            _beside(besides) if self._sequences else None,
            _planes(truths),
            _planes(valids),
            torch.from_numpy(np.stack(parts)) if parts else torch.zeros(self._batch, 0, 0, 0),
        )


def batches(dataset: FaceBatches, *, first: int, workers: int) -> DataLoader[Batch]:
    """A loader of the batches from number `first` on, in order."""
    return DataLoader(
        dataset,
        batch_size=None,
        sampler=range(first, len(dataset)),
        num_workers=workers,
        worker_init_fn=_quiet_worker if workers else None,
        prefetch_factor=6 if workers else None,
        # One of its own, so that to begin again takes nothing from the network's chance.
        generator=torch.Generator(),
    )


def _quiet_worker(_: int) -> None:
    cv2.setNumThreads(0)
    torch.set_num_threads(1)


@lru_cache(maxsize=2)
def _order(seed: int, epoch: int, count: int) -> NDArray[np.intp]:
    return np.random.default_rng([seed, epoch]).permutation(count)


def jitter(
    rng: np.random.Generator,
    face: NDArray[np.uint8],
    valid: NDArray[np.uint8],
    labels: NDArray[np.uint8] | None,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8] | None]:
    """Mirror, misalign and relight one face, its validity and its labels alike.

    Left and right parts share a class, so a mirrored label needs no renaming.
    """
    if rng.random() < 0.5:
        face, valid = face[:, ::-1], valid[:, ::-1]
        labels = None if labels is None else labels[:, ::-1]
    face, valid = np.ascontiguousarray(face), np.ascontiguousarray(valid)
    if rng.random() < 0.75:
        middle = (ALIGNED_SIZE - 1) / 2
        warp = cv2.getRotationMatrix2D(
            (middle, middle), float(rng.normal(0, 4)), float(np.exp(rng.normal(0, 0.07)))
        )
        # Landmarks found on faces of 24 px stray by 1.4 to 2.4 px of the canvas, of others by more.
        warp[:, 2] = warp[:, 2] + rng.normal(0, 2.5, 2)
        size = (ALIGNED_SIZE, ALIGNED_SIZE)
        turned = cv2.warpAffine(
            face, warp, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
        )
        face = np.asarray(turned, np.uint8)
        valid = np.asarray(cv2.warpAffine(valid, warp, size, flags=cv2.INTER_NEAREST), np.uint8)
        if labels is not None:
            moved = cv2.warpAffine(
                np.ascontiguousarray(labels),
                warp,
                size,
                flags=cv2.INTER_NEAREST,
                borderMode=cv2.BORDER_CONSTANT,
                borderValue=IGNORED,
            )
            labels = np.asarray(moved, np.uint8)
    if rng.random() < 0.4:
        gain, gamma = np.exp(rng.normal(0, 0.2, 3) * [0.5, 1, 1]), np.exp(rng.normal(0, 0.4))
        cast = np.array([gain[1], 1.0, gain[2]]) ** 0.4 * gain[0]
        ramp = np.linspace(0, 1, 256)[:, None] ** gamma * cast
        haze = rng.uniform(0, 0.5)
        ramp = (1 - haze) * ramp + haze * rng.uniform(0, 1)
        table = np.clip(ramp * 255 + 0.5, 0, 255).astype(np.uint8)
        face = np.asarray(cv2.LUT(face, table[None]), np.uint8)
    if rng.random() < _GRAY_SHARE:
        # Film, and infrared, to which skin is brighter and eyes are darker than to the eye.
        weights = rng.dirichlet((6, 6, 2))[None] if rng.random() < 0.5 else _LUMA
        gray = np.asarray(cv2.transform(face, weights), np.uint8)
        face = np.repeat(gray.reshape(*gray.shape[:2], 1), 3, axis=2)
    if rng.random() < _DARK_SHARE:
        dark = np.exp(rng.uniform(np.log(0.12), np.log(0.5)))
        face = np.asarray(cv2.convertScaleAbs(face, alpha=float(dark)), np.uint8)
    return face, valid, labels


def _shares(labels: NDArray[np.uint8], size: int) -> NDArray[np.float16]:
    cell = CANVAS // size
    one_hot = (labels[None] == np.arange(len(PARTS))[:, None, None]).astype(np.float32)
    blocks = one_hot.reshape(len(PARTS), size, cell, size, cell).mean((2, 4))
    total = blocks.sum(0, keepdims=True)
    return np.where(total > 0.5, blocks / np.maximum(total, 1e-6), 0).astype(np.float16)


def what_is_beside(sighted: Sighted, numbers: Sequence[int] = _BESIDE) -> NDArray[np.float32]:
    """(128, 128, 7): what the frames of those numbers add to the middle one, fused as in film."""
    canvases = sighted.canvases.astype(np.float32) / np.float32(255)
    others = [(canvases[k], sighted.to_frame[k]) for k in numbers]
    return fuse(canvases[REACH], sighted.to_frame[REACH], others)


def _frames_beside(rng: np.random.Generator) -> list[int]:
    """Those that there are: near the end of a track, some are wanting on one side."""
    if rng.random() >= _CUT_SHORT:
        return list(_BESIDE)
    first = int(rng.integers(1, REACH + 1))
    way = 1 if rng.random() < 0.5 else -1
    return [k for k in _BESIDE if (k - REACH) * way < first]


def _beside(besides: list[NDArray[np.float32] | None]) -> Tensor:
    """(B, 7, 128, 128) float16, zero for faces that stand alone."""
    stacked = torch.zeros(len(besides), NEIGHBOUR_CHANNELS, CANVAS, CANVAS, dtype=torch.float16)
    for k, beside in enumerate(besides):
        if beside is not None:
            stacked[k] = torch.from_numpy(beside).permute(2, 0, 1)
    return stacked


def _planes(pictures: list[NDArray[np.uint8]]) -> Tensor:
    """(B, ..., C, H, W) from pictures (..., H, W, C)."""
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(np.stack(pictures), -1, -3)))


def _floats(bytes_: Tensor, device: torch.device) -> Tensor:
    return bytes_.to(device, non_blocking=True).float().div_(255)
