"""Denoising of a frame by its neighbours, so that tiny faces stand out of the noise.

At night a small camera's noise is as strong as a face that is a dozen pixels wide. It differs from
frame to frame, and the face does not. So the neighbouring frames are motion-compensated by optical
flow and averaged with the frame, wherever they then show the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from facepipe.datatypes import Float32, Frame
from facepipe.faces.colour import to_bgr8
from facepipe.faces.noise import NOISY, noise_sigma

Image = NDArray[np.uint8]

#: Frames on each side that are averaged with a noisy one.
DENOISE_RADIUS = 2
#: Blur, px, of what the optical flow sees, and of the difference that weighs a neighbour.
_FLOW_SIGMA, _SIMILARITY_SIGMA = 2.0, 1.5
#: Px of the images that the optical flow sees, at most, and px of their sides, at least.
_FLOW_PIXELS, _FLOW_LEAST = 1_000_000, 64
#: Rows that are averaged at once, so that a large frame needs little memory.
_STRIP = 256
#: No second map: to OpenCV 5 an array without elements is one. Its stubs do not know of None.
_NO_MAP: Any = None
#: The mean difference of two frames that show the same, in sigmas of each one's noise. A neighbour
#: that differs by `_USUAL` times as much has full weight, from twice that on none.
_DIFFERENCE, _USUAL = 2 / np.sqrt(np.pi), 1.4


def denoised(frame: Frame, neighbours: Sequence[Frame]) -> Image:
    """(H, W, 3) BGR: the frame, averaged with its neighbours where it is noisy (NOISY)."""
    image = to_bgr8(frame)
    sigma = noise_sigma(frame, neighbours)
    if sigma < NOISY:
        return image
    total, weights = image.astype(np.float32), np.ones((*image.shape[:2], 1), np.float32)
    here = _small_grey(image)
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    for neighbour in neighbours:
        other = to_bgr8(neighbour)
        flow = dis.calc(here, _small_grey(other), np.zeros((*here.shape, 2), np.float32))
        for top in range(0, len(image), _STRIP):
            strip = slice(top, top + _STRIP)
            compensated = _motion_compensated(other, np.asarray(flow, np.float32), strip)
            weight = _similarity(image[strip], compensated, sigma)
            total[strip] += weight * compensated
            weights[strip] += weight
    return (total / weights + np.float32(0.5)).astype(np.uint8)


def _similarity(image: Image, compensated: Float32, sigma: float) -> Float32:
    """(H, W, 1) in [0, 1]: how far `compensated` shows the same as `image` but for noise."""
    difference = np.abs(compensated - image).mean(2)
    difference = cv2.GaussianBlur(difference, (0, 0), _SIMILARITY_SIGMA)
    weight = np.clip(2 - difference / (_USUAL * _DIFFERENCE * sigma), 0, 1)
    return np.asarray(weight[..., None], np.float32)


def _motion_compensated(other: Image, flow: Float32, strip: slice) -> Float32:
    """(h, W, 3): the rows `strip` of the frame as `other` shows them, by `flow` of any size."""
    height, width = other.shape[:2]
    ratio = np.array([width / flow.shape[1], height / flow.shape[0]], np.float32)
    rows, columns = np.arange(height, dtype=np.float32)[strip], np.arange(width, dtype=np.float32)
    places = np.stack(np.meshgrid(columns, rows), -1)
    at = (places + np.float32(0.5)) / ratio - np.float32(0.5)
    places += ratio * cv2.remap(flow, at, _NO_MAP, cv2.INTER_LINEAR, None, cv2.BORDER_REPLICATE)
    sampled = cv2.remap(other, places, _NO_MAP, cv2.INTER_LINEAR, None, cv2.BORDER_REPLICATE)
    return np.asarray(sampled, np.float32)


def _small_grey(image: Image) -> Image:
    """The blurred grey image that the optical flow sees: large ones reduced, tiny ones enlarged."""
    grey = cv2.GaussianBlur(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), (0, 0), _FLOW_SIGMA)
    ratio = min(1.0, (_FLOW_PIXELS / grey.size) ** 0.5)
    size = [max(round(side * ratio), _FLOW_LEAST) for side in grey.shape[::-1]]
    return cv2.resize(grey, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
