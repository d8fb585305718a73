"""How a PNG stores its pixels."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class PngForm:
    """How a PNG stores its pixels: colour type and bits of its header, and chunks about colours.

    `palette` is PLTE, `transparent` tRNS, `background` bKGD, each empty where there is none.
    """

    colour_type: int
    bits: int
    interlaced: bool
    palette: bytes = b""
    transparent: bytes = b""
    background: bytes = b""

    @property
    def entries(self) -> NDArray[np.uint8]:
        """The palette's colours as R, G, B and alpha, (N, 4)."""
        colours = np.frombuffer(self.palette[: len(self.palette) // 3 * 3], np.uint8)
        table = np.full((len(colours) // 3, 4), 255, np.uint8)
        table[:, :3] = colours.reshape(-1, 3)
        alpha = np.frombuffer(self.transparent, np.uint8)[: len(table)]
        table[: len(alpha), 3] = alpha
        return table

    def in_eight(self, samples: bytes) -> tuple[int, ...]:
        """Samples of two bytes as the pixels have them that libvips decodes: 8 bits, or 16."""
        numbers = struct.unpack(f">{len(samples) // 2}H", samples[: len(samples) // 2 * 2])
        if self.bits >= 8:
            return numbers
        return tuple(number * 255 // (2**self.bits - 1) for number in numbers)
