"""Frames of shots that a camera pans over."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from facepipe.datatypes import Colour, Frame, PixelFormat

RGB = PixelFormat("gbrp", "rgb", 8)


def frame(pts: int, rgb: NDArray[np.uint8]) -> Frame:
    return Frame(
        pts=pts,
        format=RGB,
        colour=Colour(),
        planes=tuple(np.ascontiguousarray(rgb[..., k]) for k in range(3)),
    )


def shot(seed: int, number: int, step: float = 0.5) -> NDArray[np.uint8]:
    """(72, 128, 3): a landscape of blobs that a camera pans over."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:72, :128].astype(np.float64)
    land = np.zeros((72, 128))
    for _ in range(12):
        left, top, wide, bright = rng.uniform((-20, 0, 8, -90), (150, 72, 20, 90))
        land += bright * np.exp(-(((x - left + step * number) ** 2 + (y - top) ** 2) / wide**2))
    return np.clip(120 + land, 0, 255).astype(np.uint8)[..., None].repeat(3, -1)
