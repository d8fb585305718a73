"""What a face looks like in a few numbers, to tell it from the one that passes before it."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from facepipe.datatypes import Float32
from facepipe.faces.canvas import CANVAS, after, canvas_to_frame

#: Cells across and down a canvas, and those that lie on the face itself, where it is aligned. What
#: is around it changes as it walks (200 pairs of looks: AUC .96 with it, .99 without).
_CELLS, _ROWS, _COLUMNS = 8, slice(2, 7), slice(2, 6)
#: Samples of a cell's side.
_SAMPLES = 4
#: How much a step of lightness, and of the two axes of colour, counts.
_WEIGHTS = np.array([1.0, 2.0, 2.0], np.float32)


def prints(bgr: NDArray[np.uint8], landmarks: Float32) -> Float32:
    """(N, 60): Lab colours of a grid on each face of a (H, W, 3) picture, by its (N, 5, 2)."""
    step = CANVAS / (_CELLS * _SAMPLES)
    to_canvas = np.array([[step, 0, (step - 1) / 2], [0, step, (step - 1) / 2]])
    side = _CELLS * _SAMPLES
    found = np.empty((len(landmarks), _CELLS, _CELLS, 3), np.float32)
    for number, points in enumerate(landmarks):
        sampled = cv2.warpAffine(
            bgr,
            after(canvas_to_frame(points), to_canvas),
            (side, side),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        cells = cv2.resize(sampled, (_CELLS, _CELLS), interpolation=cv2.INTER_AREA)
        found[number] = cv2.cvtColor(cells, cv2.COLOR_BGR2Lab)
    grid = found[:, _ROWS, _COLUMNS] * _WEIGHTS
    return np.asarray(grid.reshape(len(grid), int(np.prod(grid.shape[1:]))), np.float32)


def unlike(one: Float32, many: Float32) -> Float32:
    """(N,) how unlike a face of print (P,) those of prints (N, P) are, in code values RMS.

    One face in two looks differs by 2 to 8, two faces by 10 to 40.
    """
    return np.asarray(np.sqrt(np.square(many - one).mean(1)), np.float32)
