"""Detectors: a picture in, its faces out. The libraries behind each load when it is made."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from facepipe.errors import ModelError
from facepipe.frames import Faces

DetectorName = Literal["yunet", "scrfd"]


class Detector(Protocol):
    """One pass over one picture, at the size it has."""

    def __call__(self, bgr: NDArray[np.uint8], /) -> Faces:
        """Faces of a (H, W, 3) BGR picture, in its pixels, overlaps suppressed."""
        ...


def create_detector(name: DetectorName, *, pack: Path | None = None, threads: int = 1) -> Detector:
    """The detector of that name; `pack` is the folder of SCRFD's weights.

    `threads` bounds YuNet's; insightface lets no one bound SCRFD's.

    Raises ModelError when its package or its weights are missing or damaged.
    """
    match name:
        case "yunet":
            from facepipe.models.detectors.yunet import YuNet

            return YuNet(threads=threads)
        case "scrfd":
            from facepipe.models.detectors.scrfd import ScrfdDetector

            if pack is None:
                raise ModelError("the SCRFD detector needs the folder of an insightface pack")
            return ScrfdDetector(pack)
