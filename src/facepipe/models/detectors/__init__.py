"""Face detectors. The libraries behind each load when it is made."""

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
    """Detects faces in one pass over one image, at the size it has.

    `hints`: a face that it finds in the enlarged image alone has a faint score in the image as it
    is. So a score far below any face's shows where to search enlarged.
    """

    hints: bool

    def __call__(self, bgr: NDArray[np.uint8], /, *, floor: float = FLOOR) -> Faces:
        """Faces of a (H, W, 3) BGR image that score `floor` and more, in its pixels.

        Overlaps are suppressed (`boxes.nms`).
        """
        ...


def create_detector(name: DetectorName, *, pack: Path | None = None, threads: int = 1) -> Detector:
    """The detector of that name; `pack` is the folder of SCRFD's weights.

    `threads` bounds YuNet's; those of SCRFD cannot be bounded through insightface.

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
