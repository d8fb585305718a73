"""Where two canvases show the same thing."""

from __future__ import annotations

import cv2
import numpy as np

from facepipe.datatypes import Float32
from facepipe.faces.canvas import CANVAS

#: Canvas px of the cells in which light is compared.
CELL = 8
#: Times the noise that is to be expected, as it comes in lumps.
_MARGIN = 1.5
#: Difference of light, as a share of white, up to which two canvases show the same at a place, and
#: from which they do not.
_SAME, _OTHER = 0.02, 0.05


def cells(canvas: Float32) -> Float32:
    """(16, 16, 3): the mean of each cell of a canvas (128, 128, 3)."""
    side = CANVAS // CELL
    return np.asarray(cv2.resize(canvas, (side, side), interpolation=cv2.INTER_AREA), np.float32)


def alike(one: Float32, other: Float32, *, together: int, noise: float = 0.0) -> Float32:
    """(128, 128) in [0, 1]: where two canvases show the same, from their cells.

    Detail and noise may differ; what is left of them in `together` x `together` cells must agree.
    `noise` is the variance of two cells' difference that is noise alone.
    """
    power = cv2.blur(((one - other) ** 2).mean(2), (together, together)) - _MARGIN * noise
    change = np.sqrt(np.maximum(power, 0))  # sums that run may end a little below
    share = np.clip((_OTHER - change) / (_OTHER - _SAME), 0, 1).astype(np.float32)
    return np.asarray(cv2.resize(share, (CANVAS, CANVAS), interpolation=cv2.INTER_LINEAR))
