"""Composition of frames in the planes of one of them: its depth and its colours stay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from facepipe.datatypes import Colour, Frame, PixelFormat, Plane
from facepipe.faces.colour import change_in_planes, to_rgb
from facepipe.faces.restoration.enlarge import enlarge

Planes = tuple[Plane, ...]
#: Places are multiples of it, so that subsampled planes have a sample there.
GRID = 4


def on_grid(value: float) -> int:
    """The next multiple of GRID."""
    return -(-int(value) // GRID) * GRID


@dataclass(frozen=True)
class Kind:
    """What planes mean: their format and colour."""

    format: PixelFormat
    colour: Colour

    @staticmethod
    def of(frame: Frame) -> Kind:
        """As a frame's."""
        return Kind(frame.format, frame.colour)

    def shifts(self, plane: int) -> tuple[int, int]:
        """(across, down): log2 of a plane's subsampling."""
        chroma = self.format.model == "yuv" and plane in (1, 2)
        return (self.format.shift_x, self.format.shift_y) if chroma else (0, 0)

    def size(self, plane: int, width: int, height: int) -> tuple[int, int]:
        """(width, height) of a plane of an image of that size."""
        across, down = self.shifts(plane)
        return -(-width >> across), -(-height >> down)

    def of_rgb(self, image: NDArray[np.uint8]) -> Planes:
        """The planes of an RGB image (H, W, 3); alpha is opaque."""
        height, width = image.shape[:2]
        values = change_in_planes(
            image.astype(np.float32) / np.float32(255), self.format, self.colour
        )
        top = (1 << self.format.bits) - 1
        step = 1 << (self.format.bits - 8)
        black = 0 if self.colour.full_range or self.format.model == "rgb" else 16 * step
        planes: list[Plane] = []
        for number, value in enumerate(values):
            offset = 128 * step if self.shifts(number) != (0, 0) or number else black
            if self.format.model == "rgb":
                offset = 0
            small = cv2.resize(
                value, self.size(number, width, height), interpolation=cv2.INTER_AREA
            )
            planes.append(self._coded(np.clip(np.rint(small + offset), 0, top)))
        if self.format.alpha:
            planes.append(self._coded(np.full((height, width), top)))
        return tuple(planes)

    def _coded(self, values: NDArray[np.generic]) -> Plane:
        return values.astype(np.uint8) if self.format.bits == 8 else values.astype(np.uint16)

    def resized(self, planes: Planes, width: int, height: int) -> Planes:
        """Planes at another size, bicubic, or as means where it is smaller."""
        made: list[Plane] = []
        top = (1 << self.format.bits) - 1
        for number, plane in enumerate(planes):
            size = self.size(number, width, height)
            method = cv2.INTER_AREA if size[1] < plane.shape[0] else cv2.INTER_CUBIC
            large = cv2.resize(np.ascontiguousarray(plane), size, interpolation=method)
            made.append(self._coded(np.minimum(large, top)))
        return tuple(made)

    def cut(self, planes: Planes, area: tuple[int, int, int, int]) -> Planes:
        """The part (x0, y0, x1, y1) of planes; its first corner goes to the grid before it."""
        x0, y0 = area[0] // GRID * GRID, area[1] // GRID * GRID
        parts = []
        for number, plane in enumerate(planes):
            across, down = self.shifts(number)
            left, top = x0 >> across, y0 >> down
            right, bottom = -(-area[2] >> across), -(-area[3] >> down)
            parts.append(plane[top : max(bottom, top + 1), left : max(right, left + 1)])
        return tuple(parts)

    def canvas(self, width: int, height: int) -> Planes:
        """Black planes, to be written to."""
        return self.of_rgb(np.zeros((height, width, 3), np.uint8))

    def put(self, onto: Planes, planes: Planes, x: int, y: int) -> None:
        """Write planes onto others with their first corner at (x, y), multiples of GRID."""
        for number, (plane, part) in enumerate(zip(onto, planes, strict=True)):
            across, down = self.shifts(number)
            left, top = x >> across, y >> down
            room = plane[top : top + part.shape[0], left : left + part.shape[1]]
            room[...] = part[: room.shape[0], : room.shape[1]]


def planes_as(frame: Frame, kind: Kind, width: int, height: int) -> Planes:
    """The planes of a frame in another format and at another size."""
    if Kind.of(frame) != kind:
        rgb = np.clip(to_rgb(frame) * 255 + 0.5, 0, 255).astype(np.uint8)
        planes = kind.of_rgb(rgb)
        return kind.resized(planes, width, height) if rgb.shape[:2] != (height, width) else planes
    if (frame.width, frame.height) == (width, height):
        return frame.planes
    scale = width // frame.width
    if scale in (2, 4) and (frame.width * scale, frame.height * scale) == (width, height):
        return enlarge(frame, scale).planes  # as a run enlarges it
    return kind.resized(frame.planes, width, height)


def turned(planes: Sequence[Plane], turns: int) -> Planes:
    """Planes turned counter-clockwise by so many quarters."""
    made: list[Plane] = []
    for plane in planes:
        lying: Plane = plane if turns % 4 == 0 else np.rot90(plane, turns)
        made.append(lying)
    return tuple(made)
