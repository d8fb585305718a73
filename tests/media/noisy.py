"""Frames of known noise, as of a small camera at night."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from facepipe.datatypes import Colour, Frame, PixelFormat


def land(seed: int, shift: float = 0.0, size: tuple[int, int] = (96, 160)) -> NDArray[np.float64]:
    """(H, W, 3): blobs of every size, moved to the right by `shift`."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: size[0], : size[1]].astype(np.float64)
    rgb: NDArray[np.float64] = np.full((*size, 3), 110.0)
    for _ in range(40):
        left, top = rng.uniform((-20, 0), (size[1] + 20, size[0]))
        wide, colour = rng.uniform(3, 18), rng.uniform(-50, 50, 3)
        blob = np.exp(-((x - left - shift) ** 2 + (y - top) ** 2) / wide**2)
        rgb += blob[..., None] * colour
    return np.clip(rgb, 30, 225, out=rgb)


def frame(rgb: NDArray[np.float64], sigma: float = 0.0, seed: int = 0, bits: int = 8) -> Frame:
    noisy = rgb + np.random.default_rng(seed).normal(0, sigma, rgb.shape)
    top = (1 << bits) - 1
    codes = np.clip(np.rint(noisy * top / 255), 0, top)
    kind = PixelFormat("gbrp" if bits == 8 else "gbrp10le", "rgb", bits)
    planes = codes.astype(np.uint8) if bits == 8 else codes.astype(np.uint16)
    return Frame(
        pts=0, format=kind, colour=Colour(), planes=tuple(planes[..., k] for k in range(3))
    )
