"""Where a face goes from one frame to the next, by the picture itself: to parts of a pixel.

Landmarks of a tiny face tremble by several percent of its size; how its pixels moved can be told
far better. So each face that was found is followed through the frames after it by a similarity that
brings them into register (Baker and Matthews, "Lucas-Kanade 20 years on", IJCV 2004, inverse
compositional), until it is looked for again.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from facepipe.datatypes import Faces, Float32, Frame
from facepipe.faces.canvas import after, inverse

Map = NDArray[np.float64]

#: Px a side of the patches that are compared, at the least and most; about those of the frame.
_LEAST, _MOST = 14, 40
#: Share of a box's longer side that a patch covers.
_COVERS = 1.0
#: The window that weighs a patch's middle most: sigma, share of its side.
_SIGMA = 0.3
_ROUNDS = 12
#: In medians, the difference of a pixel that is odd.
_ODD = 3.0
#: A correction of a patch, px, that is none any more; one that is no longer believed.
_STILL, _ASTRAY = 0.02, 0.35
#: Correlation from which a patch counts as found again, and under which it is searched around.
_FOUND, _DOUBTFUL = 0.6, 0.85
#: How far it is searched then: px of the patch, and share of its side.
_SEARCH, _SEARCH_SHARE = 4, 0.35
#: Of turn and growth, against the patch's own evidence: a tiny face tells little of them.
_RIDGE = 0.02


def luma(frame: Frame) -> Float32:
    """(H, W) the frame's luma in code values of 8 bits."""
    return frame.luma.astype(np.float32) / np.float32(1 << (frame.format.bits - 8))


class Follower:
    """Follows the faces of one frame through those that come after it."""

    def __init__(self, luma_HW: Float32, faces: Faces) -> None:
        self._patches = [_patch(luma_HW, box) for box in faces.boxes.astype(np.float64)]
        self._maps: list[Map | None] = [np.eye(2, 3) for _ in self._patches]
        self._steps = np.zeros((len(self._patches), 2))

    def step(self, luma_HW: Float32) -> Map:
        """(N, 2, 3): from points of the first frame to this next one; NaN once a face was lost."""
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
    """A face as it was first seen (n, n), its light made even, and how it changes when moved.

    `to_frame` takes its px to the frame. `slopes` (4, n * n) are what growth, turn and shift about
    the patch's middle change; `ridge` (4, 4) speaks against much of the first two.
    """

    pixels: Float32
    weights: Float32
    to_frame: Map
    slopes: Float32
    ridge: NDArray[np.float64]

    def moved(self, face: Map) -> NDArray[np.float64]:
        """(2,) where the middle of the patch goes."""
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
    pixels = _even(_sampled(luma_HW, to_frame, count), weights)
    down, across = np.gradient(pixels)
    y, x = np.meshgrid(off, off, indexing="ij")
    slopes = np.stack((across * x + down * y, down * x - across * y, across, down)).reshape(4, -1)
    shifts = (slopes[2:] ** 2 * weights.ravel()).sum()
    # About as much change as a shift makes, times the ridge, speaks against turn and growth.
    against = _RIDGE * float((weights * (x * x + y * y)).sum()) / 2 * float(shifts)
    ridge = np.diag([against, against, 0, 0]) + np.eye(4) * 1e-6
    return _Patch(pixels, weights, to_frame, slopes.astype(np.float32), ridge)


def _registered(patch: _Patch, luma_HW: Float32, guess: Map) -> Map | None:
    """The map near `guess` under which the frame shows the patch, None where it does not."""
    face, alike = _refined(patch, luma_HW, guess)
    if alike < _DOUBTFUL:
        other, better = _refined(patch, luma_HW, _searched(patch, luma_HW, guess))
        if better > alike:
            face, alike = other, better
    return face if alike >= _FOUND else None


def _refined(patch: _Patch, luma_HW: Float32, guess: Map) -> tuple[Map, float]:
    count = len(patch.pixels)
    middle = (count - 1) / 2
    to_frame = after(guess, patch.to_frame)
    for _ in range(_ROUNDS):
        seen = _even(_sampled(luma_HW, to_frame, count), patch.weights)
        growth, turn, across, down = _step(patch, seen)
        if not abs(growth) + abs(turn) < _ASTRAY:
            return guess, -1.0
        # The step is taken in the patch, so its inverse is put before the map.
        along = complex(1 + growth, turn)
        back = 1 / along
        shift = -back * complex(across, down) + complex(middle, middle) * (1 - back)
        undo = np.array([[back.real, -back.imag, shift.real], [back.imag, back.real, shift.imag]])
        to_frame = after(to_frame, undo)
        if np.hypot(across, down) + middle * np.hypot(growth, turn) < _STILL:
            break
    seen = _even(_sampled(luma_HW, to_frame, count), patch.weights)
    alike = float((seen * patch.pixels * patch.weights).sum())
    return after(to_frame, inverse(patch.to_frame)), alike


def _step(patch: _Patch, seen: Float32) -> tuple[float, float, float, float]:
    """Growth, turn and shift that bring the patch to what is `seen`.

    What differs far more than most, as a thing does that passes before the face, hardly counts.
    """
    off = (seen - patch.pixels).ravel()
    usual = float(np.median(np.abs(off)))
    trust = patch.weights.ravel() / (1 + (off / (_ODD * usual + 0.05)) ** 2) ** 2
    weighted = patch.slopes * trust
    growth, turn, across, down = np.linalg.solve(
        weighted @ patch.slopes.T + patch.ridge, weighted @ off
    ).tolist()
    return growth, turn, across, down


def _searched(patch: _Patch, luma_HW: Float32, guess: Map) -> Map:
    """The guess, shifted to where the patch is found best around it."""
    count = len(patch.pixels)
    reach = _SEARCH + round(_SEARCH_SHARE * count)
    to_frame = after(guess, patch.to_frame)
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


def _even(pixels: Float32, weights: Float32) -> Float32:
    """The patch with a mean of 0 and a power of 1, so that light and contrast do not count."""
    pixels = pixels - (pixels * weights).sum()
    power = float((pixels * pixels * weights).sum())
    return pixels / np.float32(np.sqrt(power) + 1.0)
