"""What a restorer is given when its truth is known: faces made small in one of four ways."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from facepipe.datatypes import CANVAS, NEIGHBOUR_CHANNELS, Float32
from facepipe.training.data import what_is_beside
from facepipe.training.degradations import (
    bicubic_reduced,
    degrade,
    degrade_sequence,
    draw_degradation,
)
from facepipe.training.face_archive import canvas_of

Protocol = Literal["bicubic8", "bicubic4", "blind", "sequence"]
Rgb = NDArray[np.uint8]
#: Px a side of the face in the protocols of the papers.
_SMALL = {"bicubic8": 16, "bicubic4": 32}


def given(face: Rgb, protocol: Protocol, *, number: int, seed: int = 0) -> tuple[Rgb, Float32]:
    """What a restorer gets of the aligned face (160, 160, 3): its canvas, and what is beside it.

    The canvas is (128, 128, 3); what the frames beside add (128, 128, 7) is zero but in `sequence`.
    Depends on `seed` and the face's `number` alone; `sequence` gives the canvas of `blind`.
    """
    alone = np.zeros((CANVAS, CANVAS, NEIGHBOUR_CHANNELS), np.float32)
    if protocol in _SMALL:
        return bicubic_reduced(canvas_of(face), _SMALL[protocol]), alone
    how = draw_degradation(np.random.default_rng([seed, number]))
    if protocol == "blind":
        return degrade(face, how), alone
    sighted = degrade_sequence(face, how)
    return sighted.canvases[len(sighted.canvases) // 2], what_is_beside(sighted)
