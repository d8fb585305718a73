"""Sample each face of a window of frames onto the aligned canvas."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from facepipe.frames import Crops, Frame, Track
from facepipe.pipeline.colour import to_rgb

#: The FFHQ five-point template on a canvas of 128 px: eyes, nose, mouth corners, image-left first.
TEMPLATE = np.array(
    [[48.25, 59.99], [79.73, 60.05], [64.16, 78.50], [50.32, 92.85], [78.27, 92.79]], np.float64
)
CANVAS = 128
#: Frame px around the canvas that the interpolation may look at.
_REACH = 3


def canvas_to_frame(landmarks: NDArray[np.float32]) -> NDArray[np.float64]:
    """(2, 3): the similarity that takes the template nearest to `landmarks` (5, 2), least squares.

    As complex numbers it is w = a z + b, which has a closed form.
    """
    source = TEMPLATE[:, 0] + 1j * TEMPLATE[:, 1]
    target = landmarks[:, 0].astype(np.float64) + 1j * landmarks[:, 1].astype(np.float64)
    centred = source - source.mean()
    a = np.vdot(centred, target - target.mean()) / np.vdot(centred, centred).real
    b = target.mean() - a * source.mean()
    return np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag]])


def frame_px_per_canvas_px(to_frame: NDArray[np.float64]) -> float:
    """How many px of the frame one px of the canvas spans; at 1 and above nothing can be gained."""
    return float(np.hypot(to_frame[0, 0], to_frame[1, 0]))


def canvas_bounds(
    to_frame: NDArray[np.float64], width: int, height: int
) -> tuple[int, int, int, int]:
    """The integer box (x0, y0, x1, y1) of frame pixels that the canvas can touch, clipped.

    Empty (x0 == x1 or y0 == y1) where the canvas lies outside the frame.
    """
    edge = CANVAS - 0.5
    corners = np.array([[-0.5, -0.5, 1], [edge, -0.5, 1], [-0.5, edge, 1], [edge, edge, 1]])
    points = corners @ to_frame.T
    low = np.floor(points.min(0) + 0.5).astype(int)
    high = np.ceil(points.max(0) + 0.5).astype(int)
    x0, x1 = np.clip([low[0], high[0]], 0, width)
    y0, y1 = np.clip([low[1], high[1]], 0, height)
    return int(x0), int(y0), int(x1), int(y1)


def crop(frames: Sequence[Frame], tracks: Sequence[Track]) -> Crops:
    """All faces of `tracks` that `frames` show and that the canvas can better, one batch.

    A face whose canvas would have to shrink it is left out: a restorer must not take detail away.
    """
    pixels, transforms, numbers, owners = [], [], [], []
    for number, frame in enumerate(frames):
        for track in tracks:
            if not (track.enhance and track.covers(frame.pts)):
                continue
            to_frame = canvas_to_frame(track.landmarks_at(frame.pts))
            if not 0 < frame_px_per_canvas_px(to_frame) < 1:
                continue
            canvas = sample(frame, to_frame)
            if canvas is None:
                continue
            pixels.append(canvas)
            transforms.append(to_frame)
            numbers.append(number)
            owners.append(track.number)
    return Crops(
        np.stack(pixels) if pixels else np.zeros((0, CANVAS, CANVAS, 3), np.float32),
        np.stack(transforms) if transforms else np.zeros((0, 2, 3)),
        np.array(numbers, np.intp),
        np.array(owners, np.intp),
    )


def sample(frame: Frame, to_frame: NDArray[np.float64]) -> NDArray[np.float32] | None:
    """The canvas (128, 128, 3) RGB in [0, 1], None where it lies wholly outside the frame.

    Outside the frame its edge goes on. Only the box under the canvas is converted to RGB.
    """
    x0, y0, x1, y1 = canvas_bounds(to_frame, frame.width, frame.height)
    if x0 >= x1 or y0 >= y1:
        return None
    x0, y0 = max(x0 - _REACH, 0), max(y0 - _REACH, 0)
    # Even corners, so that subsampled chroma lies in the box as it lies in the frame.
    x0, y0 = x0 - x0 % 2, y0 - y0 % 2
    x1, y1 = min(x1 + _REACH, frame.width), min(y1 + _REACH, frame.height)
    box = to_rgb(frame, (x0, y0, x1, y1))
    shifted = to_frame - np.array([[0, 0, x0], [0, 0, y0]])
    canvas = cv2.warpAffine(
        box,
        shifted,
        (CANVAS, CANVAS),
        flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.clip(canvas, 0, 1)
