"""Thumbnails: small images of an image, made anew where its pixels change."""

from __future__ import annotations

import io
import struct
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facepipe.images.containers import jpeg_head, jpeg_joined
from facepipe.images.exif import DamagedError, thumbnail_of, with_thumbnail

#: The longest side where none is told, as EXIF recommends it, and the longest that is made.
_USUAL_SIDE, _LONGEST_SIDE = 160, 640
_QUALITIES = (85, 70, 50, 30)


def thumbnail_side(exif: bytes) -> int:
    """The longest side of the thumbnail of an EXIF structure, in pixels; 0: there is none."""
    with suppress(DamagedError, struct.error, ValueError):
        found = thumbnail_of(exif)
        if found is None:
            return 0
        jpeg, told = found
        with suppress(DamagedError):  # else its directory tells, or nothing does
            head = jpeg_head(jpeg)
            told = max(head.width, head.height)
        return min(told or _USUAL_SIDE, _LONGEST_SIDE)
    return 0


def thumbnail(
    pixels: NDArray[np.uint8] | NDArray[np.uint16], bits: int, side: int, most: int
) -> bytes:
    """A JPEG of at most `most` bytes whose longest side has `side` pixels; empty: none fits.

    `pixels` are (height, width, 1..4) of `bits` bits, with alpha in an even number of channels,
    which is left out.
    """
    height, width, channels = pixels.shape
    colours = pixels[..., : 1 if channels < 3 else 3]
    step = max(max(height, width) // (side * 4), 1)  # coarsely first: a large image takes long
    eight = np.right_shift(colours[::step, ::step], bits - 8).astype(np.uint8)
    share = min(side / max(height, width), 1)
    size = max(round(width * share), 1), max(round(height * share), 1)
    image = Image.fromarray(eight[..., 0] if channels < 3 else eight).resize(
        size, Image.Resampling.LANCZOS
    )
    for quality in _QUALITIES:
        target = io.BytesIO()
        image.save(target, "JPEG", quality=quality)
        bare = jpeg_joined(target.getvalue(), (), b"", b"")  # EXIF wants it without JFIF
        if len(bare) <= most:
            return bare
    return b""


def with_new_thumbnail(
    exif: bytes, pixels: NDArray[np.uint8] | NDArray[np.uint16], bits: int, side: int, most: int
) -> bytes:
    """An EXIF structure of at most `most` bytes with a thumbnail of these pixels, if one fits."""
    made = thumbnail(pixels, bits, side, most - len(exif) - 128)
    return with_thumbnail(exif, made) if made else exif
