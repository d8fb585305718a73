"""Similarity of two canvases, place by place."""

from __future__ import annotations

import cv2
import numpy as np

from facepipe.datatypes import CANVAS, Float32

#: Canvas px a side of the cells in which canvases are compared.
CELL = 8
#: Times the expected noise that is subtracted, as noise comes in lumps.
_NOISE_MARGIN = 1.5
#: RMS differences, as shares of white, up to which two canvases show the same, and from which they
#: do not.
_SAME, _OTHER = 0.02, 0.05


def cell_means(canvas: Float32) -> Float32:
    """(16, 16, 3): the mean of each cell of a canvas (128, 128, 3)."""
    side = CANVAS // CELL
    return np.asarray(cv2.resize(canvas, (side, side), interpolation=cv2.INTER_AREA), np.float32)


def similarity(
    one: Float32, other: Float32, *, window: int, noise_variance: float = 0.0
) -> Float32:
    """(128, 128) in [0, 1]: how far two canvases show the same at each place, from `cell_means`.

    Compares means over `window` x `window` cells, so detail and noise may differ.
    `noise_variance` is the variance of the difference of two cells that show the same.
    """
    power = cv2.blur(((one - other) ** 2).mean(2), (window, window))
    power = power - _NOISE_MARGIN * noise_variance
    change = np.sqrt(np.maximum(power, 0))  # running sums may end a little below 0
    share = np.clip((_OTHER - change) / (_OTHER - _SAME), 0, 1).astype(np.float32)
    return np.asarray(cv2.resize(share, (CANVAS, CANVAS), interpolation=cv2.INTER_LINEAR))


def in_colours(share: Float32) -> Float32:
    """(H, W, 3): the same share for each colour, as OpenCV multiplies by it.

    NumPy takes four times as long to multiply by `share[..., None]`.
    """
    return np.asarray(cv2.merge((share, share, share)), np.float32)
