"""Frames of noise in every kind of pixel format."""

from __future__ import annotations

import numpy as np

from facepipe.datatypes import Colour, Frame, PixelFormat

FORMATS = [
    PixelFormat("yuv420p", "yuv", 8, 1, 1),
    PixelFormat("yuv422p10le", "yuv", 10, 1, 0),
    PixelFormat("yuv444p12le", "yuv", 12),
    PixelFormat("yuva420p", "yuv", 8, 1, 1, alpha=True),
    PixelFormat("gbrp", "rgb", 8),
    PixelFormat("gray10le", "gray", 10),
]


def noise_frame(pixel: PixelFormat, width: int = 101, height: int = 83, seed: int = 0) -> Frame:
    """A frame whose planes are noise around grey, and cannot be written to."""
    rng = np.random.default_rng(seed)
    kind = np.uint8 if pixel.bits == 8 else np.uint16
    planes = []
    for number in range({"gray": 1, "rgb": 3, "yuv": 3}[pixel.model] + pixel.alpha):
        chroma = pixel.model == "yuv" and number in (1, 2)
        w = -(-width >> pixel.shift_x) if chroma else width
        h = -(-height >> pixel.shift_y) if chroma else height
        planes.append(rng.integers(60 << (pixel.bits - 8), 160 << (pixel.bits - 8), (h, w), kind))
        planes[-1].setflags(write=False)
    return Frame(pts=0, format=pixel, colour=Colour(), planes=tuple(planes))
