"""Crops of faces out of frames, upright and enlarged, as people look at them."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import cv2
import numpy as np
from numpy.typing import NDArray

from facepipe.datatypes import Float32, Frame
from facepipe.faces.colour import to_rgb

Rgb = NDArray[np.uint8]
Area = tuple[int, int, int, int]

#: Side of a crop, in heights of the face's box: the head and a little around it.
_AROUND = 1.8
_LEAST_SIDE = 8  # px of the frame


@dataclass(frozen=True)
class Shown:
    """How frames become what people see: a turn counter-clockwise, and the shape of a pixel."""

    rotation: int = 0  # degrees
    aspect: float = 1.0  # width of a pixel over its height

    @staticmethod
    def of(rotation: int, aspect: Fraction | None) -> Shown:
        """As a video's header has it."""
        return Shown(rotation, float(aspect) if aspect else 1.0)


def area_around(box: Float32, width: int, height: int, shown: Shown = Shown()) -> Area:
    """(x0, y0, x1, y1): the square about a face's box (xyxy) in frame pixels, within the frame.

    It is square as people see it, and moved where it would leave the frame.
    """
    tall = float(max(box[3] - box[1], (box[2] - box[0]) * shown.aspect, _LEAST_SIDE))
    sides = (tall * _AROUND / shown.aspect, tall * _AROUND)
    area = []
    for low, high, side, length in zip(box[:2], box[2:], sides, (width, height), strict=True):
        span = min(max(round(side), 1), length)
        begin = round((float(low) + float(high) - span) / 2)
        begin = min(max(begin, 0), length - span)
        area.append((begin, begin + span))
    return area[0][0], area[1][0], area[0][1], area[1][1]


def crop_area(
    frame: Frame, area: Area, side: int, *, scale: int = 1, shown: Shown = Shown()
) -> Rgb:
    """(side, side, 3) RGB: an area of source pixels out of a frame that is `scale` times as large.

    Enlarged bicubically, upright. Where the area is no square, its edge is repeated.
    """
    x0, y0, x1, y1 = (value * scale for value in area)
    part = np.clip(to_rgb(frame, (x0, y0, x1, y1)) * 255 + 0.5, 0, 255).astype(np.uint8)
    ratio = side / max((x1 - x0) * shown.aspect, y1 - y0)
    size = (
        min(max(round((x1 - x0) * shown.aspect * ratio), 1), side),
        min(max(round((y1 - y0) * ratio), 1), side),
    )
    method = cv2.INTER_AREA if size[1] < part.shape[0] else cv2.INTER_CUBIC
    sized = np.asarray(cv2.resize(part, size, interpolation=method), np.uint8)
    image = upright(sized, shown)
    down, across = side - image.shape[0], side - image.shape[1]
    if down or across:
        edges = (down // 2, -(-down // 2), across // 2, -(-across // 2))
        image = np.asarray(cv2.copyMakeBorder(image, *edges, cv2.BORDER_REPLICATE), np.uint8)
    return image


def upright(image: NDArray[np.uint8], shown: Shown) -> Rgb:
    """An image of the frame turned as people see it."""
    return np.ascontiguousarray(np.rot90(image, round(shown.rotation / 90) % 4))


def share_invented(before: Rgb, after: Rgb) -> float:
    """The share of a face's contrast that the restorer made, from 0 to 1.

    RMS of the difference of two crops of the same size over the RMS contrast of the enhanced one.
    """
    made = after.astype(np.float32)
    change = float(np.sqrt(np.mean((made - before) ** 2)))
    contrast = float(np.sqrt(np.mean((made - made.mean((0, 1))) ** 2)))
    return min(change / max(contrast, 1e-6), 1.0)
