"""PSNR and SSIM of a restored face, in the two conventions of the literature.

Older papers give PSNR and SSIM over RGB, newer ones over the luma with a border left out. Tables of
different papers still cannot be compared.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

#: Largest PSNR, dB; for equal images it would be infinite.
PSNR_CEILING = 100.0
#: Pixels left out on each side in the luma convention.
LUMA_BORDER = 8

_SIGMA = 1.5
_RADIUS = 5  # of SSIM's window: 11 px a side
_PEAK = 255.0


@dataclass(frozen=True)
class Fidelity:
    """Fidelity of one restored face: PSNR in dB, SSIM at most 1; higher is better."""

    psnr_rgb: float
    ssim_rgb3d: float
    psnr_y: float
    ssim_y: float


def measure(
    image: NDArray[np.uint8], truth: NDArray[np.uint8], valid: NDArray[np.bool_]
) -> Fidelity:
    """PSNR and SSIM of two images (H, W, 3) uint8 RGB where `valid` (H, W) is true.

    Raises ValueError when the shapes disagree or nothing is valid inside the borders.
    """
    if image.shape != truth.shape or valid.shape != truth.shape[:2]:
        raise ValueError(f"shapes disagree: {image.shape}, {truth.shape}, {valid.shape}")
    if not measurable(valid):
        raise ValueError("no valid pixel inside the borders that the metrics leave out")
    first, second = image.astype(np.float64), truth.astype(np.float64)
    inner = np.s_[LUMA_BORDER:-LUMA_BORDER, LUMA_BORDER:-LUMA_BORDER]
    first_y, second_y, valid_y = bt601_luma(image)[inner], bt601_luma(truth)[inner], valid[inner]
    # SSIM windows across the border are left out for the luma, padded for the RGB volume.
    whole = np.s_[_RADIUS:-_RADIUS, _RADIUS:-_RADIUS]
    return Fidelity(
        psnr_rgb=psnr(first, second, valid),
        ssim_rgb3d=float(ssim_map(first, second)[valid].mean()),
        psnr_y=psnr(first_y, second_y, valid_y),
        ssim_y=float(ssim_map(first_y, second_y)[whole][valid_y[whole]].mean()),
    )


def measurable(valid: NDArray[np.bool_]) -> bool:
    """Whether `valid` (H, W) has a pixel inside all borders that the metrics leave out."""
    border = LUMA_BORDER + _RADIUS
    return bool(valid[border:-border, border:-border].any())


def bt601_luma(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """BT.601 Y (H, W) of RGB (H, W, 3) uint8, in code values 16..235, not rounded."""
    weights = np.array([65.481, 128.553, 24.966]) / _PEAK
    return np.asarray(16 + image.astype(np.float64) @ weights)


def psnr(
    first: NDArray[np.float64], second: NDArray[np.float64], valid: NDArray[np.bool_]
) -> float:
    """Peak signal-to-noise ratio in dB over the valid pixels, peak 255; PSNR_CEILING at most.

    `first` and `second` are (H, W) or (H, W, C), `valid` (H, W).
    """
    error = float(np.square(first - second)[valid].mean())
    floor = _PEAK**2 / 10 ** (PSNR_CEILING / 10)
    return float(10 * np.log10(_PEAK**2 / max(error, floor)))


def ssim_map(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """SSIM map of two arrays of one shape, values 0..255.

    The window is a Gaussian of sigma 1.5, 11 wide on every axis, edges replicated. For (H, W, 3) it
    is three-dimensional, as in MATLAB's `ssim` of an RGB array: channels blur into each other.
    """

    def blurred(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(gaussian_filter(values, _SIGMA, mode="nearest", radius=_RADIUS))

    c1, c2 = (0.01 * _PEAK) ** 2, (0.03 * _PEAK) ** 2
    mean_1, mean_2 = blurred(first), blurred(second)
    variance_1 = blurred(first * first) - mean_1 * mean_1
    variance_2 = blurred(second * second) - mean_2 * mean_2
    covariance = blurred(first * second) - mean_1 * mean_2
    numerator = (2 * mean_1 * mean_2 + c1) * (2 * covariance + c2)
    return numerator / ((mean_1**2 + mean_2**2 + c1) * (variance_1 + variance_2 + c2))
