"""Detectors: a picture in, its faces out. The libraries behind each load when it is made."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from facepipe.datatypes import Faces
from facepipe.errors import ModelError

DetectorName = Literal["yunet", "scrfd"]
#: The lowest score that may be a face's.
FLOOR = 0.3


class Detector(Protocol):
    """One pass over one picture, at the size it has.

    `hints` says whether what it finds in an enlarged picture alone shows faintly in the picture as
    it is: whether a score far below any face's tells where to look closer.
    """

    hints: bool

    def __call__(self, bgr: NDArray[np.uint8], /, *, floor: float = FLOOR) -> Faces:
        """Faces of a (H, W, 3) BGR picture that score `floor` and more, in its pixels.

        Overlaps are suppressed.
        """
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
