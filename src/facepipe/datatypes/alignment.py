"""Alignment: the canvas on which a restorer wants a face, and where the face lies on it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

#: Side of the canvas of facepipe's own networks, in px.
CANVAS = 128
#: Px of a face's box, the square root of its area, on that canvas: one so large fills it.
CANVAS_FACE = 70.0

Points = tuple[tuple[float, float], ...]

#: Five landmarks (eyes, nose, mouth corners, image-left first) as shares of the canvas's side:
#: FFHQ's, of GFPGAN and CodeFormer too, and ArcFace's, of insightface.
TEMPLATES: dict[str, Points] = {
    "ffhq": tuple(
        (x / 128, y / 128)
        for x, y in ((48.25, 59.99), (79.73, 60.05), (64.16, 78.50), (50.32, 92.85), (78.27, 92.79))
    ),
    "arcface": tuple(
        (x / 112, y / 112)
        for x, y in (
            (38.2946, 51.6963),
            (73.5318, 51.5014),
            (56.0252, 71.7366),
            (41.5493, 92.3655),
            (70.7299, 92.2041),
        )
    ),
}


@dataclass(frozen=True)
class Alignment:
    """A square canvas of `side` px and the places of a face's five landmarks on it.

    `template` are five (x, y) as shares of the side, image-left first. `any_size`: faces that are
    larger than the canvas are put on it too; otherwise they are left alone.
    """

    side: int = CANVAS
    template: Points = TEMPLATES["ffhq"]
    any_size: bool = False

    @cached_property
    def points(self) -> NDArray[np.float64]:
        """(5, 2): the landmarks in px of the canvas."""
        return np.array(self.template, np.float64) * self.side

    @cached_property
    def largest_face(self) -> float:
        """Side of the largest face that is restored, px of the frame; infinite for `any_size`.

        One that fills the canvas: from there on, the canvas would have to shrink it.
        """
        return float("inf") if self.any_size else CANVAS_FACE * self._enlargement

    @cached_property
    def _enlargement(self) -> float:
        """Size of a face on this canvas, in its size on the canvas of facepipe's own networks."""
        own = np.array(TEMPLATES["ffhq"]) * CANVAS
        spread = [
            float(np.hypot(*(points - points.mean(0)).T).sum()) for points in (self.points, own)
        ]
        return spread[0] / spread[1]


#: The alignment of facepipe's own networks.
OWN_ALIGNMENT = Alignment()
