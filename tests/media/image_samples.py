"""Images of every kind made on the fly, and read and written again."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pyvips
from PIL import Image

from facepipe.datatypes import Frame
from facepipe.images.still import read_image, write_image

KINDS = ("jpeg", "png", "webp", "tiff", "avif")
NOTE = "faces restored by facepipe"


def pixels(height: int = 24, width: int = 40, channels: int = 3, bits: int = 8) -> np.ndarray:
    """(height, width, channels) smooth, another in each channel, with a mark at the top left."""
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x / 9 + c) * np.cos(y / 13 + 2 * c) for c in range(channels)]
    image = np.stack(waves, -1) * 0.4 + 0.5
    image[:8, :8] = 0.95
    rounded: np.ndarray = np.round(image * (2**bits - 1))
    return rounded.astype(np.uint8) if bits == 8 else rounded.astype(np.uint16)


def pillow(image: np.ndarray, kind: str, **options: Any) -> bytes:
    target = io.BytesIO()
    Image.fromarray(image.squeeze()).save(target, kind.upper(), **options)
    return target.getvalue()


def vips(image: np.ndarray, kind: str, **options: Any) -> bytes:
    model = ("b-w", "srgb") if image.itemsize == 1 else ("grey16", "rgb16")
    made = pyvips.Image.new_from_array(image, interpretation=model[image.shape[2] > 2])
    return bytes(made.write_to_buffer(f".{kind}", **options))


def opened(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


def stacked(frame: Frame) -> np.ndarray:
    return np.stack(frame.planes, -1)


def again(source: bytes, change: Callable[[Frame], Frame] = lambda frame: frame) -> bytes:
    """Read and written again, with the pixels that `change` makes."""
    still = read_image(source, "image")
    return write_image(still, change(still.frame), note=NOTE)


def double(frame: Frame) -> Frame:
    return frame.with_planes(tuple(plane.repeat(2, 0).repeat(2, 1) for plane in frame.planes))


def sample(kind: str, **options: Any) -> bytes:
    best: dict[str, dict[str, Any]] = {
        "jpeg": {"quality": 95, "subsampling": 0},
        "webp": {"lossless": True},
    }
    return pillow(pixels(), kind, **best.get(kind, {}), **options)


def png(*chunks: tuple[bytes, bytes]) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )
