"""How an image that is written lies over the one that was stored: turned by EXIF, and enlarged."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

Number = TypeVar("Number", int, float)


@dataclass(frozen=True)
class Turn:
    """How the pixels that are written come from those that were stored.

    `width` and `height` are the stored ones, in pixels; `orientation` is EXIF's, 1..8, that was
    applied (1: none was); `scale` says how many times larger the image is.
    """

    width: int
    height: int
    orientation: int = 1
    scale: int = 1

    @property
    def changes(self) -> bool:
        """Whether anything moves at all."""
        return self.orientation != 1 or self.scale != 1

    @property
    def mirrors(self) -> bool:
        """Whether left and right are exchanged, as seen by what is in the image."""
        return self.orientation in (2, 4, 5, 7)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height that are written, in pixels."""
        return self.pair(self.width * self.scale, self.height * self.scale)

    def pair(self, across: Number, down: Number) -> tuple[Number, Number]:
        """A width and a height, which change places where the image lay on its side."""
        return (down, across) if self.orientation > 4 else (across, down)

    def share(self, x: float, y: float) -> tuple[float, float]:
        """A point in shares of the stored width and height, in those that are written."""
        x, y = self.pair(x, y)
        if self.orientation in (2, 3, 6, 7):
            x = 1 - x
        if self.orientation in (3, 4, 7, 8):
            y = 1 - y
        return x, y

    def point(self, x: float, y: float) -> tuple[float, float]:
        """A point in stored pixels, in pixels that are written."""
        width, height = self.size
        x, y = self.share(x / self.width, y / self.height)
        return x * width, y * height

    def box(
        self, left: float, top: float, right: float, bottom: float
    ) -> tuple[float, float, float, float]:
        """Left, top, right and bottom in shares of what is stored, in those of what is written."""
        return _ordered([self.share(left, top), self.share(right, bottom)])

    def box_in_pixels(
        self, left: float, top: float, right: float, bottom: float
    ) -> tuple[float, float, float, float]:
        """The same in pixels."""
        return _ordered([self.point(left, top), self.point(right, bottom)])

    def roll(self, degrees: float) -> float:
        """A direction as a clock's hand shows it, 0 up: where it points then, 0 to 360."""
        ahead = math.radians(degrees)
        x, y = self.share(math.sin(ahead), -math.cos(ahead))
        from_x, from_y = self.share(0, 0)
        return math.degrees(math.atan2(x - from_x, from_y - y)) % 360


def _ordered(corners: Iterable[tuple[float, float]]) -> tuple[float, float, float, float]:
    (left, right), (top, bottom) = (sorted(ends) for ends in zip(*corners, strict=True))
    return left, top, right, bottom
