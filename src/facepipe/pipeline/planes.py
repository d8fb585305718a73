"""Differences of RGB as differences of code values: what a paste adds to each plane."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from facepipe.datatypes import Colour, PixelFormat

#: Weights of red and blue in luma, by H.273's matrices.
LUMA_WEIGHTS = {
    "bt601": (0.299, 0.114),
    "bt709": (0.2126, 0.0722),
    "bt2020": (0.2627, 0.0593),
}


def change_in_planes(
    change: NDArray[np.float32], pixel: PixelFormat, colour: Colour
) -> tuple[NDArray[np.float32], ...]:
    """The change (H, W, 3) of RGB in [-1, 1] as one array (H, W) a plane, in code values.

    The transform is linear, so no offset enters and nothing is rounded. Alpha does not change.
    """
    top = (1 << pixel.bits) - 1
    if pixel.model == "rgb":
        return tuple(change[..., k] * np.float32(top) for k in range(3))
    red, blue = LUMA_WEIGHTS[colour.matrix]
    luma = change @ np.array([red, 1 - red - blue, blue], np.float32)
    step = 1 << (pixel.bits - 8)
    luma_range, chroma_range = (top, top) if colour.full_range else (219 * step, 224 * step)
    if pixel.model == "gray":
        return (luma * np.float32(luma_range),)
    u = (change[..., 2] - luma) * np.float32(chroma_range / (2 * (1 - blue)))
    v = (change[..., 0] - luma) * np.float32(chroma_range / (2 * (1 - red)))
    return luma * np.float32(luma_range), u, v
