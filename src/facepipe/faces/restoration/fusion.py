"""Multi-frame fusion: what the neighbouring frames of one face add to its canvas.

A face that moves falls on other places of the sensor's grid in every frame, so five frames hold
more than one: each pixel of each frame is a sample of its own. The neighbouring frames are
registered by dense optical flow (the five landmarks are off by too much). Every place of the canvas
then gets the mean of all frames, and their mean weighted by how near their samples lie ("drizzle",
Fruchter and Hook, 2002).
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from facepipe.datatypes import NEIGHBOUR_CHANNELS, SEQUENCE_LENGTH, Float32
from facepipe.faces.similarity import cell_means, in_colours, similarity

#: Sigma of the weight of a sample by its distance from a place, px of the frame.
_NEAR = 0.15
#: Weight that every frame has wherever its samples lie.
_FLOOR = 1e-3
#: Cells a side of the window in which canvases are compared.
_WINDOW = 5
#: No second map: to OpenCV 5 an array without elements is one. Its stubs do not know of None.
_NO_MAP: Any = None
_of_thread = threading.local()


def fuse(
    canvas: Float32,
    to_frame: NDArray[np.float64],
    neighbours: Sequence[tuple[Float32, NDArray[np.float64]]],
    *,
    noise_variance: float = 0.0,
) -> Float32:
    """(S, S, 7): what the neighbouring frames add to `canvas`, all zero where nothing.

    Canvases are (S, S, 3) RGB in [0, 1], each with its (2, 3) from canvas points to frame
    points. Channels 0 to 2: the mean of all frames less `canvas`; 3 to 5: the nearest samples of
    all frames less `canvas`; 6: the share of frames, of four, that show the same there.
    `noise_variance` is as in `similarity`.
    """
    side = len(canvas)
    if not neighbours:
        return np.zeros((side, side, NEIGHBOUR_CHANNELS), np.float32)
    gray, own = _gray(canvas), cell_means(canvas)
    # Sums over the frames of how they differ from the canvas, which itself differs by nothing.
    mean_sum, near_sum = np.zeros_like(canvas), np.zeros_like(canvas)
    count = np.ones((side, side), np.float32)
    grid = _grid(side)
    near_count = _nearness(grid, to_frame)
    for other, other_to_frame in neighbours:
        places = grid + _flow().calc(gray, _gray(other), None)  # type: ignore[call-overload]
        seen = _warped(other, places)
        share = similarity(
            own, cell_means(seen), window=_WINDOW, noise_variance=noise_variance, side=side
        )
        share *= _within(places)
        near = share * _nearness(places, other_to_frame)
        difference = np.subtract(seen, canvas, out=seen)
        cv2.accumulateProduct(difference, in_colours(share), mean_sum)
        cv2.accumulateProduct(difference, in_colours(near), near_sum)
        count += share
        near_count += near
    mean = cv2.divide(mean_sum, in_colours(count), dst=mean_sum)
    nearest = cv2.divide(near_sum, in_colours(near_count), dst=near_sum)
    fused = cv2.merge((mean, nearest, (count - 1) / np.float32(SEQUENCE_LENGTH - 1)))
    return np.asarray(fused, np.float32)


@cache
def _grid(side: int) -> Float32:
    """(S, S, 2): the places of a canvas."""
    return np.stack(np.meshgrid(np.arange(side), np.arange(side)), -1).astype(np.float32)


def _flow() -> cv2.DISOpticalFlow:
    """This thread's own: it keeps its buffers from one call to the next."""
    made: cv2.DISOpticalFlow | None = getattr(_of_thread, "flow", None)
    if made is None:
        made = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
        _of_thread.flow = made
    return made


def _gray(canvas: Float32) -> NDArray[np.uint8]:
    gray = cv2.cvtColor(canvas, cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.convertScaleAbs(gray, alpha=255), np.uint8)


def _warped(other: Float32, places: Float32) -> Float32:
    """(S, S, 3): the other canvas sampled at `places`."""
    warped = cv2.remap(other, places, _NO_MAP, cv2.INTER_CUBIC, None, cv2.BORDER_REPLICATE)
    return np.asarray(warped, np.float32)


def _nearness(places: Float32, to_frame: NDArray[np.float64]) -> Float32:
    """(S, S) weights: 1 where a place lies on the centre of a frame pixel, less between."""
    points = np.asarray(cv2.transform(places, to_frame.astype(np.float32)), np.float32)
    off = points - np.rint(points)
    squared = off[..., 0] ** 2 + off[..., 1] ** 2
    return np.asarray(np.exp(squared * np.float32(-0.5 / _NEAR**2)) + np.float32(_FLOOR))


def _within(places: Float32) -> NDArray[np.bool_]:
    """(S, S): where the flow does not leave the canvas."""
    return np.asarray(cv2.inRange(places, (0, 0), (len(places) - 1, len(places) - 1))) > 0
