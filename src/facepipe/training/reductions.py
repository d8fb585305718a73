"""Reductions for training and evaluation: faces made small by good cameras and by software.

Unlike footage (`degradations`), they are crisp, or nearly so.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image

from facepipe.training.degradations import Rgb, jpeg_coded

#: Px of crisp faces, and of the large ones among them.
_CRISP_SIZES, _LARGE_SIZES = (12, 96), (48, 112)
#: Share of crisp faces that are reduced by bicubic; the others by one of these.
_BICUBIC_SHARE = 0.5
_OTHER_KERNELS = (
    Image.Resampling.BOX,
    Image.Resampling.HAMMING,
    Image.Resampling.LANCZOS,
    Image.Resampling.BILINEAR,
)
#: Share of crisp faces with a little noise, its sigma; share of these with JPEG, its quality.
_NOISY_SHARE, _NOISE = 0.3, (0.3, 2.5)
_JPEG_SHARE, _JPEG_QUALITY = 0.5, (85, 98)


def bicubic_downscaled(canvas: Rgb, size: int) -> Rgb:
    """Reduce the canvas to `size` px by antialiased bicubic, as the papers do, and enlarge it.

    Enlarging uses the kernel with which `faces.restoration.crop` samples a frame.
    """
    return reduced(canvas, Reduction(size))


@dataclass(frozen=True)
class Reduction:
    """A face made small by a good camera or by software: crisp, or nearly so.

    `size` is the px that the canvas spans; `kernel` a filter of Pillow, antialiased; `noise` sigma
    in code values; `quality` that of a JPEG, None without one; `seed` that of the noise.
    """

    size: int
    kernel: Image.Resampling = Image.Resampling.BICUBIC
    noise: float = 0.0
    quality: int | None = None
    seed: int = 0


def draw_crisp(rng: np.random.Generator, large: float) -> Reduction:
    """Draw a crisp or nearly crisp face of 12 to 96 px; a share `large` of them has 48 to 112."""
    low, high = np.log(_LARGE_SIZES if rng.random() < large else _CRISP_SIZES)
    size = round(float(np.exp(rng.uniform(low, high))))
    kernel = Image.Resampling.BICUBIC
    if rng.random() >= _BICUBIC_SHARE:
        kernel = _OTHER_KERNELS[int(rng.integers(len(_OTHER_KERNELS)))]
    if rng.random() >= _NOISY_SHARE:
        return Reduction(size, kernel)
    quality = int(rng.integers(*_JPEG_QUALITY, endpoint=True))
    return Reduction(
        size,
        kernel,
        noise=float(rng.uniform(*_NOISE)),
        quality=quality if rng.random() < _JPEG_SHARE else None,
        seed=int(rng.integers(2**31)),
    )


def reduced(canvas: Rgb, params: Reduction) -> Rgb:
    """Reduce the canvas (128, 128, 3) as `params` say, and enlarge it as a canvas is sampled."""
    image = Image.fromarray(canvas).resize((params.size, params.size), params.kernel)
    small = np.asarray(image)
    if params.noise:
        noise = np.random.default_rng(params.seed).normal(0, params.noise, small.shape)
        small = np.clip(small + noise + 0.5, 0, 255).astype(np.uint8)
    if params.quality is not None:
        small = jpeg_coded(small, params.quality)
    large = cv2.resize(small, canvas.shape[1::-1], interpolation=cv2.INTER_CUBIC)
    return np.asarray(large, np.uint8)
