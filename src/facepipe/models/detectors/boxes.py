"""Overlap of boxes, and the suppression of those that say the same face twice."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from facepipe.datatypes import Faces


def sizes(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N,) the square root of each box's area, from (N, 4) xyxy."""
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 0)
    return np.asarray(np.sqrt(sides[:, 0] * sides[:, 1]), np.float32)


def overlaps(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N, M) intersection over union of (N, 4) and (M, 4) xyxy boxes."""
    low = np.maximum(one[:, None, :2], other[None, :, :2])
    high = np.minimum(one[:, None, 2:], other[None, :, 2:])
    inner = np.maximum(high - low, 0).prod(2)
    union = sizes(one)[:, None] ** 2 + sizes(other)[None] ** 2 - inner
    return np.asarray(inner / np.maximum(union, 1e-9), np.float32)


def suppress(faces: Faces, overlap: float) -> Faces:
    """The best-scored face of each heap that overlaps by more than `overlap`, best first."""
    order = np.argsort(-faces.scores, kind="stable")
    kept: list[int] = []
    while len(order):
        best, rest = order[0], order[1:]
        kept.append(int(best))
        apart = overlaps(faces.boxes[best][None], faces.boxes[rest])[0] <= overlap
        order = rest[apart]
    return faces.take(np.array(kept, np.intp))


def join(parts: list[Faces]) -> Faces:
    """All faces of `parts` in one, in order."""
    return Faces(
        np.concatenate([p.boxes for p in (Faces.none(), *parts)]),
        np.concatenate([p.scores for p in (Faces.none(), *parts)]),
        np.concatenate([p.landmarks for p in (Faces.none(), *parts)]),
    )
