"""Alignment: the similarity transform from five landmarks to the canvas, and the pose it shows."""

from __future__ import annotations

from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from facepipe.datatypes import CANVAS, CANVAS_FACE, OWN_ALIGNMENT, Alignment

Number = TypeVar("Number", np.uint8, np.float32)

#: The FFHQ five-point template on a canvas of 128 px: eyes, nose, mouth corners, image-left first.
TEMPLATE = OWN_ALIGNMENT.points
#: Distance between the eyes over that from eyes to mouth, of a profile and of a face that is turned
#: half aside; a frontal face has 0.96.
_PROFILE, _ASIDE = 0.2, 0.45


def canvas_to_frame(
    landmarks: NDArray[np.floating], alignment: Alignment = OWN_ALIGNMENT
) -> NDArray[np.float64]:
    """(2, 3): the similarity that takes the template to `landmarks` (5, 2), least squares.

    As complex numbers it is w = a z + b, which has a closed form.
    """
    source = alignment.points[:, 0] + 1j * alignment.points[:, 1]
    target = landmarks[:, 0].astype(np.float64) + 1j * landmarks[:, 1].astype(np.float64)
    centred = source - source.mean()
    a = np.vdot(centred, target - target.mean()) / np.vdot(centred, centred).real
    b = target.mean() - a * source.mean()
    return np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag]])


def resampled(
    image: NDArray[Number], to_image: NDArray[np.float64], side: int = CANVAS
) -> NDArray[Number]:
    """(side, side, C): `image` sampled bicubically where (2, 3) `to_image` takes each place.

    Outside, the edge is replicated. Rendering, training and evaluation all sample by this.
    """
    sampled = cv2.warpAffine(
        image,
        to_image,
        (side, side),
        flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(sampled, image.dtype)


def antialiased(image: NDArray[np.float32], to_image: NDArray[np.float64]) -> NDArray[np.float32]:
    """The image, blurred where `to_image` skips px of it, so that sampling it does not alias."""
    spacing = frame_px_per_canvas_px(to_image)
    if spacing <= 1:
        return image
    sigma = 0.5 * np.sqrt(spacing**2 - 1) + 1e-3
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.float32)


def frame_px_per_canvas_px(to_frame: NDArray[np.float64]) -> float:
    """The px of the frame that one px of the canvas spans; from 1 on, nothing can be gained."""
    return float(np.hypot(to_frame[0, 0], to_frame[1, 0]))


def improves(to_frame: NDArray[np.float64], alignment: Alignment = OWN_ALIGNMENT) -> bool:
    """Whether a face of that size is restored: always, or while its canvas does not shrink it."""
    return alignment.any_size or frame_px_per_canvas_px(to_frame) < 1


def roll(landmarks: NDArray[np.float32]) -> float:
    """Roll of a face in the image plane, in radians, clockwise as one looks at it."""
    to_frame = canvas_to_frame(landmarks)
    return float(np.arctan2(to_frame[1, 0], to_frame[0, 0]))


def landmark_error(landmarks: NDArray[np.float32]) -> float:
    """Mean distance of `landmarks` (5, 2) from the aligned TEMPLATE, in sizes of the face's box."""
    placed = canvas_to_frame(landmarks)
    off = TEMPLATE @ placed[:, :2].T + placed[:, 2] - landmarks
    size = CANVAS_FACE * frame_px_per_canvas_px(placed)
    return float(np.hypot(*off.T).mean() / max(size, 1e-6))


def frontality(landmarks: NDArray[np.float32]) -> float:
    """1 for a frontal face or one half aside, falling to 0 towards a profile.

    From `landmarks` (5, 2): the distance between the eyes over that from eyes to mouth. The five
    points of a profile are too few to align it by.
    """
    eyes = np.hypot(*(landmarks[1] - landmarks[0]))
    down = np.hypot(*(landmarks[3:].mean(0) - landmarks[:2].mean(0)))
    ratio = eyes / max(float(down), 1e-6)
    return float(np.clip((ratio - _PROFILE) / (_ASIDE - _PROFILE), 0, 1))


def canvas_bounds(
    to_frame: NDArray[np.float64], width: int, height: int, side: int = CANVAS
) -> tuple[int, int, int, int]:
    """The integer box (x0, y0, x1, y1) of frame pixels that the canvas can touch, clipped.

    The canvas has `side` px. Empty (x0 == x1 or y0 == y1) where it lies outside the frame.
    """
    edge = side - 0.5
    corners = np.array([[-0.5, -0.5, 1], [edge, -0.5, 1], [-0.5, edge, 1], [edge, edge, 1]])
    points = corners @ to_frame.T
    low = np.floor(points.min(0) + 0.5).astype(int)
    high = np.ceil(points.max(0) + 0.5).astype(int)
    x0, x1 = np.clip([low[0], high[0]], 0, width)
    y0, y1 = np.clip([low[1], high[1]], 0, height)
    return int(x0), int(y0), int(x1), int(y1)


def compose(second: NDArray[np.float64], first: NDArray[np.float64]) -> NDArray[np.float64]:
    """(2, 3): the affine map that applies `first`, then `second`, each (2, 3)."""
    shift = second[:, :2] @ first[:, 2] + second[:, 2]
    return np.column_stack((second[:, :2] @ first[:, :2], shift))


def invert(affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """(2, 3): the inverse of the (2, 3) map `affine`."""
    linear = np.linalg.inv(affine[:, :2])
    return np.column_stack((linear, -linear @ affine[:, 2]))
