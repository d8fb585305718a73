"""Estimation of a frame's noise, and its variance where canvases are compared."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from facepipe.datatypes import Frame
from facepipe.faces.canvas import frame_px_per_canvas_px

#: Sigma of the noise, code values of 8 bits, from which a frame is denoised. Footage by day has 0
#: to 1.5; a sensor's sigma of 15 leaves 4 after coding.
NOISY = 3.0
#: Median of the magnitude of noise, in sigmas.
_MEDIAN = 0.6745
#: Noise is measured on about so many px of a frame, in rows and columns.
_SAMPLES = 8000
#: Px of the frame that share their noise once a codec has been over it.
_GRAIN = 2.0


def noise_sigma(frame: Frame, neighbours: Sequence[Frame]) -> float:
    """Estimate the sigma of the frame's noise in code values of 8 bits; 0 without neighbours.

    Noise is fine in space and new in each frame, so this is the smaller of two medians: of the
    high-pass of the frame, and of its differences to its neighbours. A texture has only the first,
    motion only the second.
    """
    every = max(4, round((frame.width * frame.height / _SAMPLES) ** 0.5))
    rows, columns = frame.height // every, frame.width // every
    if not neighbours or not rows * columns:
        return 0.0

    def sparse(one: Frame, down: int = 0, across: int = 0) -> NDArray[np.int32]:
        return one.luma[down::every, across::every][:rows, :columns].astype(np.int32)

    here = sparse(frame)
    new = min(_median_level(here - sparse(one)) for one in neighbours) / float(np.sqrt(2))
    if new == 0:
        return 0.0
    cross = here - sparse(frame, 0, 1) - sparse(frame, 1, 0) + sparse(frame, 1, 1)
    fine = _median_level(cross) / 2
    return min(fine, new) / _MEDIAN / (1 << (frame.format.bits - 8))


def _median_level(differences: NDArray[np.int32]) -> int:
    """The upper median of the magnitude of differences, in levels of the frame.

    By counting: of a still scene most are 0, and partition is slow where values are equal.
    """
    counts = np.bincount(np.abs(differences).ravel())
    return int(np.searchsorted(np.cumsum(counts), differences.size // 2, side="right"))


def cell_noise_variance(sigma: float, to_frame: NDArray[np.float64], side: int) -> float:
    """Variance of the difference of two cell means that noise alone makes, shares of white squared.

    `side` is a cell's, in canvas px; `sigma` is the noise of both frames, code values of 8 bits.
    """
    pixels = (side * frame_px_per_canvas_px(to_frame)) ** 2
    return 2 * (sigma / 255) ** 2 / max(pixels / _GRAIN, 1.0)


def median(values: NDArray[np.float32]) -> float:
    """The upper median of one value or more, in a tenth of the time that `np.median` takes.

    `np.median` partitions the values three times, to find both middles and NaN.
    """
    middle = values.size // 2
    return float(np.partition(values, middle, axis=None)[middle])
