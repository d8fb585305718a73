"""Batches for training: every batch is a pure function of (seed, step).

That makes resuming exact: step k sees the same pictures whether or not the run was stopped.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from facepipe.errors import InputError
from facepipe.models.networks.parsingnet import PARTS
from facepipe.training.degradations import (
    CANVAS,
    bicubic_reduced,
    degrade,
    draw_degradation,
    softened,
)
from facepipe.training.faces import ALIGNED_SIZE, MARGIN, FaceArchive

PARSE_SIZE = 32
#: Share of faces whose truth is itself soft, as most video is, and px of detail that it has.
_SOFT_SHARE = {"none": 0.35, "jpeg": 0.35, "h264": 0.85}
_SOFT_SIZES = (30, 100)
_IGNORED = 255


@dataclass(frozen=True)
class Batch:
    """One training batch; B faces.

    `inputs` and `truth` are (B, 3, 128, 128) in [0, 1], `valid` (B, 1, 128, 128) is 1 where the
    photograph has pixels; `parts` (B, 8, 32, 32) are shares of each class that sum to 1, or to 0
    where the class is unknown; it is empty (B, 0, 0, 0) when there are no masks.
    """

    inputs: Tensor
    truth: Tensor
    valid: Tensor
    parts: Tensor

    def to(self, device: torch.device) -> Batch:
        """The same batch on `device`, pictures in channels-last memory."""
        return Batch(
            self.inputs.to(device, memory_format=torch.channels_last, non_blocking=True),
            self.truth.to(device, memory_format=torch.channels_last, non_blocking=True),
            self.valid.to(device, non_blocking=True),
            self.parts.to(device, non_blocking=True),
        )


class FaceBatches(Dataset[Batch]):
    """Batch number k for every k below `steps`.

    `exact_bicubic` is the share of faces reduced to 16 px by plain bicubic; the rest goes through
    drawn degradations. With `masks`, only faces that have one are used; InputError when none has.
    """

    def __init__(
        self,
        faces: FaceArchive,
        *,
        batch: int,
        steps: int,
        seed: int,
        exact_bicubic: float,
        masks: FaceArchive | None = None,
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
        self._exact_bicubic = exact_bicubic

    def __len__(self) -> int:
        return self._steps

    def _number(self, draw: int) -> int:
        epoch, place = divmod(draw, len(self._numbers))
        order = np.random.default_rng([self._seed, epoch]).permutation(len(self._numbers))
        return self._numbers[int(order[place])]

    def __getitem__(self, step: int) -> Batch:
        rng = np.random.default_rng([self._seed, 1, step])
        inputs, truths, valids, parts = [], [], [], []
        for k in range(self._batch):
            number = self._number(step * self._batch + k)
            face, valid = self._faces.face(number)
            labels = None
            if self._masks is not None:
                label_number = self._masks.number(self._faces.names[number])
                assert label_number is not None
                labels = self._masks.mask(label_number)
            face, valid, labels = jitter(rng, face, valid, labels)
            inner = np.s_[MARGIN : MARGIN + CANVAS, MARGIN : MARGIN + CANVAS]
            if rng.random() < self._exact_bicubic:
                degraded = bicubic_reduced(face[inner], 16)
            else:
                how = draw_degradation(rng)
                if rng.random() < _SOFT_SHARE[how.codec]:
                    face = softened(face, float(np.exp(rng.uniform(*np.log(_SOFT_SIZES)))))
                degraded = degrade(face, how)
            truth = face[inner]
            inputs.append(degraded)
            truths.append(truth)
            valids.append(valid[inner])
            if labels is not None:
                parts.append(_shares(labels[inner]))
        return Batch(
            _planes(inputs),
            _planes(truths),
            torch.from_numpy(np.stack(valids)[:, None] > 127).float(),
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
    )


def _quiet_worker(_: int) -> None:
    cv2.setNumThreads(0)
    torch.set_num_threads(1)


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
    if rng.random() < 0.6:
        middle = (ALIGNED_SIZE - 1) / 2
        warp = cv2.getRotationMatrix2D(
            (middle, middle), float(rng.normal(0, 4)), float(np.exp(rng.normal(0, 0.05)))
        )
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
                borderValue=_IGNORED,
            )
            labels = np.asarray(moved, np.uint8)
    if rng.random() < 0.3:
        gain, gamma = np.exp(rng.normal(0, 0.2, 3) * [0.5, 1, 1]), np.exp(rng.normal(0, 0.3))
        cast = np.array([gain[1], 1.0, gain[2]]) ** 0.4 * gain[0]
        ramp = np.linspace(0, 1, 256)[:, None] ** gamma * cast
        haze = rng.uniform(0, 0.4)
        ramp = (1 - haze) * ramp + haze * rng.uniform(0, 1)
        table = np.clip(ramp * 255 + 0.5, 0, 255).astype(np.uint8)
        face = np.asarray(cv2.LUT(face, table[None]), np.uint8)
    if rng.random() < 0.06:
        gray = np.asarray(cv2.cvtColor(face, cv2.COLOR_RGB2GRAY), np.uint8)
        face = np.repeat(gray[..., None], 3, axis=2)
    return face, valid, labels


def _shares(labels: NDArray[np.uint8]) -> NDArray[np.float32]:
    cell = CANVAS // PARSE_SIZE
    one_hot = (labels[None] == np.arange(len(PARTS))[:, None, None]).astype(np.float32)
    blocks = one_hot.reshape(len(PARTS), PARSE_SIZE, cell, PARSE_SIZE, cell).mean((2, 4))
    total = blocks.sum(0, keepdims=True)
    return np.where(total > 0.5, blocks / np.maximum(total, 1e-6), 0).astype(np.float32)


def _planes(pictures: list[NDArray[np.uint8]]) -> Tensor:
    stacked = np.ascontiguousarray(np.stack(pictures).transpose(0, 3, 1, 2))
    return torch.from_numpy(stacked).float().div_(255)
