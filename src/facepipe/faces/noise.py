"""How noisy a film is, and what of it is left where canvases are compared."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from facepipe.datatypes import Float32, Frame
from facepipe.faces.canvas import frame_px_per_canvas_px

#: Sigma of the noise, code values of 8 bits, from which a picture is made quiet. Footage of by day
#: has 0 to 1.5, what a sensor's sigma of 15 leaves after coding is 4.
NOISY = 3.0
#: Median of the magnitude of noise, in sigmas.
_MEDIAN = 0.6745
#: About so many px of a picture, in rows and columns, are what its noise is measured on.
_SAMPLES = 8000
#: Px of the frame whose noise is of one piece, after a codec has been over it.
_GRAIN = 2.0


def noise(frame: Frame, beside: Sequence[Frame]) -> float:
    """Sigma of the frame's noise in code values of 8 bits; 0 where nothing is beside it.

    Noise is fine, and new in each frame: the less of what is fine and of what is new. A texture is
    only the one, motion only the other.
    """
    every = max(4, round((frame.width * frame.height / _SAMPLES) ** 0.5))
    rows, columns = frame.height // every, frame.width // every
    if not beside or not rows * columns:
        return 0.0

    def sparse(one: Frame, down: int = 0, across: int = 0) -> Float32:
        plane = one.luma[down::every, across::every][:rows, :columns]
        return plane.astype(np.float32) / np.float32(1 << (one.format.bits - 8))

    here = sparse(frame)
    cross = here - sparse(frame, 0, 1) - sparse(frame, 1, 0) + sparse(frame, 1, 1)
    fine = median(np.abs(cross)) / 2
    new = min(median(np.abs(here - sparse(one))) for one in beside) / float(np.sqrt(2))
    return min(fine, new) / _MEDIAN


def noise_in_cells(sigma: float, to_frame: NDArray[np.float64], side: int) -> float:
    """The variance of a difference of two means over cells of a canvas, share of white squared.

    Cells are of `side` canvas px; `sigma` is the noise of both frames in code values of 8 bits.
    """
    pixels = (side * frame_px_per_canvas_px(to_frame)) ** 2
    return 2 * (sigma / 255) ** 2 / max(pixels / _GRAIN, 1.0)


def median(values: NDArray[np.float32]) -> float:
    """The upper median of one value or more; a tenth of the time that `np.median` takes.

    That one parts the values three times, to find both middles and what is no number.
    """
    middle = values.size // 2
    return float(np.partition(values, middle, axis=None)[middle])
