"""Intersection over union of boxes, and non-maximum suppression."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from facepipe.datatypes import Faces


def sizes(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N,) the square root of each box's area, from (N, 4) xyxy."""
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 0)
    return np.asarray(np.sqrt(sides[:, 0] * sides[:, 1]), np.float32)


def iou(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N, M) intersection over union of (N, 4) and (M, 4) xyxy boxes."""
    low = np.maximum(one[:, None, :2], other[None, :, :2])
    high = np.minimum(one[:, None, 2:], other[None, :, 2:])
    inner = np.maximum(high - low, 0).prod(2)
    union = sizes(one)[:, None] ** 2 + sizes(other)[None] ** 2 - inner
    return np.asarray(inner / np.maximum(union, 1e-9), np.float32)


def nms(faces: Faces, overlap: float) -> Faces:
    """Non-maximum suppression: the best of the faces whose IoU exceeds `overlap`, best first."""
    order = np.argsort(-faces.scores, kind="stable")
    boxes = faces.boxes[order].astype(np.float64)
    corner_and_sides = np.concatenate((boxes[:, :2], np.maximum(boxes[:, 2:] - boxes[:, :2], 0)), 1)
    # Ranks instead of scores, as OpenCV leaves out those of 0 and has an order of its own in ties.
    ranks = np.arange(len(boxes), 0, -1, dtype=np.float32)
    kept = cv2.dnn.NMSBoxes(corner_and_sides, ranks, 0.0, overlap)  # type: ignore[arg-type]
    return faces.take(order[np.asarray(kept, np.intp).ravel()])
