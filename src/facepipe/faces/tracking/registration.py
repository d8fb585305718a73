"""Registration of faces from frame to frame, by their pixels, to parts of a pixel.

Landmarks of a tiny face tremble by several percent of its size; its motion can be measured far
better. So each detected face is followed through the frames after it by a similarity transform
(inverse compositional: Baker and Matthews, "Lucas-Kanade 20 years on", IJCV 2004), up to the next
detection frame.
"""

from __future__ import annotations

import math
from copy import copy
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from facepipe.datatypes import Faces, Float32, Frame
from facepipe.faces.noise import median

Map = NDArray[np.float64]

#: Px a side of the patches that are compared, at least and at most; else those of the frame.
_LEAST, _MOST = 14, 40
#: Share of a box's longer side that a patch covers.
_COVERS = 1.0
#: Sigma of the Gaussian window that weighs a patch, share of its side.
_SIGMA = 0.3
_ROUNDS = 12
#: Difference of an outlier pixel, in medians.
_OUTLIER = 3.0
#: Px of a correction below which a patch has converged; growth plus turn from which it diverges.
_CONVERGED, _DIVERGED = 0.02, 0.35
#: Correlation from which a patch counts as found again, and below which it is searched for.
_FOUND, _DOUBTFUL = 0.6, 0.85
#: The reach of that search: px of the patch, and share of its side.
_SEARCH, _SEARCH_SHARE = 4, 0.35
#: Ridge on turn and growth, relative to the patch's gradients: a tiny face shows little of them.
_RIDGE = 0.02


def luma_levels(frame: Frame) -> Float32:
    """(H, W) the frame's luma in code values of 8 bits."""
    return frame.luma.astype(np.float32) / np.float32(1 << (frame.format.bits - 8))


class Follower:
    """Follows the faces of one frame through the frames that are given to it."""

    def __init__(self, luma_HW: Float32, faces: Faces) -> None:
        self._patches = [_patch(luma_HW, box) for box in faces.boxes.astype(np.float64)]
        self._rest()

    def anew(self) -> Follower:
        """One that begins again at the first frame."""
        other = copy(self)
        other._rest()
        return other

    def _rest(self) -> None:
        self._maps: list[_Similarity | None] = [_STAYS for _ in self._patches]
        self._steps = [0j for _ in self._patches]

    def step(self, luma_HW: Float32) -> Map:
        """(N, 2, 3) maps from points of the first frame to this one; NaN once a face is lost."""
        for number, (patch, last) in enumerate(zip(self._patches, self._maps, strict=True)):
            if last is None:
                continue
            found = _registered(patch, luma_HW, last.moved(self._steps[number]))
            self._maps[number] = found
            if found is not None:
                self._steps[number] = found.to(patch.middle) - last.to(patch.middle)
        lost = np.full((2, 3), np.nan)
        return np.array([lost if m is None else m.matrix() for m in self._maps]).reshape(-1, 2, 3)


class _Similarity(NamedTuple):
    """A similarity transform of points x + iy: turned and scaled by `turn`, then moved by `shift`.

    Complex numbers, as Gauss-Newton composes thousands of them: arrays so small are slow.
    """

    turn: complex
    shift: complex

    def to(self, point: complex) -> complex:
        """Where it takes a point."""
        return self.turn * point + self.shift

    def after(self, first: _Similarity) -> _Similarity:
        """The transform that applies `first`, then this one."""
        return _Similarity(self.turn * first.turn, self.to(first.shift))

    def moved(self, shift: complex) -> _Similarity:
        """The transform that applies this one, then moves by `shift`."""
        return _Similarity(self.turn, self.shift + shift)

    def inverse(self) -> _Similarity:
        """The transform back."""
        return _Similarity(1 / self.turn, -self.shift / self.turn)

    def matrix(self) -> Map:
        """(2, 3): the same as an affine map."""
        turn, shift = self
        return np.array(
            [[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]], np.float64
        )


_STAYS = _Similarity(1 + 0j, 0j)


@dataclass(frozen=True, eq=False)
class _Patch:
    """The pixels (n, n) of a face in its detection frame, normalized, and their gradients.

    `to_frame` takes its px to the frame, its centre to `middle`. `gradients` (4, n * n) are the
    derivatives by growth, turn and shift about the patch's centre; `ridge` (4, 4) regularizes the
    first two.
    """

    pixels: Float32
    weights: Float32
    to_frame: _Similarity
    middle: complex
    gradients: Float32
    ridge: NDArray[np.float64]


def _patch(luma_HW: Float32, box: NDArray[np.float64]) -> _Patch:
    side = max(float((box[2:] - box[:2]).max()) * _COVERS, 4.0)
    count = int(np.clip(round(side), _LEAST, _MOST))
    step = side / count
    x, y = ((box[:2] + box[2:]) / 2).tolist()
    middle = complex(x, y)
    to_frame = _Similarity(complex(step), middle - step * (count - 1) / 2 * (1 + 1j))
    weights, across_px, down_px = _window(count)
    pixels = _normalized(_sampled(luma_HW, to_frame, count), weights)
    down, across = np.gradient(pixels)
    gradients = np.stack(
        (
            across * across_px + down * down_px,
            down * across_px - across * down_px,
            across,
            down,
        )
    ).reshape(4, -1)
    shifts = (gradients[2:] ** 2 * weights.ravel()).sum()
    # The ridge is relative to the change that a shift makes.
    spread = float((weights * (across_px * across_px + down_px * down_px)).sum())
    strength = _RIDGE * spread / 2 * float(shifts)
    ridge = np.diag([strength, strength, 0, 0]) + np.eye(4) * 1e-6
    return _Patch(pixels, weights, to_frame, middle, gradients.astype(np.float32), ridge)


@cache
def _window(count: int) -> tuple[Float32, NDArray[np.float64], NDArray[np.float64]]:
    """(count, count) the weights of a patch, and how far right and down its px are of its centre.

    Each is made once, as there are few sizes.
    """
    off = np.arange(count) - (count - 1) / 2
    window = np.exp(-0.5 * (off / (_SIGMA * count)) ** 2)
    weights = np.outer(window, window)
    down_px, across_px = np.meshgrid(off, off, indexing="ij")
    return (weights / weights.sum()).astype(np.float32), across_px, down_px


def _registered(patch: _Patch, luma_HW: Float32, guess: _Similarity) -> _Similarity | None:
    """The map near `guess` under which the frame shows the patch, None: it does not."""
    face, correlation = _refined(patch, luma_HW, guess)
    if correlation < _DOUBTFUL:
        other, better = _refined(patch, luma_HW, _searched(patch, luma_HW, guess))
        if better > correlation:
            face, correlation = other, better
    return face if correlation >= _FOUND else None


def _refined(patch: _Patch, luma_HW: Float32, guess: _Similarity) -> tuple[_Similarity, float]:
    """The map that Gauss-Newton steps lead to from `guess`, and its correlation in [-1, 1]."""
    count = len(patch.pixels)
    middle = (count - 1) / 2 * (1 + 1j)
    to_frame = guess.after(patch.to_frame)
    for _ in range(_ROUNDS):
        seen = _normalized(_sampled(luma_HW, to_frame, count), patch.weights)
        growth, turn, across, down = _step(patch, seen)
        if not abs(growth) + abs(turn) < _DIVERGED:
            return guess, -1.0
        # The step is taken in the patch, so its inverse is put before the map.
        back = 1 / complex(1 + growth, turn)
        to_frame = to_frame.after(
            _Similarity(back, -back * complex(across, down) + middle * (1 - back))
        )
        if abs(complex(across, down)) + middle.real * abs(complex(growth, turn)) < _CONVERGED:
            break
    seen = _normalized(_sampled(luma_HW, to_frame, count), patch.weights)
    correlation = float(np.dot((seen * patch.weights).ravel(), patch.pixels.ravel()))
    return to_frame.after(patch.to_frame.inverse()), correlation


def _step(patch: _Patch, seen: Float32) -> tuple[float, float, float, float]:
    """The growth, turn and shift (2) that register the patch with the pixels `seen`.

    Outliers, as of a thing that passes in front of the face, have little weight.
    """
    off = (seen - patch.pixels).ravel()
    trust = off / np.float32(_OUTLIER * median(np.abs(off)) + 0.05)
    trust *= trust
    trust += 1
    trust *= trust
    weighted = patch.gradients * (patch.weights.ravel() / trust)
    normal = weighted @ patch.gradients.T + patch.ridge
    _, solved = cv2.solve(normal, (weighted @ off).astype(np.float64), flags=cv2.DECOMP_CHOLESKY)
    growth, turn, across, down = solved.ravel().tolist()
    return growth, turn, across, down


def _searched(patch: _Patch, luma_HW: Float32, guess: _Similarity) -> _Similarity:
    """The guess, shifted to the best match of the patch around it."""
    count = len(patch.pixels)
    reach = _SEARCH + round(_SEARCH_SHARE * count)
    to_frame = guess.after(patch.to_frame)
    wide = to_frame.moved(-to_frame.turn * reach * (1 + 1j))
    around = _sampled(luma_HW, wide, count + 2 * reach)
    found = cv2.matchTemplate(around, patch.pixels, cv2.TM_CCOEFF_NORMED)
    row, column = np.unravel_index(int(np.argmax(found)), found.shape)
    return guess.moved(to_frame.turn * complex(int(column) - reach, int(row) - reach))


def _sampled(luma_HW: Float32, to_frame: _Similarity, count: int) -> Float32:
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    sampled = cv2.warpAffine(
        luma_HW, to_frame.matrix(), (count, count), flags=flags, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(sampled, np.float32)


def _normalized(pixels: Float32, weights: Float32) -> Float32:
    """The patch with a mean of 0 and a power of 1, so that light and contrast do not count."""
    flat, share = pixels.ravel(), weights.ravel()
    flat = flat - np.dot(flat, share)
    power = float(np.dot(flat * flat, share))
    flat *= np.float32(1 / (math.sqrt(power) + 1.0))
    return np.asarray(flat.reshape(pixels.shape), np.float32)
