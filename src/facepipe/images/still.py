"""Still images: read a file into a Frame, and write a Frame as a file of the same kind."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, cast

import numpy as np

from facepipe._system.kinds import kind_of_bytes
from facepipe.datatypes import Colour, Frame, PixelFormat, Plane
from facepipe.errors import InputError, MediaError
from facepipe.images import bmp, codecs, heif, png
from facepipe.images.containers import heif_kind
from facepipe.images.exif import resized
from facepipe.images.photoshop import moved_resources, moved_segments
from facepipe.images.png import PNG_HEAD
from facepipe.images.regions import moved_subject
from facepipe.images.thumbnails import thumbnail, with_new_thumbnail
from facepipe.images.turn import Turn
from facepipe.images.xmp import readable, stamped

#: Pixels that `read_image` allows by default.
MAX_PIXELS = 200_000_000
Kind = Literal["jpeg", "png", "webp", "tiff", "bmp", "avif", "heic"]
_Read = Callable[[bytes, codecs.Allow], codecs.Decoded]
_Write = Callable[[codecs.Pixels, codecs.Details], bytes]
_CODECS: dict[Kind, tuple[_Read, _Write]] = {
    "jpeg": (codecs.read_jpeg, codecs.write_jpeg),
    "png": (png.read_png, png.write_png),
    "webp": (codecs.read_webp, codecs.write_webp),
    "tiff": (codecs.read_tiff, codecs.write_tiff),
    "bmp": (bmp.read_bmp, bmp.write_bmp),
    "avif": (heif.read_avif, heif.write_avif),
    "heic": (heif.read_heic, heif.write_heic),
}
_NAMES: dict[Kind, str] = {
    "jpeg": "JPEG", "png": "PNG", "webp": "WebP", "tiff": "TIFF", "bmp": "BMP",
    "avif": "AVIF", "heic": "HEIC",
}  # fmt: skip
_HEADS: tuple[tuple[bytes, Kind], ...] = (
    (b"\xff\xd8\xff", "jpeg"),
    (PNG_HEAD, "png"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"II+\0", "tiff"),
    (b"MM\0+", "tiff"),
    (b"BM", "bmp"),
)
#: The orientations that undo one; the others undo themselves.
_BACK = {6: 8, 8: 6}
#: Bytes of EXIF that fit into a segment of a JPEG, behind its head.
_MOST_EXIF = 65533 - 6
#: The longest side that an encoder takes, in pixels.
_MAX_SIDE: dict[Kind, int] = {"jpeg": 65500, "webp": 16383, "avif": 65536, "heic": 16384}


@dataclass(frozen=True, eq=False)
class StillImage:
    """A decoded still image: its upright pixels as a frame, and the metadata for `write_image`.

    `frame` has pts 0 and full range; its planes are R, G, B or Y alone, then A where there is one:
    uint8 for 8 bits and uint16 above (16 for PNG and TIFF, 10 or 12 for AVIF and HEIC). `damage`
    says what of a damaged JPEG does not decode, in words; empty: all does.
    """

    frame: Frame
    kind: Kind
    details: codecs.Details
    damage: str = ""


def read_image(source: bytes, name: str, *, max_pixels: int = MAX_PIXELS) -> StillImage:
    """Decode an image file, whose kind its content decides; `name` is for messages.

    Orientation is applied to the pixels. A JPEG that is cut short or damaged is read as far as it
    decodes. InputError: not an image that facepipe reads, damaged or cut short otherwise, several
    pages or frames, more than `max_pixels` (by the header, before a pixel
    is decoded), CMYK, floating point or HDR.
    """
    kind = _kind(source)
    if kind is None:
        known = kind_of_bytes(source[:4096])
        raise InputError(
            f"{name}: not an image that facepipe reads{f', but {known.name}' if known else ''}; "
            "it reads JPEG, PNG, WebP, TIFF, BMP, AVIF and HEIC"
        )

    def allow(width: int, height: int, pages: int) -> None:
        if pages > 1:
            raise codecs.RefusedError(f"{pages} pages or frames; facepipe takes images of one")
        if width * height > max_pixels:
            raise codecs.RefusedError(
                f"{width}x{height} is {width * height:,} pixels, more than the {max_pixels:,} "
                "allowed; --max-pixels raises that"
            )

    codecs.forget_errors()
    try:
        decoded = _CODECS[kind][0](source, allow)
    except codecs.RefusedError as error:
        raise InputError(f"{name}: {error}") from error
    except codecs.FAILURES as error:
        raise InputError(
            f"{name}: a damaged or incomplete {_NAMES[kind]} file: {codecs.reason(error)}"
        ) from error
    channels = np.moveaxis(decoded.pixels, 2, 0)
    planes = tuple(_upright(plane, decoded.orientation) for plane in channels)
    layout = _pixel_format(len(planes), decoded.details.bits)
    frame = Frame(pts=0, format=layout, colour=Colour(full_range=True), planes=planes)
    details = decoded.details
    if not readable(details.xmp):
        details = replace(details, notes=(*details.notes, "the XMP data, which are damaged"))
    return StillImage(frame, kind, details, decoded.damage)


def write_image(image: StillImage, frame: Frame, *, note: str) -> bytes:
    """Encode `frame`, of the pixel format of `image`, as `image` was stored.

    `frame` is a whole number of times as large as the image's. Its metadata are kept, with the new
    size in them and what points into the image moved along. What lies behind the image in its file
    (`details.companions`) follows it. XMP gets the mark of a network's work and,
    unless it has a description, `note`; an empty `note` adds neither. The same input gives the
    same bytes. MediaError: the encoder refuses.
    """
    if frame.format != image.frame.format:
        raise ValueError(
            f"a frame of {frame.format.name} for an image of {image.frame.format.name}"
        )
    kind, details = image.kind, image.details
    width, height = frame.width, frame.height
    if max(width, height) > _MAX_SIDE.get(kind, sys.maxsize):
        raise MediaError(
            f"{_NAMES[kind]} holds at most {_MAX_SIDE[kind]} pixels a side, not {width}x{height}"
        )
    codecs.forget_errors()
    back = _BACK.get(details.orientation, details.orientation)
    planes = [_upright(plane, back) for plane in frame.planes]
    pixels = cast(codecs.Pixels, np.stack(planes, axis=-1))
    stored = image.frame.height, image.frame.width
    if max(details.turned, details.orientation) <= 4:
        stored = image.frame.width, image.frame.height
    turn = Turn(*stored, details.turned, width // image.frame.width)
    try:
        details = _details_then(kind, details, pixels, turn, note)
        return _CODECS[kind][1](pixels, details)
    except (codecs.RefusedError, *codecs.FAILURES) as error:
        raise MediaError(f"{_NAMES[kind]} of {width}x{height}: {codecs.reason(error)}") from error


def _details_then(
    kind: Kind, details: codecs.Details, pixels: codecs.Pixels, turn: Turn, note: str
) -> codecs.Details:
    """Metadata as they are true of the pixels that are written."""
    exif = moved_subject(details.exif, turn)
    if exif:
        exif = resized(exif, *turn.size)
    if details.thumbnail:
        most = _MOST_EXIF if kind == "jpeg" else sys.maxsize
        exif = with_new_thumbnail(exif, pixels, details.bits, details.thumbnail, most)

    def small(side: int) -> bytes:
        return thumbnail(pixels, details.bits, side, _MOST_EXIF)

    blocks = details.blocks
    if kind == "jpeg":
        blocks = moved_segments(blocks, turn, small)
    elif kind == "tiff":
        blocks = tuple((name, moved_resources(body, turn, small)) for name, body in blocks)
    xmp = stamped(
        details.xmp,
        note,
        *turn.size,
        turn=turn,
        orientation=details.orientation,
        is_alone=not details.behind,
    )
    return replace(details, exif=exif, xmp=xmp, blocks=blocks)


def _kind(source: bytes) -> Kind | None:
    """The kind of an image file by its first bytes; None: not one that is read."""
    for head, kind in _HEADS:
        if source.startswith(head):
            return kind
    if source[:4] == b"RIFF" and source[8:12] == b"WEBP":
        return "webp"
    return heif_kind(source)


def _upright(plane: Plane, orientation: int) -> Plane:
    """Turn a plane upright by EXIF's orientation, 1..8; contiguous and read-only."""
    if orientation > 4:
        plane = plane.T
    if orientation in (2, 3, 6, 7):
        plane = plane[:, ::-1]
    if orientation in (3, 4, 7, 8):
        plane = plane[::-1]
    turned = cast(Plane, np.ascontiguousarray(plane))
    turned.setflags(write=False)
    return turned


def _pixel_format(channels: int, bits: int) -> PixelFormat:
    alpha = channels in (2, 4)
    depth = "" if bits == 8 else f"{bits}le"
    if channels > 2:
        return PixelFormat(f"gbr{'a' if alpha else ''}p{depth}", "rgb", bits, alpha=alpha)
    if alpha:
        return PixelFormat(f"ya{bits}{'' if bits == 8 else 'le'}", "gray", bits, alpha=True)
    return PixelFormat(f"gray{depth}", "gray", bits)
