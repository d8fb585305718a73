"""BMP: pixels without metadata but for the resolution; written as Windows does, uncompressed."""

from __future__ import annotations

import io
import struct
from typing import cast

import numpy as np
from PIL import BmpImagePlugin, Image

from facepipe.images.codecs import Allow, Decoded, Details, Pixels, RefusedError

#: What Pillow calls pixels, and what they become.
_MODES = {"1": "L", "L": "L", "P": "RGB", "RGB": "RGB", "RGBA": "RGBA"}
#: Offsets of width and height in the file by the length of their header, and how they are stored.
_OLD_HEADER, _SIZE_AT = 12, 18


def read_bmp(source: bytes, allow: Allow) -> Decoded:
    """Decode a BMP; palettes become RGB, or grey where they hold nothing else."""
    old = int.from_bytes(source[14:18], "little") == _OLD_HEADER
    width, height = struct.unpack_from("<HH" if old else "<ii", source, _SIZE_AT)
    allow(abs(width), abs(height), 1)
    image = BmpImagePlugin.BmpImageFile(io.BytesIO(source))
    image.load()
    if image.mode not in _MODES:
        raise RefusedError(f"a BMP of {image.mode}")
    pixels = np.asarray(image.convert(_MODES[image.mode]))
    # Pixels per metre, as the file has them.
    blocks = () if old else ((b"resolution", source[38:46]),)
    return Decoded(
        cast(Pixels, pixels[..., None] if pixels.ndim == 2 else pixels),
        1,
        Details(8, blocks=blocks),
    )


def write_bmp(pixels: Pixels, details: Details) -> bytes:
    """Encode a BMP of 8 (grey), 24 or, with alpha, 32 bits."""
    if pixels.shape[2] == 4:
        encoded = _with_alpha(pixels)
    else:
        target = io.BytesIO()
        Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(target, "BMP")
        encoded = bytearray(target.getvalue())
    for name, body in details.blocks:
        if name == b"resolution":
            encoded[38:46] = body
    return bytes(encoded)


def _with_alpha(pixels: Pixels) -> bytearray:
    """A BMP of 32 bits whose header says where alpha is, which Pillow does not write."""
    height, width = pixels.shape[:2]
    rows = np.ascontiguousarray(pixels[::-1, :, [2, 1, 0, 3]]).tobytes()
    masks = struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    header = struct.pack("<IiiHHIIiiII", 108, width, height, 1, 32, 3, len(rows), 0, 0, 0, 0)
    header += masks + b"BGRs" + bytes(48)
    start = 14 + len(header)
    file = struct.pack("<2sIHHI", b"BM", start + len(rows), 0, 0, start)
    return bytearray(file + header + rows)
