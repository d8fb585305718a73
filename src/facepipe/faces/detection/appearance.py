"""Appearance descriptors, which separate a face from another one that passes in front of it."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from facepipe.datatypes import CANVAS, Float32
from facepipe.faces.canvas import canvas_to_frame, compose

#: Cells a side of the canvas, and those that lie on the aligned face itself. What is around it
#: changes as it walks (200 pairs of detections: AUC .96 with it, .99 without).
_CELLS, _ROWS, _COLUMNS = 8, slice(2, 7), slice(2, 6)
#: Samples of a cell's side.
_SAMPLES = 4
#: Weights of Lab's lightness and of its two axes of colour.
_WEIGHTS = np.array([1.0, 2.0, 2.0], np.float32)


def appearance_descriptors(bgr: NDArray[np.uint8], landmarks: Float32) -> Float32:
    """(N, 60): weighted Lab colours of a grid of cells on each face of a (H, W, 3) BGR image.

    `landmarks` (N, 5, 2) align the grid.
    """
    step = CANVAS / (_CELLS * _SAMPLES)
    to_canvas = np.array([[step, 0, (step - 1) / 2], [0, step, (step - 1) / 2]])
    side = _CELLS * _SAMPLES
    found = np.empty((len(landmarks), _CELLS, _CELLS, 3), np.float32)
    for number, points in enumerate(landmarks):
        sampled = cv2.warpAffine(
            bgr,
            compose(canvas_to_frame(points), to_canvas),
            (side, side),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        cells = cv2.resize(sampled, (_CELLS, _CELLS), interpolation=cv2.INTER_AREA)
        found[number] = cv2.cvtColor(cells, cv2.COLOR_BGR2Lab)
    grid = found[:, _ROWS, _COLUMNS] * _WEIGHTS
    return np.asarray(grid.reshape(len(grid), int(np.prod(grid.shape[1:]))), np.float32)


def appearance_distances(one: Float32, many: Float32) -> Float32:
    """(N,) RMS distances in code values from a descriptor (P,) to descriptors (N, P).

    One face in two frames differs by 2 to 8, two faces by 10 to 40.
    """
    return np.asarray(np.sqrt(np.square(many - one).mean(1)), np.float32)
