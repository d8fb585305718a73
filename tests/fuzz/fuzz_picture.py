"""Photographs: their headers, tags and pixels."""

from __future__ import annotations

import contextlib
import io

import numpy as np
from PIL import Image

from facepipe.errors import FacepipeError
from facepipe.images.still import read_image


def seeds() -> dict[str, bytes]:
    """A few pixels in each format, with EXIF where it goes."""
    pixels = np.random.default_rng(0).integers(0, 256, (8, 12, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a picture"
    made = {}
    for kind in ("jpeg", "png", "webp", "tiff", "avif"):
        file = io.BytesIO()
        with contextlib.suppress(OSError, KeyError):  # a Pillow without this one
            Image.fromarray(pixels).save(file, kind, exif=exif)
            made[kind] = file.getvalue()
    return made


def try_one(data: bytes) -> None:
    """Read it; only FacepipeError may come out."""
    with contextlib.suppress(FacepipeError):
        picture = read_image(data, "picture", max_pixels=1 << 20)
        assert picture.frame.width * picture.frame.height <= 1 << 20
