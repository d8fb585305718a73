"""Registration of faces from frame to frame, by their pixels, to parts of a pixel.

Landmarks of a tiny face tremble by several percent of its size; its motion can be measured far
better. So each detected face is followed through the frames after it by a similarity transform
(inverse compositional: Baker and Matthews, "Lucas-Kanade 20 years on", IJCV 2004), up to the next
detection frame.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from facepipe.datatypes import Faces, Float32, Frame
from facepipe.faces.canvas import compose, invert

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
        self._maps: list[Map | None] = [np.eye(2, 3) for _ in self._patches]
        self._steps = np.zeros((len(self._patches), 2))

    def step(self, luma_HW: Float32) -> Map:
        """(N, 2, 3) maps from points of the first frame to this one; NaN once a face is lost."""
        for number, (patch, last) in enumerate(zip(self._patches, self._maps, strict=True)):
            if last is None:
                continue
            guess = last.copy()
            guess[:, 2] += self._steps[number]
            found = _registered(patch, luma_HW, guess)
            self._maps[number] = found
            if found is not None:
                self._steps[number] = patch.moved(found) - patch.moved(last)
        lost = np.full((2, 3), np.nan)
        return np.array([lost if m is None else m for m in self._maps]).reshape(-1, 2, 3)


@dataclass(frozen=True, eq=False)
class _Patch:
    """The pixels (n, n) of a face in its detection frame, normalized, and their gradients.

    `to_frame` takes its px to the frame. `gradients` (4, n * n) are the derivatives by growth, turn
    and shift about the patch's centre; `ridge` (4, 4) regularizes the first two.
    """

    pixels: Float32
    weights: Float32
    to_frame: Map
    gradients: Float32
    ridge: NDArray[np.float64]

    def moved(self, face: Map) -> NDArray[np.float64]:
        """(2,) the point of the frame to which `face` takes the patch's centre."""
        middle = (len(self.pixels) - 1) / 2
        return np.asarray(face @ np.append(self.to_frame @ np.array([middle, middle, 1]), 1))


def _patch(luma_HW: Float32, box: NDArray[np.float64]) -> _Patch:
    side = max(float((box[2:] - box[:2]).max()) * _COVERS, 4.0)
    count = int(np.clip(round(side), _LEAST, _MOST))
    step = side / count
    corner = (box[:2] + box[2:]) / 2 - step * (count - 1) / 2
    to_frame = np.array([[step, 0, corner[0]], [0, step, corner[1]]])
    off = np.arange(count) - (count - 1) / 2
    window = np.exp(-0.5 * (off / (_SIGMA * count)) ** 2)
    weights = np.outer(window, window)
    weights = (weights / weights.sum()).astype(np.float32)
    pixels = _normalized(_sampled(luma_HW, to_frame, count), weights)
    down, across = np.gradient(pixels)
    y, x = np.meshgrid(off, off, indexing="ij")
    gradients = np.stack((across * x + down * y, down * x - across * y, across, down))
    gradients = gradients.reshape(4, -1)
    shifts = (gradients[2:] ** 2 * weights.ravel()).sum()
    # The ridge is relative to the change that a shift makes.
    strength = _RIDGE * float((weights * (x * x + y * y)).sum()) / 2 * float(shifts)
    ridge = np.diag([strength, strength, 0, 0]) + np.eye(4) * 1e-6
    return _Patch(pixels, weights, to_frame, gradients.astype(np.float32), ridge)


def _registered(patch: _Patch, luma_HW: Float32, guess: Map) -> Map | None:
    """The map near `guess` under which the frame shows the patch, None: it does not."""
    face, correlation = _refined(patch, luma_HW, guess)
    if correlation < _DOUBTFUL:
        other, better = _refined(patch, luma_HW, _searched(patch, luma_HW, guess))
        if better > correlation:
            face, correlation = other, better
    return face if correlation >= _FOUND else None


def _refined(patch: _Patch, luma_HW: Float32, guess: Map) -> tuple[Map, float]:
    """The map that Gauss-Newton steps lead to from `guess`, and its correlation in [-1, 1]."""
    count = len(patch.pixels)
    middle = (count - 1) / 2
    to_frame = compose(guess, patch.to_frame)
    for _ in range(_ROUNDS):
        seen = _normalized(_sampled(luma_HW, to_frame, count), patch.weights)
        growth, turn, across, down = _step(patch, seen)
        if not abs(growth) + abs(turn) < _DIVERGED:
            return guess, -1.0
        # The step is taken in the patch, so its inverse is put before the map.
        along = complex(1 + growth, turn)
        back = 1 / along
        shift = -back * complex(across, down) + complex(middle, middle) * (1 - back)
        undo = np.array([[back.real, -back.imag, shift.real], [back.imag, back.real, shift.imag]])
        to_frame = compose(to_frame, undo)
        if np.hypot(across, down) + middle * np.hypot(growth, turn) < _CONVERGED:
            break
    seen = _normalized(_sampled(luma_HW, to_frame, count), patch.weights)
    correlation = float((seen * patch.pixels * patch.weights).sum())
    return compose(to_frame, invert(patch.to_frame)), correlation


def _step(patch: _Patch, seen: Float32) -> tuple[float, float, float, float]:
    """The growth, turn and shift (2) that register the patch with the pixels `seen`.

    Outliers, as of a thing that passes in front of the face, have little weight.
    """
    off = (seen - patch.pixels).ravel()
    usual = float(np.median(np.abs(off)))
    trust = patch.weights.ravel() / (1 + (off / (_OUTLIER * usual + 0.05)) ** 2) ** 2
    weighted = patch.gradients * trust
    growth, turn, across, down = np.linalg.solve(
        weighted @ patch.gradients.T + patch.ridge, weighted @ off
    ).tolist()
    return growth, turn, across, down


def _searched(patch: _Patch, luma_HW: Float32, guess: Map) -> Map:
    """The guess, shifted to the best match of the patch around it."""
    count = len(patch.pixels)
    reach = _SEARCH + round(_SEARCH_SHARE * count)
    to_frame = compose(guess, patch.to_frame)
    wide = to_frame.copy()
    wide[:, 2] -= to_frame[:, :2] @ np.array([reach, reach])
    around = _sampled(luma_HW, wide, count + 2 * reach)
    found = cv2.matchTemplate(around, patch.pixels, cv2.TM_CCOEFF_NORMED)
    row, column = np.unravel_index(int(np.argmax(found)), found.shape)
    moved = guess.copy()
    moved[:, 2] += to_frame[:, :2] @ np.array([column - reach, row - reach], np.float64)
    return moved


def _sampled(luma_HW: Float32, to_frame: Map, count: int) -> Float32:
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    sampled = cv2.warpAffine(
        luma_HW, to_frame, (count, count), flags=flags, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(sampled, np.float32)


def _normalized(pixels: Float32, weights: Float32) -> Float32:
    """The patch with a mean of 0 and a power of 1, so that light and contrast do not count."""
    pixels = pixels - (pixels * weights).sum()
    power = float((pixels * pixels * weights).sum())
    return pixels / np.float32(np.sqrt(power) + 1.0)
