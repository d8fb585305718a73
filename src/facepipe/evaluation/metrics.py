"""Distances between a restored face and the true one, in the two conventions of the literature.

Both are needed to read the papers: the older tables give PSNR and SSIM over RGB, the newer ones
over the luma with a border left out. Tables of different sources still do not compare.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

#: No PSNR is given above this, where pictures are equal it would be infinite.
PSNR_CEILING = 100.0
#: Pixels left out on each side in the luma convention.
LUMA_BORDER = 8

_SIGMA = 1.5
_RADIUS = 5  # of SSIM's window: 11 px a side
_PEAK = 255.0


@dataclass(frozen=True)
class Fidelity:
    """How near one restored face is to the truth. PSNR in dB, SSIM at most 1; higher is better."""

    psnr_rgb: float
    ssim_rgb3d: float
    psnr_y: float
    ssim_y: float


def measure(
    picture: NDArray[np.uint8], truth: NDArray[np.uint8], valid: NDArray[np.bool_]
) -> Fidelity:
    """Compare two pictures (H, W, 3) uint8 RGB where `valid` (H, W) is true.

    Raises ValueError when the shapes disagree or nothing is valid inside the borders.
    """
    if picture.shape != truth.shape or valid.shape != truth.shape[:2]:
        raise ValueError(f"shapes disagree: {picture.shape}, {truth.shape}, {valid.shape}")
    if not measurable(valid):
        raise ValueError("no valid pixel inside the borders that the metrics leave out")
    one, other = picture.astype(np.float64), truth.astype(np.float64)
    inner = np.s_[LUMA_BORDER:-LUMA_BORDER, LUMA_BORDER:-LUMA_BORDER]
    one_y, other_y, valid_y = luma(picture)[inner], luma(truth)[inner], valid[inner]
    # Windows that would reach over the border are left out in the plane, padded in the volume.
    whole = np.s_[_RADIUS:-_RADIUS, _RADIUS:-_RADIUS]
    return Fidelity(
        psnr_rgb=psnr(one, other, valid),
        ssim_rgb3d=float(ssim_map(one, other)[valid].mean()),
        psnr_y=psnr(one_y, other_y, valid_y),
        ssim_y=float(ssim_map(one_y, other_y)[whole][valid_y[whole]].mean()),
    )


def measurable(valid: NDArray[np.bool_]) -> bool:
    """Whether (H, W) `valid` holds a pixel inside every border that the metrics leave out."""
    border = LUMA_BORDER + _RADIUS
    return bool(valid[border:-border, border:-border].any())


def luma(picture: NDArray[np.uint8]) -> NDArray[np.float64]:
    """BT.601 Y (H, W) of RGB (H, W, 3) uint8, in code values 16..235, not rounded."""
    weights = np.array([65.481, 128.553, 24.966]) / _PEAK
    return np.asarray(16 + picture.astype(np.float64) @ weights)


def psnr(one: NDArray[np.float64], other: NDArray[np.float64], valid: NDArray[np.bool_]) -> float:
    """Peak signal-to-noise ratio in dB over the valid pixels, peak 255; PSNR_CEILING at most.

    `one` and `other` are (H, W) or (H, W, C), `valid` (H, W).
    """
    error = float(np.square(one - other)[valid].mean())
    floor = _PEAK**2 / 10 ** (PSNR_CEILING / 10)
    return float(10 * np.log10(_PEAK**2 / max(error, floor)))


def ssim_map(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """SSIM at each point of two arrays of one shape, values 0..255.

    The window is a Gaussian of sigma 1.5, 11 wide on every axis, edges replicated. For (H, W, 3)
    that is the volume which MATLAB's `ssim` makes of an RGB picture: channels blur into each other.
    """

    def blurred(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(gaussian_filter(values, _SIGMA, mode="nearest", radius=_RADIUS))

    c1, c2 = (0.01 * _PEAK) ** 2, (0.03 * _PEAK) ** 2
    mean_1, mean_2 = blurred(one), blurred(other)
    variance_1 = blurred(one * one) - mean_1 * mean_1
    variance_2 = blurred(other * other) - mean_2 * mean_2
    covariance = blurred(one * other) - mean_1 * mean_2
    likeness = (2 * mean_1 * mean_2 + c1) * (2 * covariance + c2)
    return likeness / ((mean_1**2 + mean_2**2 + c1) * (variance_1 + variance_2 + c2))
