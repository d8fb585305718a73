"""Evaluation protocols: four ways to degrade a face whose ground truth is known."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from facepipe.datatypes import CANVAS, NEIGHBOUR_CHANNELS, Float32
from facepipe.training.data import fuse_neighbours
from facepipe.training.degradations import (
    degrade,
    degrade_sequence,
    draw_degradation,
)
from facepipe.training.face_archive import crop_canvas
from facepipe.training.reductions import bicubic_downscaled

FaceProtocol = Literal["bicubic8", "bicubic4", "blind", "sequence"]
Rgb = NDArray[np.uint8]
#: Side of the low-resolution face in the protocols of the papers, px.
_LOW_RESOLUTION = {"bicubic8": 16, "bicubic4": 32}


def degrade_for(
    face: Rgb, protocol: FaceProtocol, *, number: int, seed: int = 0
) -> tuple[Rgb, Float32]:
    """Degrade an aligned face (160, 160, 3): a canvas (128, 128, 3) uint8 and its fused neighbours.

    The fused neighbour frames (128, 128, 7) are zero but in `sequence`. The result depends on
    `seed` and the face's `number` alone; `sequence` gives the canvas of `blind`.
    """
    no_neighbours = np.zeros((CANVAS, CANVAS, NEIGHBOUR_CHANNELS), np.float32)
    if protocol in _LOW_RESOLUTION:
        return bicubic_downscaled(crop_canvas(face), _LOW_RESOLUTION[protocol]), no_neighbours
    degradation = draw_degradation(np.random.default_rng([seed, number]))
    if protocol == "blind":
        return degrade(face, degradation), no_neighbours
    sequence = degrade_sequence(face, degradation)
    return sequence.canvases[len(sequence.canvases) // 2], fuse_neighbours(sequence)
