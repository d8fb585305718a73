"""Enlargement of a whole frame, plane by plane, in its own pixel format."""

from __future__ import annotations

from functools import cache
from typing import cast

import cv2
import numpy as np

from facepipe.datatypes import Float32, Frame, Plane
from facepipe.datatypes.stages import stage

#: The cubic's slope at its neighbouring samples, as OpenCV has it.
_SLOPE = -0.75


def enlarge(frame: Frame, scale: int) -> Frame:
    """The frame `scale` times as large, bicubic; values stay within the format's bits."""
    top = (1 << frame.format.bits) - 1
    across = frame.format.shift_x if frame.format.model == "yuv" else 0
    down = frame.format.shift_y if frame.format.model == "yuv" else 0
    planes: list[Plane] = []
    with stage("scaling"):
        for number, plane in enumerate(frame.planes):
            shifts = (across, down) if number in (1, 2) else (0, 0)
            if shifts[0]:
                large = _enlarged_chroma(plane, scale, shifts[0], top)
            else:
                large = _enlarged(plane, scale, top)
            # A frame of odd size, when enlarged, needs less chroma than the samples there make.
            height = -(-frame.height * scale >> shifts[1])
            width = -(-frame.width * scale >> shifts[0])
            planes.append(large[:height, :width])
    return frame.with_planes(tuple(planes))


def _enlarged(plane: Plane, scale: int, top: int) -> Plane:
    """A plane, whose first sample becomes the middle of the first `scale` ones in each direction.

    So it is for luma, and for chroma between two rows, which MPEG puts in the middle of them.
    """
    size = (plane.shape[1] * scale, plane.shape[0] * scale)
    large = cast("Plane", cv2.resize(plane, size, interpolation=cv2.INTER_CUBIC))
    # Cubic overshoot: 16-bit arithmetic saturates far above ten or twelve bits.
    return large if plane.dtype == np.uint8 else cast("Plane", np.minimum(large, top, out=large))


def _enlarged_chroma(plane: Plane, scale: int, shift: int, top: int) -> Plane:
    """A plane of chroma, whose samples MPEG puts on every second luma sample of a row (`shift` 1).

    From left to right each of the `scale` samples between two old ones has a filter of its own.
    """
    size = (plane.shape[1], plane.shape[0] * scale)
    tall = cv2.resize(plane.astype(np.float32), size, interpolation=cv2.INTER_CUBIC)
    large = np.empty((size[1], size[0] * scale), plane.dtype)
    for phase in range(scale):
        wide = np.asarray(
            cv2.filter2D(tall, -1, _taps(phase, scale, shift), borderType=cv2.BORDER_REPLICATE)
        )
        large[:, phase::scale] = np.clip(np.rint(wide, out=wide), 0, top, out=wide)
    return large


@cache
def _taps(phase: int, scale: int, shift: int) -> Float32:
    """(1, 7): the cubic's weights of old samples, for the new one `phase` after the fourth."""
    place = (phase - (scale - 1) / (2 << shift)) / scale
    away = np.abs(np.arange(-3, 4) - place)
    near = ((_SLOPE + 2) * away - (_SLOPE + 3)) * away**2 + 1
    far = ((_SLOPE * away - 5 * _SLOPE) * away + 8 * _SLOPE) * away - 4 * _SLOPE
    taps = np.where(away <= 1, near, np.where(away < 2, far, 0))
    return np.asarray(taps[None], np.float32)
