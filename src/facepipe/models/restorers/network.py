"""A network as a restorer: the one place where contracts are honoured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from facepipe.datatypes import Crops, Float32, Restored
from facepipe.datatypes.stages import stage
from facepipe.errors import ModelError
from facepipe.models.contract import Contract

#: Parts of a face and side of a parse, in `Restored.parse`.
_PARSE = (8, 32, 32)


class Network(Protocol):
    """Runs a network on canvases as its contract says: (N, C, S, S) float32.

    Returns the restored canvases (N, 3, S, S), and where the contract's mask is "own" their parses
    (N, 8, 32, 32) after them.
    """

    description: str

    def __call__(self, canvases_NCHW: Float32, /) -> Sequence[Float32]: ...


class NetworkRestorer:
    """Restores canvases by a network, in the batches, colours and values of its contract.

    With `mirrored`, each result is the mean over the face and its mirror image: a little nearer to
    the truth, at twice the cost.
    """

    def __init__(self, network: Network, contract: Contract, *, mirrored: bool = False) -> None:
        self._network = network
        self._mirrored = mirrored
        self.contract = contract
        self.description = network.description

    def __call__(self, crops: Crops) -> Restored:
        """Restore all N canvases; ModelError where the network gives what it must not."""
        side = self.contract.canvas
        pixels = np.empty((len(crops), side, side, 3), np.float32)
        own_parse = self.contract.mask == "own"
        parses = np.empty((len(crops), *_PARSE), np.float32) if own_parse else None
        for numbers, input_side in self._batches(crops):
            canvases = self._inputs(crops, numbers, input_side)
            made, parse = self._restored(canvases)
            if self._mirrored:  # no class of the parse distinguishes left from right
                half = np.float32(0.5)
                other, other_parse = self._restored(np.ascontiguousarray(canvases[..., ::-1]))
                made = half * (made + other[:, :, ::-1])
                if parse is not None and other_parse is not None:
                    parse = half * (parse + other_parse[..., ::-1])
            pixels[numbers] = made
            if parses is not None:
                parses[numbers] = parse
        return Restored(pixels=pixels, parse=parses)

    def _batches(self, crops: Crops) -> list[tuple[NDArray[np.intp], int]]:
        """The numbers of the faces that go through the network at once, and their side in it."""
        sides = np.array([self._side_of(to_frame) for to_frame in crops.to_frame], np.intp)
        return [
            (same[first : first + self.contract.batch], int(side))
            for side in np.unique(sides)
            for same in [np.nonzero(sides == side)[0]]
            for first in range(0, len(same), self.contract.batch)
        ]

    def _side_of(self, to_frame: NDArray[np.float64]) -> int:
        """The side in which the network is given a face, px."""
        side = self.contract.input_side
        shown = float(np.hypot(to_frame[0, 0], to_frame[1, 0])) * self.contract.canvas
        if not self.contract.native or shown == 0:  # 0: of no frame
            return side
        while side % 2 == 0 and side // 2 >= max(shown, self.contract.least_input):
            side //= 2
        return side

    def _inputs(self, crops: Crops, numbers: NDArray[np.intp], side: int) -> Float32:
        """(n, C, side, side): the faces of these numbers, as the contract says."""
        low, high = self.contract.range
        pixels = _resized(crops.pixels[numbers], side)
        if self.contract.colour == "bgr":
            pixels = pixels[..., ::-1]
        if (low, high) != (0, 1):
            pixels = pixels * np.float32(high - low) + np.float32(low)
        if self.contract.neighbours:
            pixels = np.concatenate([pixels, crops.neighbours_or_nothing(numbers)], 3)
        return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2), np.float32)

    def _restored(self, canvases: Float32) -> tuple[Float32, Float32 | None]:
        """(n, S, S, 3) RGB in [0, 1] and (n, 8, 32, 32), of what is given to the network."""
        with stage("network"):
            results = self._network(canvases)
        made = np.asarray(results[0], np.float32)
        count, side = len(canvases), self.contract.canvas
        wanted = (count, 3, side, side)
        given_side = canvases.shape[-1]
        if given_side != self.contract.input_side:  # a face that is small in the frame
            scale = side / self.contract.input_side
            wanted = (count, 3, round(given_side * scale), round(given_side * scale))
        self._check(made, wanted, "restored canvases")
        low, high = self.contract.range
        pixels = made.transpose(0, 2, 3, 1)
        if (low, high) != (0, 1):
            pixels = (pixels - np.float32(low)) / np.float32(high - low)
        if self.contract.colour == "bgr":
            pixels = pixels[..., ::-1]
        pixels = _resized(np.clip(pixels, 0, 1), side)
        if self.contract.mask != "own":
            return pixels, None
        if len(results) < 2:
            raise ModelError(f"{self.description}: gives no parse, and its contract says it does")
        parse = np.asarray(results[1], np.float32)
        self._check(parse, (count, *_PARSE), "parses")
        return pixels, parse

    def _check(self, array: Float32, shape: tuple[int, ...], what: str) -> None:
        if array.shape != shape:
            raise ModelError(
                f"{self.description}: gives {what} of shape {array.shape}, by its contract it is "
                f"{shape}"
            )
        if not np.isfinite(array).all():
            raise ModelError(f"{self.description}: gives {what} that are no numbers (NaN)")


def _resized(canvases: Float32, side: int) -> Float32:
    """(N, side, side, C): by area where they shrink, bicubic where they grow."""
    if canvases.shape[1] == side:
        return canvases
    shrinks = canvases.shape[1] > side
    how = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    made = np.empty((len(canvases), side, side, canvases.shape[3]), np.float32)
    for number, canvas in enumerate(canvases):
        made[number] = cv2.resize(np.ascontiguousarray(canvas), (side, side), interpolation=how)
    return made if shrinks else np.clip(made, 0, 1)
