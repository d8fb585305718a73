"""Codecs of JPEG, TIFF and WebP: pixels and metadata.

Pixels are read by libvips, which reports every cut and every code that makes no sense, and keeps
16 bits. Pillow writes JPEG, for it takes quantization tables, and WebP, for it writes EXIF as it
is given, where libvips writes it anew.
"""

from __future__ import annotations

import io
import logging
import struct
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyvips
from numpy.typing import NDArray
from PIL import Image, ImageFile

from facepipe.images import containers
from facepipe.images import exif as tags
from facepipe.images.behind import MPF_HEAD, behind_jpeg, contents, mpf_at, with_pictures_found
from facepipe.images.containers import EXIF_HEAD, Block
from facepipe.images.damage import decoded_jpeg
from facepipe.images.exif import DamagedError, Tag
from facepipe.images.png_form import PngForm
from facepipe.images.thumbnails import thumbnail_side
from facepipe.images.xmp import keeps_orientation

Pixels = NDArray[np.uint8] | NDArray[np.uint16]
#: Takes width, height and the number of pages; raises RefusedError where they are too many.
Allow = Callable[[int, int, int], None]
#: Of lossy WebP: the source's own quality is not in the file.
WEBP_QUALITY = 95
_HDR_TRANSFERS = {16: "PQ", 18: "HLG"}
#: TIFF's numbers of compressions that lose nothing and take 8 and 16 bits; others become deflate.
_TIFF_COMPRESSIONS = {1: "none", 5: "lzw", 8: "deflate", 32946: "deflate", 32773: "packbits"}
_TIFF_MODELS = {5: "CMYK", 8: "CIE L*a*b*", 9: "ICC L*a*b*", 10: "ITU L*a*b*", 32803: "raw"}
_TIFF_READ = frozenset([0, 1, 2, 3, 6])
#: What decoders and encoders raise for data that they cannot make sense of.
FAILURES = (
    pyvips.Error, OSError, ValueError, TypeError, SyntaxError, RuntimeError, EOFError,
    LookupError, ArithmeticError, struct.error,
)  # fmt: skip
_INTERPRETATIONS = frozenset(["b-w", "grey16", "srgb", "rgb", "rgb16"])
_buffer_lock = threading.Lock()


def _message(text: Any) -> str:
    if text == pyvips.ffi.NULL:
        return ""
    return str(pyvips.ffi.string(text).decode("utf-8", "replace"))


# Sources come and go with their buffers, nothing is ever asked for twice.
pyvips.cache_set_max(0)
logging.getLogger("pyvips").setLevel(logging.CRITICAL)
# Its own stumbles over messages that quote a damaged file, then and in every later call.
pyvips._to_string = pyvips.error._to_string = _message


class RefusedError(Exception):
    """An image that may be intact, but is of a kind that facepipe does not take."""


@dataclass(frozen=True)
class Details:
    """Metadata of an image file, and how it stores its pixels.

    `exif` is a tag structure (without "Exif") that says `orientation` and has no thumbnail; of a
    TIFF, its descriptive tags, EXIF and GPS. `xmp` is the packet as the source has it. `icc` is
    that of WebP, AVIF and HEIC; elsewhere it is among `blocks` (JPEG, PNG) or in `exif` (TIFF).
    `blocks` of a TIFF are Photoshop's resources.
    """

    bits: int  # of a component: 8, 10, 12 or 16
    exif: bytes = b""
    xmp: bytes = b""
    icc: bytes = b""
    blocks: tuple[Block, ...] = ()
    tables: tuple[tuple[int, ...], ...] = ()  # JPEG: of each component, 64 values, row by row
    subsampling: int = 0  # JPEG, AVIF: 0 is 4:4:4, 1 is 4:2:2, 2 is 4:2:0
    progressive: bool = False
    rgb: bool = False  # JPEG: R, G, B are stored as they are
    lossless: bool = False  # WebP
    compression: str = ""  # TIFF: a name of libvips
    predictor: bool = False
    associated: bool = False  # TIFF: colours are multiplied by alpha
    colours: tuple[int, int] | None = None  # AVIF, HEIC: code points of primaries and transfer
    behind: bytes = b""  # what follows the image in its file, and is carried over
    #: Of a JPEG: where its index of pictures began, and where its first image ended; 0: no index.
    index: tuple[int, int] = (0, 0)
    turned: int = 1  # EXIF's orientation that was applied to its pixels, or is by its decoder
    orientation: int = 1  # that it is written with: its pixels are turned back
    thumbnail: int = 0  # longest side of its EXIF thumbnail, px; 0: it has none
    png: PngForm | None = None
    companions: tuple[str, ...] = ()  # what lies behind it, in words
    lost: tuple[str, ...] = ()  # images that belong to it and cannot be written, in words
    notes: tuple[str, ...] = ()  # further things that are not written again, in words


@dataclass(frozen=True, eq=False)
class Decoded:
    """Decoded pixels (height, width, 1..4) as they are stored, not turned upright yet.

    Channels are grey or R, G, B, and then alpha, or none; uint8, above 8 bits uint16. `damage` says
    what does not decode, in words; empty: all does.
    """

    pixels: Pixels
    orientation: int
    details: Details
    damage: str = ""


def read_jpeg(source: bytes, allow: Allow) -> Decoded:
    """Decode a JPEG; of a file with several images (a gain map, a video) the first.

    One that is cut short or damaged is decoded as far as it goes.
    """
    head = containers.jpeg_head(source)
    allow(head.width, head.height, 1)
    _check_components(head)
    raw_exif = containers.jpeg_block(head.blocks, EXIF_HEAD)
    exif, orientation = upright_exif(raw_exif)
    behind = behind_jpeg(source)
    xmp = containers.jpeg_block(head.blocks, containers.XMP_HEAD)
    # What lies behind it, such as a gain map, and what is laid over it, such as a depth map in XMP,
    # stay as they are: so does the way that the image lies.
    more_xmp = any(body.startswith(containers.XMP_MORE_HEAD) for _, body in head.blocks)
    lies = laid(exif, orientation, stays=bool(behind) or more_xmp or keeps_orientation(xmp))
    turned = lies.turned > 4
    details = Details(
        8,
        lies.exif,
        xmp,
        blocks=_kept(head.blocks, behind),
        behind=behind,
        index=(mpf_at(source), len(source) - len(behind)) if behind else (0, 0),
        turned=lies.turned,
        orientation=lies.orientation,
        thumbnail=thumbnail_side(raw_exif.removeprefix(EXIF_HEAD)),
        companions=contents(behind, xmp),
        notes=(*containers.jpeg_lost(head.blocks), *damaged_exif(raw_exif, exif)),
        tables=head.turned_tables if turned else head.tables,
        subsampling=head.subsampling(turned=turned),
        progressive=head.progressive,
        rgb=head.rgb,
    )
    pixels, damage = decoded_jpeg(source, progressive=head.progressive, decode=vips_pixels)
    return Decoded(pixels, orientation, details, damage)


def _kept(blocks: Sequence[containers.Block], behind: bytes) -> tuple[containers.Block, ...]:
    kept = containers.jpeg_kept(blocks)  # with an index of pictures where there are more of them
    return kept if behind else tuple(one for one in kept if not one[1].startswith(MPF_HEAD))


def _check_components(head: containers.JpegHead) -> None:
    if len(head.sampling) == 4:
        raise RefusedError("a CMYK image; convert it to RGB")
    if head.bits != 8 or len(head.sampling) not in (1, 3):
        raise RefusedError(f"a JPEG of {len(head.sampling)} components of {head.bits} bits")


def write_jpeg(pixels: Pixels, details: Details) -> bytes:
    """Encode a JPEG with the source's tables: unchanged blocks keep their coefficients, but for
    rounding.
    """
    channels = pixels.shape[2]
    tables = [[min(value, 255) for value in table] for table in details.tables]
    if len(tables) == 3 and tables[1] == tables[2]:
        tables.pop()
    target = io.BytesIO()
    with _encoder_buffer(pixels.size * 3 // 2 + 2**16):
        Image.fromarray(pixels[..., 0] if channels == 1 else pixels).save(
            target,
            "JPEG",
            qtables=tables,
            subsampling=details.subsampling if channels == 3 else -1,
            progressive=details.progressive,
            optimize=True,
            keep_rgb=details.rgb,
        )
    joined = containers.jpeg_joined(target.getvalue(), details.blocks, details.exif, details.xmp)
    return with_pictures_found(joined, details.index, details.behind)


def read_tiff(source: bytes, allow: Allow) -> Decoded:
    """Decode a TIFF; pages that are reduced versions of another are ignored."""
    layout = tags.layout_of(source)
    pages = list(tags.directories(source, layout))
    first = _tiff_numbers(pages[0] if pages else {}, layout)
    if not (first.get(256) and first.get(257)):
        raise DamagedError("the TIFF has no image")
    allow(first[256][0], first[257][0], len(pages) - _reduced_pages(pages, layout))
    _refuse_tiff(first)
    associated = 1 in first.get(338, ())
    compression = _first(first.get(259, ()), 1)
    if associated:  # else libvips divides by alpha, and rounds
        extra = pages[0][338]
        numbers = [2 if number == 1 else number for number in first[338]]
        source = tags.with_numbers(source, layout, extra, numbers)
    pixels = vips_pixels(pyvips.Image.tiffload_buffer(source, fail_on="error"))
    xmp, orientation = pages[0][700].value if 700 in pages[0] else b"", tags.orientation_of(source)
    lies = laid(b"", orientation, stays=keeps_orientation(xmp))
    details = Details(
        8 * pixels.itemsize,
        tags.descriptive(source),
        xmp,
        blocks=((b"8BIM", pages[0][tags.PHOTOSHOP].value),) if tags.PHOTOSHOP in pages[0] else (),
        compression=_TIFF_COMPRESSIONS.get(compression, "deflate"),
        predictor=_first(first.get(317, ()), 1) == 2 or compression not in _TIFF_COMPRESSIONS,
        associated=associated,
        turned=lies.turned,
        orientation=lies.orientation,
    )
    return Decoded(pixels, orientation, details)


def _tiff_numbers(page: Mapping[int, Tag], layout: tags.Layout) -> dict[int, tuple[int, ...]]:
    """The values of the tags that say how the pixels of a TIFF are stored."""
    wanted = (256, 257, 258, 259, 262, 317, 338, 339, 50706)
    return {
        number: tag.numbers(layout.order) for number, tag in page.items() if tag.number in wanted
    }


def _reduced_pages(pages: Sequence[Mapping[int, Tag]], layout: tags.Layout) -> int:
    """How many pages say that they are reduced versions of another."""
    kinds = [page[254].numbers(layout.order) for page in pages[1:] if 254 in page]
    return sum(_first(kind, 0) & 1 for kind in kinds)


def _refuse_tiff(first: Mapping[int, tuple[int, ...]]) -> None:
    """Raise RefusedError for pixels of a kind that facepipe does not take."""
    model = _first(first.get(262, ()), 1)
    if model not in _TIFF_READ or 50706 in first:
        raise RefusedError(f"a {_TIFF_MODELS.get(model, 'raw')} image; convert it to RGB")
    if set(first.get(339, ())) - {1} or max(first.get(258, (1,))) > 16:
        raise RefusedError("an image of floating point, signed, or more than 16 bits")


def write_tiff(pixels: Pixels, details: Details) -> bytes:
    """Encode a TIFF: lossless, little-endian, in strips."""
    encoded = vips_image(pixels).tiffsave_buffer(
        compression=details.compression,
        predictor="horizontal" if details.predictor else "none",
        keep="none",
    )
    more = [Tag(tags.ORIENTATION, 3, 1, bytes([details.orientation, 0]))]
    if details.xmp:
        more.append(Tag(700, 1, len(details.xmp), details.xmp))
    more += [Tag(tags.PHOTOSHOP, 1, len(body), body) for _, body in details.blocks]
    if details.associated:
        more.append(Tag(338, 3, 1, b"\1\0"))
    return tags.with_tags(encoded, details.exif, more)


def read_webp(source: bytes, allow: Allow) -> Decoded:
    """Decode a WebP; always R, G, B, for WebP has no grey."""
    image = pyvips.Image.webpload_buffer(source, fail_on="error")
    pages = image.get("n-pages") if image.get_typeof("n-pages") else 1
    allow(image.width, image.height, pages)
    chunks = containers.riff_chunks(source)
    first = dict(reversed(chunks))
    raw_exif, xmp = first.get(b"EXIF", b""), first.get(b"XMP ", b"")
    exif, orientation = upright_exif(raw_exif)
    lies = laid(exif, orientation, stays=keeps_orientation(xmp))
    details = Details(
        8,
        lies.exif,
        xmp,
        first.get(b"ICCP", b""),
        lossless=b"VP8L" in first,
        turned=lies.turned,
        orientation=lies.orientation,
        thumbnail=thumbnail_side(raw_exif.removeprefix(EXIF_HEAD)),
        notes=(*containers.riff_lost(chunks), *damaged_exif(raw_exif, exif)),
    )
    return Decoded(vips_pixels(image), orientation, details)


def write_webp(pixels: Pixels, details: Details) -> bytes:
    """Encode a WebP: lossless where the source is, also under full transparency."""
    target = io.BytesIO()
    Image.fromarray(pixels).save(
        target,
        "WEBP",
        lossless=details.lossless,
        exact=True,
        method=4,
        icc_profile=details.icc,
        exif=details.exif,
        xmp=details.xmp,
        **({} if details.lossless else {"quality": WEBP_QUALITY}),
    )
    return target.getvalue()


def upright_exif(structure: bytes) -> tuple[bytes, int]:
    """An EXIF structure with orientation 1, and the orientation that it had.

    A damaged one is dropped: nothing in it can be changed safely.
    """
    structure = structure.removeprefix(EXIF_HEAD)
    try:
        orientation, upright = tags.orientation_of(structure), tags.upright(structure)
        tags.orientation_of(upright)  # removing an overlapping thumbnail may have damaged it
    except DamagedError:
        return b"", 1
    return upright, orientation


class Laid(NamedTuple):
    """How an image is written that EXIF tells to turn: its EXIF, what is turned, what is told."""

    exif: bytes
    turned: int  # EXIF's orientation that its pixels are turned by
    orientation: int  # and that which the file tells then


def laid(exif: bytes, orientation: int, *, stays: bool) -> Laid:
    """Turn the image upright, or, if it `stays` as it lies, tell its orientation again.

    `exif` is what `upright_exif` gives.
    """
    if not stays or orientation == 1:
        return Laid(exif, orientation, 1)
    return Laid(tags.with_orientation(exif, orientation) if exif else exif, 1, orientation)


def damaged_exif(structure: bytes, kept: bytes) -> tuple[str, ...]:
    """A note where EXIF data were there and are dropped."""
    return ("the EXIF data, which are damaged",) if structure and not kept else ()


def forget_errors() -> None:
    """Empty libvips' list of messages, which also grows where nothing fails."""
    pyvips.vips_lib.vips_error_clear()


def reason(error: BaseException) -> str:
    """Why a codec failed, on one line: each message once, without those that say nothing."""
    lines = dict.fromkeys(line.strip() for line in str(error).splitlines())
    empty = ("unable to", "source: bad seek")
    reasons = [
        line for line in lines if line and not line.startswith(empty) and "load error" not in line
    ]
    return "; ".join(reasons) or type(error).__name__


def refuse_hdr(transfer: int) -> None:
    """Raise RefusedError for the transfer functions (H.273) of HDR."""
    if transfer in _HDR_TRANSFERS:
        raise RefusedError(f"an HDR image ({_HDR_TRANSFERS[transfer]}); convert it to SDR")


def vips_pixels(image: pyvips.Image) -> Pixels:
    """Decode a libvips image; RefusedError unless it is grey or RGB of 8 or 16 bits."""
    depth = {"uchar": np.uint8, "ushort": np.uint16}.get(image.format)
    if image.interpretation == "cmyk":
        raise RefusedError("a CMYK image; convert it to RGB")
    if depth is None or image.bands > 4 or image.interpretation not in _INTERPRETATIONS:
        raise RefusedError(
            f"an image of {image.bands} channels of {image.format} ({image.interpretation})"
        )
    memory = np.frombuffer(image.write_to_memory(), depth)
    return memory.reshape(image.height, image.width, image.bands)


def vips_image(pixels: Pixels) -> pyvips.Image:
    """A libvips image of these pixels, for encoding."""
    model = "grey" if pixels.shape[2] < 3 else "rgb"
    interpretation = {"grey": "b-w", "rgb": "srgb"}[model] if pixels.itemsize == 1 else f"{model}16"
    return pyvips.Image.new_from_array(pixels, interpretation=interpretation)


def _first(numbers: tuple[int, ...], otherwise: int) -> int:
    return numbers[0] if numbers else otherwise


@contextmanager
def _encoder_buffer(size: int) -> Iterator[None]:
    """Give Pillow's JPEG encoder a buffer of `size` bytes: it needs the whole file at once."""
    with _buffer_lock:
        before, ImageFile.MAXBLOCK = ImageFile.MAXBLOCK, size
        try:
            yield
        finally:
            ImageFile.MAXBLOCK = before
