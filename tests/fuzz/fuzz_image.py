"""Corrupt images: headers, tags and pixels."""

from __future__ import annotations

import contextlib
import io

import numpy as np
from PIL import Image

from facepipe.errors import FacepipeError
from facepipe.images.still import read_image


def seeds() -> dict[str, bytes]:
    """A few pixels in each format, with EXIF where the format has it."""
    pixels = np.random.default_rng(0).integers(0, 256, (8, 12, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "an image"
    made = {}
    for kind in ("jpeg", "png", "webp", "tiff", "avif"):
        file = io.BytesIO()
        with contextlib.suppress(OSError, KeyError):  # a Pillow without this one
            Image.fromarray(pixels).save(file, kind, exif=exif)
            made[kind] = file.getvalue()
    return made


def fuzz_one(data: bytes) -> None:
    """Read it; only FacepipeError may be raised."""
    with contextlib.suppress(FacepipeError):
        image = read_image(data, "image", max_pixels=1 << 20)
        assert image.frame.width * image.frame.height <= 1 << 20
