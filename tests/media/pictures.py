"""Frames of videos as arrays and as PyAV has them, and their digests."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

Pictures = list[NDArray[np.uint8]]


def images(path: Path) -> list[av.VideoFrame]:
    """All frames of a video."""
    with av.open(str(path)) as container:
        return list(container.decode(video=0))


def rgb(image: av.VideoFrame) -> NDArray[np.uint8]:
    """(H, W, 3) the pixels of a frame."""
    return np.asarray(image.to_ndarray(format="rgb24"), np.uint8)


def digests(pictures: Iterable[Any]) -> list[str]:
    """A hash of each array."""
    return [hashlib.md5(np.ascontiguousarray(one).tobytes()).hexdigest() for one in pictures]
