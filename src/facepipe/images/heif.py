"""Codecs of AVIF and HEIC: pixels and metadata.

Pillow reads and writes AVIF of 8 bits: its libavif interpolates subsampled chroma, where the
libheif of libvips repeats it, and EXIF stays as it is. libvips reads and writes AVIF of 10 and
12 bits, which Pillow would cut to 8; it writes the EXIF anew. HEIC needs pillow-heif, which
brings a decoder and an encoder of HEVC; the wheels of the other two do not.

Both formats say by properties of their own how an image is turned; their decoders apply that,
and the orientation in their EXIF has no say.
"""

from __future__ import annotations

import importlib
import io
import warnings
from dataclasses import replace
from types import ModuleType
from typing import cast

import numpy as np
import pyvips
from PIL import Image
from PIL.AvifImagePlugin import AvifImageFile

from facepipe.images import exif as tags
from facepipe.images.behind import behind_heif, contents
from facepipe.images.codecs import (
    Allow,
    Decoded,
    Details,
    Pixels,
    RefusedError,
    damaged_exif,
    refuse_hdr,
    upright_exif,
    vips_image,
    vips_pixels,
)
from facepipe.images.containers import (
    EXIF_HEAD,
    avif_subsampling,
    heif_lost,
    heif_sizes,
    nclx,
    with_nclx,
)
from facepipe.images.thumbnails import thumbnail_side

AVIF_QUALITY = 90
HEIC_QUALITY = 90
_SAMPLINGS = ("4:4:4", "4:2:2", "4:2:0")
#: Of libaom, 0..9: at its usual 6 an image takes three times as long and is as large.
_SPEED = 8
#: Primaries and transfers that mean sRGB, or what is taken for it.
_PLAIN_PRIMARIES, _PLAIN_TRANSFERS = frozenset([1, 2]), frozenset([1, 2, 6, 13, 14, 15])
#: libvips: keep EXIF, XMP and ICC, the first only where there is one, for it would make one up.
_KEEP_EXIF, _KEEP_XMP_ICC = 1, 2 | 8


def read_avif(source: bytes, allow: Allow) -> Decoded:
    """Decode an AVIF of 8, 10 or 12 bits; always R, G, B."""
    _allow_all(source, allow)
    image = pyvips.Image.heifload_buffer(source, fail_on="error")
    pages = image.get("n-pages") if image.get_typeof("n-pages") else 1
    allow(image.width, image.height, pages)
    details = _details(source, image)
    bits = details.bits
    if bits == 8:
        return _read_by_pillow(source, allow, details)
    codes = details.colours or (1, 13)
    plain = codes[0] in _PLAIN_PRIMARIES and codes[1] in _PLAIN_TRANSFERS
    if not (plain or details.icc):
        raise RefusedError(
            f"an AVIF of {bits} bits with colours by code points {codes[0]}/{codes[1]}, "
            "which cannot be written; give it an ICC profile or 8 bits"
        )
    pixels = vips_pixels(image)
    return Decoded(np.right_shift(pixels, 16 - bits), 1, details)


def write_avif(pixels: Pixels, details: Details) -> bytes:
    """Encode an AVIF: lossy, with as much chroma as the source has."""
    if details.bits > 8:
        return _write_deep_avif(pixels, details)
    target = io.BytesIO()
    exif = EXIF_HEAD + tags.without_orientation(details.exif) if details.exif else b""
    with warnings.catch_warnings(action="ignore"):
        Image.fromarray(pixels).save(
            target,
            "AVIF",
            quality=AVIF_QUALITY,
            subsampling=_SAMPLINGS[details.subsampling],
            speed=_SPEED,
            icc_profile=details.icc,
            exif=exif,
            xmp=details.xmp,
        )
    encoded = target.getvalue()
    if details.colours:
        encoded = with_nclx(encoded, details.colours)
    return encoded + details.behind


def read_heic(source: bytes, allow: Allow) -> Decoded:
    """Decode a HEIC of 8, 10 or 12 bits; RefusedError where pillow-heif is not installed."""
    library = _heif_library()
    _allow_all(source, allow)
    file = library.open_heif(io.BytesIO(source), convert_hdr_to_8bit=False, hdr_to_16bit=False)
    width, height = file.size
    allow(width, height, len(file))
    model, _, depth = file.mode.partition(";")
    if model not in ("L", "RGB", "RGBA"):
        raise RefusedError(f"a HEIC of {file.mode}")
    info = file.info
    given = info.get("exif") or b""
    exif, orientation = upright_exif(given)
    codes = nclx(source)
    refuse_hdr(codes[1] if codes else 0)
    bits = int(depth or 8)
    details = Details(
        bits, exif, info.get("xmp") or b"", info.get("icc_profile") or b"", colours=codes
    )
    details = _with_companions(details, source, given, orientation)
    words = np.frombuffer(file.data, np.uint8 if bits == 8 else np.uint16)
    return Decoded(cast(Pixels, words.reshape(height, width, len(model))), 1, details)


def write_heic(pixels: Pixels, details: Details) -> bytes:
    """Encode a HEIC: lossy, 4:2:0, which is all that many devices decode."""
    library = _heif_library()
    height, width, channels = pixels.shape
    mode = {1: "L", 3: "RGB", 4: "RGBA"}[channels] + (
        f";{details.bits}" if details.bits > 8 else ""
    )
    file = library.from_bytes(mode=mode, size=(width, height), data=pixels.tobytes())
    target = io.BytesIO()
    primaries, transfer = details.colours or (1, 13)
    file.save(
        target,
        quality=HEIC_QUALITY,
        bit_depth=details.bits,
        icc_profile=details.icc or None,
        exif=EXIF_HEAD + details.exif if details.exif else None,
        xmp=details.xmp or None,
        color_primaries=primaries,
        transfer_characteristics=transfer,
    )
    return target.getvalue() + details.behind


def _allow_all(source: bytes, allow: Allow) -> None:
    """Check every size in the file before a library opens it."""
    for width, height in heif_sizes(source):
        allow(width, height, 1)


def _details(source: bytes, image: pyvips.Image) -> Details:
    def blob(name: str) -> bytes:
        return bytes(image.get(name)) if image.get_typeof(name) else b""

    bits, codes = image.get("bits-per-sample"), nclx(source)
    refuse_hdr(codes[1] if codes else 0)
    given = blob("exif-data")
    exif, orientation = upright_exif(given)
    details = Details(
        bits,
        exif,
        blob("xmp-data"),
        blob("icc-profile-data"),
        colours=codes,
        subsampling=avif_subsampling(source),
    )
    return _with_companions(details, source, given, orientation)


def _with_companions(
    details: Details, source: bytes, given_exif: bytes, orientation: int
) -> Details:
    """The details with what else the file holds; `orientation` is what its EXIF says."""
    behind = behind_heif(source)
    return replace(
        details,
        behind=behind,
        turned=orientation,
        thumbnail=thumbnail_side(given_exif.removeprefix(EXIF_HEAD)),
        companions=contents(behind),
        lost=heif_lost(source),
        notes=damaged_exif(given_exif, details.exif),
    )


def _read_by_pillow(source: bytes, allow: Allow, details: Details) -> Decoded:
    with warnings.catch_warnings(action="ignore"):
        image = AvifImageFile(io.BytesIO(source))
        allow(*image.size, image.n_frames)
        orientation = image.getexif().get(tags.ORIENTATION, 1)
        shown = image if image.mode in ("RGB", "RGBA") else image.convert("RGB")
        pixels = np.asarray(shown, np.uint8)
    return Decoded(pixels, orientation, details)


def _write_deep_avif(pixels: Pixels, details: Details) -> bytes:
    image = vips_image(np.left_shift(pixels, 16 - details.bits)).copy()
    keep = _KEEP_XMP_ICC
    if details.exif:
        keep |= _KEEP_EXIF
        image.set_type(pyvips.GValue.blob_type, "exif-data", EXIF_HEAD + details.exif)
    if details.icc:
        image.set_type(pyvips.GValue.blob_type, "icc-profile-data", details.icc)
    if details.xmp:
        image.set_type(pyvips.GValue.blob_type, "xmp-data", details.xmp)
    encoded: bytes = image.heifsave_buffer(
        compression="av1",
        Q=AVIF_QUALITY,
        bitdepth=details.bits,
        effort=9 - _SPEED,
        subsample_mode="on" if details.subsampling == 2 else "off",
        keep=keep,
    )
    return encoded + details.behind


def _heif_library() -> ModuleType:
    try:
        return importlib.import_module("pillow_heif")
    except ImportError as error:
        raise RefusedError("HEIC needs pillow-heif: pip install pillow-heif") from error
