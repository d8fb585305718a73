"""Similarity of two canvases, place by place."""

from __future__ import annotations

import cv2
import numpy as np

from facepipe.datatypes import CANVAS, Float32

#: Cells a side of the canvas in which canvases are compared.
CELLS = 16
#: Times the expected noise that is subtracted, as noise comes in lumps.
_NOISE_MARGIN = 1.5
#: RMS differences, as shares of white, up to which two canvases show the same, and from which they
#: do not.
_SAME, _OTHER = 0.02, 0.05


def cell_means(canvas: Float32) -> Float32:
    """(16, 16, 3): the mean of each cell of a canvas (S, S, 3)."""
    return np.asarray(cv2.resize(canvas, (CELLS, CELLS), interpolation=cv2.INTER_AREA), np.float32)


def similarity(
    one: Float32, other: Float32, *, window: int, noise_variance: float = 0.0, side: int = CANVAS
) -> Float32:
    """(S, S) in [0, 1]: how far two canvases show the same at each place, from `cell_means`.

    Compares means over `window` x `window` cells, so detail and noise may differ.
    `noise_variance` is the variance of the difference of two cells that show the same; S is `side`.
    """
    power = cv2.blur(((one - other) ** 2).mean(2), (window, window))
    power = power - _NOISE_MARGIN * noise_variance
    change = np.sqrt(np.maximum(power, 0))  # running sums may end a little below 0
    share = np.clip((_OTHER - change) / (_OTHER - _SAME), 0, 1).astype(np.float32)
    return np.asarray(cv2.resize(share, (side, side), interpolation=cv2.INTER_LINEAR))


def in_colours(share: Float32) -> Float32:
    """(H, W, 3): the same share for each colour, as OpenCV multiplies by it.

    NumPy takes four times as long to multiply by `share[..., None]`.
    """
    return np.asarray(cv2.merge((share, share, share)), np.float32)
