"""A noisy picture made quiet by the pictures beside it, so that tiny faces stand out of the noise.

At night a small camera's noise is as strong as a face that is a dozen pixels wide. It differs from
frame to frame, and the face does not: so the frames beside are brought to where the picture's
things are (optical flow) and averaged with it, wherever they then show the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from facepipe.datatypes import Float32, Frame
from facepipe.faces.colour import to_bgr8
from facepipe.faces.noise import NOISY, noise

Picture = NDArray[np.uint8]

#: Frames to each side that help.
REACH = 2
#: Blur, px, of what the flow is told from, and of the difference that a frame's share is told from.
_FLOW_SIGMA, _ALIKE_SIGMA = 2.0, 1.5
#: Px of the pictures that the flow is told from, at most, and px of their sides at least.
_FLOW_PIXELS, _FLOW_LEAST = 1_000_000, 64
#: Rows that are averaged at once, so that a large picture needs little memory.
_STRIP = 256
#: No second map: to OpenCV 5 an array without elements is one. Its stubs do not know of None.
_NO_MAP: Any = None
#: The mean difference of two frames of the same thing, in sigmas of each one's noise; a frame that
#: differs by `_USUAL` times as much counts in full, by twice that not at all.
_DIFFERENCE, _USUAL = 2 / np.sqrt(np.pi), 1.4


def quiet(frame: Frame, beside: Sequence[Frame]) -> Picture:
    """(H, W, 3) BGR: the frame as it is, or averaged with those `beside` it where it is noisy."""
    picture = to_bgr8(frame)
    sigma = noise(frame, beside)
    if sigma < NOISY:
        return picture
    total, shares = picture.astype(np.float32), np.ones((*picture.shape[:2], 1), np.float32)
    here = _small_grey(picture)
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    for one in beside:
        other = to_bgr8(one)
        moves = flow.calc(here, _small_grey(other), np.zeros((*here.shape, 2), np.float32))
        for top in range(0, len(picture), _STRIP):
            strip = slice(top, top + _STRIP)
            brought = _brought(other, np.asarray(moves, np.float32), strip)
            share = _alike(picture[strip], brought, sigma)
            total[strip] += share * brought
            shares[strip] += share
    return (total / shares + np.float32(0.5)).astype(np.uint8)


def _alike(picture: Picture, brought: Float32, sigma: float) -> Float32:
    """(H, W, 1) in [0, 1]: how far `brought` shows what `picture` does, but for noise."""
    apart = cv2.GaussianBlur(np.abs(brought - picture).mean(2), (0, 0), _ALIKE_SIGMA)
    share = np.clip(2 - apart / (_USUAL * _DIFFERENCE * sigma), 0, 1)
    return np.asarray(share[..., None], np.float32)


def _brought(other: Picture, moves: Float32, strip: slice) -> Float32:
    """(h, W, 3): `other` where `moves`, told at any size, say that the strip's things are."""
    height, width = other.shape[:2]
    ratio = np.array([width / moves.shape[1], height / moves.shape[0]], np.float32)
    rows, columns = np.arange(height, dtype=np.float32)[strip], np.arange(width, dtype=np.float32)
    places = np.stack(np.meshgrid(columns, rows), -1)
    at = (places + np.float32(0.5)) / ratio - np.float32(0.5)
    places += ratio * cv2.remap(moves, at, _NO_MAP, cv2.INTER_LINEAR, None, cv2.BORDER_REPLICATE)
    brought = cv2.remap(other, places, _NO_MAP, cv2.INTER_LINEAR, None, cv2.BORDER_REPLICATE)
    return np.asarray(brought, np.float32)


def _small_grey(picture: Picture) -> Picture:
    """The picture's light, blurred; of a large one a smaller picture, of a tiny one a larger."""
    grey = cv2.GaussianBlur(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), (0, 0), _FLOW_SIGMA)
    ratio = min(1.0, (_FLOW_PIXELS / grey.size) ** 0.5)
    size = [max(round(side * ratio), _FLOW_LEAST) for side in grey.shape[::-1]]
    return cv2.resize(grey, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
