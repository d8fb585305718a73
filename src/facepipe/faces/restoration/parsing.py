"""Parses for restorers that make none: the mask by which a face is pasted is then ParsingNet's."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from facepipe.datatypes import OWN_ALIGNMENT, Alignment, Crops, Float32, Float64, Restored
from facepipe.faces.canvas import antialiased, canvas_to_frame, compose, invert, resampled
from facepipe.models.contract import Contract
from facepipe.models.restorers import Restorer

#: Gives the parses (N, 8, 32, 32) of crops on facepipe's own canvas.
Parser = Callable[[Crops], Float32]


class ParsedRestorer:
    """A restorer whose faces come with the parse of their source."""

    def __init__(self, restorer: Restorer, parser: Parser) -> None:
        self._restorer, self._parser = restorer, parser
        self.description = restorer.description

    @property
    def contract(self) -> Contract:
        return self._restorer.contract

    def __call__(self, crops: Crops) -> Restored:
        restored = self._restorer(crops)
        return Restored(pixels=restored.pixels, parse=parses(crops, self._parser))


def parses(crops: Crops, parser: Parser) -> Float32:
    """(N, 8, 32, 32): the parses of crops with any alignment, on their own canvases."""
    from_own = canvas_to_frame(crops.alignment.points, OWN_ALIGNMENT)
    pixels = [
        np.clip(resampled(antialiased(canvas, from_own), from_own), 0, 1) for canvas in crops.pixels
    ]
    own = Crops(
        pixels=np.stack(pixels) if pixels else Crops.none().pixels,
        to_frame=crops.to_frame,
        frame=crops.frame,
        track=crops.track,
    )
    found = parser(own)
    if crops.alignment.template == OWN_ALIGNMENT.template:
        return found
    return _turned_back(found, from_own, crops.alignment)


def _turned_back(found: Float32, from_own: Float64, alignment: Alignment) -> Float32:
    """Parses on facepipe's own canvas as parses on the canvas of that alignment."""
    cells = found.shape[-1]

    def to_cells(side: int) -> Float64:
        share = cells / side
        return np.array([[share, 0, (share - 1) / 2], [0, share, (share - 1) / 2]])

    own_side, side = OWN_ALIGNMENT.side, alignment.side
    to_own = compose(to_cells(own_side), compose(invert(from_own), invert(to_cells(side))))
    moved = np.empty_like(found)
    for face, parts in zip(moved, found, strict=True):
        for share, part in zip(face, parts, strict=True):
            share[:] = np.clip(resampled(part, to_own, cells), 0, 1)
    return moved
