"""Codec of PNG: pixels, metadata chunk by chunk, and the form that the pixels had.

An image that needs no more colours than a palette holds is written with one where it had one. A
transparent colour stays one where no other pixel has that colour. Background and significant bits
are told in the form that is written.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator, Sequence
from typing import cast

import numpy as np
import pyvips
from numpy.typing import NDArray
from PIL import Image

from facepipe.images.behind import contents
from facepipe.images.codecs import (
    Allow,
    Decoded,
    Details,
    Pixels,
    damaged_exif,
    laid,
    refuse_hdr,
    upright_exif,
    vips_image,
    vips_pixels,
)
from facepipe.images.containers import Block
from facepipe.images.exif import DamagedError
from facepipe.images.png_form import PngForm
from facepipe.images.thumbnails import thumbnail_side
from facepipe.images.xmp import keeps_orientation

PNG_HEAD = b"\x89PNG\r\n\x1a\n"
_XMP_HEAD = b"XML:com.adobe.xmp\0"
#: Chunks that are still true when pixels change; those that stand before a palette, the others.
_COLOURS = frozenset(b"cHRM gAMA iCCP sRGB cICP mDCV cLLI sBIT".split())
_KEPT = _COLOURS | frozenset(b"pHYs tEXt zTXt iTXt tIME".split())
#: Other chunks that say how the pixels are stored, or that are made anew.
_CODING = frozenset(
    b"IHDR PLTE IDAT IEND tRNS hIST bKGD sPLT iDOT eXIf acTL fcTL fdAT sBIT iTXt".split()
)
_SAFE = 0x20  # in a name's last letter: true whatever happens to the pixels
_PALETTE, _GREYS = 3, frozenset([0, 4])  # numbers of colour types
_MOST_COLOURS = 256
#: Bytes of unpacked XMP; larger ones are dropped.
_MAX_XMP = 2**26


def read_png(source: bytes, allow: Allow) -> Decoded:
    """Decode a PNG; palettes and fewer bits become 8 bits, a transparent colour becomes alpha."""
    allow(*_size(source), 1)
    chunks = png_chunks(source)
    first = dict(reversed(chunks))
    allow(1, 1, max(1, int.from_bytes(first.get(b"acTL", b"")[:4], "big")))
    refuse_hdr(first.get(b"cICP", b"\0\0")[1])
    raw_exif, xmp = first.get(b"eXIf", b""), _xmp(chunks)
    exif, orientation = upright_exif(raw_exif)
    lies = laid(exif, orientation, stays=keeps_orientation(xmp))
    pixels = vips_pixels(pyvips.Image.pngload_buffer(source, fail_on="error"))
    behind = _behind(source, chunks)
    details = Details(
        8 * pixels.itemsize,
        lies.exif,
        xmp,
        blocks=_kept(chunks),
        behind=behind,
        turned=lies.turned,
        orientation=lies.orientation,
        thumbnail=thumbnail_side(raw_exif),
        png=_form(first),
        companions=contents(behind, xmp),
        notes=(*_lost(chunks), *damaged_exif(raw_exif, exif)),
    )
    return Decoded(pixels, orientation, details)


def write_png(pixels: Pixels, details: Details) -> bytes:
    """Encode a PNG; text, gamma, chromaticities and resolution are the source's own chunks."""
    form = details.png or PngForm(2, details.bits, False)
    encoded = _with_palette(pixels, form) if form.colour_type == _PALETTE else None
    if encoded is None:
        encoded = _encoded(pixels, form)
    return _joined(encoded, details, form) + details.behind


def _encoded(pixels: Pixels, form: PngForm) -> list[Block]:
    """The chunks of an image without a palette: header, what tells of its colours, pixels."""
    bits, chunks = 8 * pixels.itemsize, []
    key = _key(pixels, form)
    if key:
        pixels = cast(Pixels, np.ascontiguousarray(pixels[..., :-1]))
        chunks.append((b"tRNS", key))
    if form.background:
        chunks.append((b"bKGD", _background(form)))
    encoded = vips_image(pixels).pngsave_buffer(
        compression=6, filter="all", bitdepth=bits, keep="none", interlace=form.interlaced
    )
    return _between(encoded, chunks)


def _between(encoded: bytes, chunks: Sequence[Block]) -> list[Block]:
    own = [block for block in png_chunks(encoded) if block[0] in (b"IHDR", b"IDAT", b"IEND")]
    return [own[0], *chunks, *own[1:]]


def _key(pixels: Pixels, form: PngForm) -> bytes:
    """The transparent colour as tRNS, where the pixels' alpha says no more than that; else empty.

    Pixels of that colour must be the transparent ones, and no others.
    """
    if not form.transparent or form.colour_type not in (0, 2) or pixels.shape[2] not in (2, 4):
        return b""
    numbers = form.in_eight(form.transparent)
    alpha, colours = pixels[..., -1], pixels[..., :-1]
    if len(numbers) != colours.shape[2]:
        return b""
    has_key = (colours == np.array(numbers, pixels.dtype)).all(-1)
    is_clear = alpha == 0
    if not (np.array_equal(has_key, is_clear) and (is_clear | (alpha == alpha.max())).all()):
        return b""
    return struct.pack(f">{len(numbers)}H", *numbers)


def _background(form: PngForm) -> bytes:
    """The chunk bKGD of an image that has no palette."""
    if form.colour_type != _PALETTE:
        numbers = form.in_eight(form.background)
        return struct.pack(f">{len(numbers)}H", *numbers)
    colours = form.entries[form.background[0] : form.background[0] + 1, :3]
    return struct.pack(">3H", *map(int, colours[0])) if len(colours) else bytes(6)


def _with_palette(pixels: Pixels, form: PngForm) -> list[Block] | None:
    """The chunks of an image with a palette; None: it has too many colours."""
    channels, table = pixels.shape[2], form.entries
    if pixels.itemsize != 1 or channels < 3:
        return None
    if channels == 3:
        table[:, 3] = 255
    full = np.full((*pixels.shape[:2], 4), 255, np.uint8)
    full[..., :channels] = pixels
    used, places = np.unique(full.view(np.uint32)[..., 0], return_inverse=True)
    if len(used) > _MOST_COLOURS:
        return None
    known = table.view(np.uint32)[:, 0]
    new = used[~np.isin(used, known)]
    if len(known) + len(new) > _MOST_COLOURS:  # the colours that are not used give way
        known = known[np.isin(known, used)]
        _, firsts = np.unique(known, return_index=True)
        known = known[np.sort(firsts)]
    colours = np.concatenate([known, new])
    order = np.argsort(colours, kind="stable")
    index = order[np.searchsorted(colours[order], used)].astype(np.uint8)
    return _palette_chunks(index[places.reshape(pixels.shape[:2])], colours, form)


def _palette_chunks(
    indices: NDArray[np.uint8], colours: NDArray[np.uint32], form: PngForm
) -> list[Block]:
    table = np.ascontiguousarray(colours).view(np.uint8).reshape(-1, 4)
    bits = next(b for b in (1, 2, 4, 8) if len(table) <= 2**b and (b >= form.bits or b == 8))
    target = io.BytesIO()
    image = Image.fromarray(indices)
    image.putpalette(table[:, :3].tobytes())
    image.save(target, "PNG", bits=bits)
    alpha = table[:, 3]
    clear = np.flatnonzero(alpha != 255)
    chunks = [(b"PLTE", table[:, :3].tobytes())]
    if len(clear):
        chunks.append((b"tRNS", alpha[: clear[-1] + 1].tobytes()))
    if form.background and (place := _background_place(form, colours)) is not None:
        chunks.append((b"bKGD", bytes([place])))
    return _between(target.getvalue(), chunks)


def _background_place(form: PngForm, colours: NDArray[np.uint32]) -> int | None:
    """Where the background's colour is in a palette that may have changed."""
    wanted = form.entries[form.background[0] : form.background[0] + 1]
    if not len(wanted):
        return None
    found = np.flatnonzero(colours == wanted.view(np.uint32)[0, 0])
    return int(found[0]) if len(found) else None


def _joined(encoded: Sequence[Block], details: Details, form: PngForm) -> bytes:
    """A PNG of encoded chunks, with the source's own and EXIF and XMP."""
    colour_type = encoded[0][1][9]
    kept = [_with_alpha_bits(one, details, colour_type) for one in details.blocks]
    rest = [one for one in kept if one[0] not in _COLOURS]
    has_lost_palette = form.colour_type == _PALETTE and colour_type != _PALETTE
    wanted = _COLOURS - {b"sBIT"} if has_lost_palette else _COLOURS
    colours = [one for one in kept if one[0] in wanted]
    told = next(place for place, one in enumerate(encoded) if one[0] == b"IDAT")
    before = (encoded[0], *colours, *encoded[1:told])
    return PNG_HEAD + b"".join(
        map(_written, (*before, *rest, *_metadata(details), *encoded[told:]))
    )


def _metadata(details: Details) -> Iterator[Block]:
    if details.exif:
        yield b"eXIf", details.exif
    if details.xmp:
        yield b"iTXt", _XMP_HEAD + b"\0\0\0\0" + details.xmp


def _written(block: Block) -> bytes:
    name, body = block
    checksum = zlib.crc32(name + body)
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", checksum)


def _with_alpha_bits(block: Block, details: Details, colour_type: int) -> Block:
    """The significant bits also of an alpha that a transparent colour became."""
    name, body = block
    wanted = {2: 3, 3: 3, 6: 4, 4: 2, 0: 1}[colour_type]
    if name == b"sBIT" and len(body) == wanted - 1:
        return name, body + bytes([details.bits])
    return block


def png_chunks(source: bytes) -> tuple[Block, ...]:
    """The chunks of a PNG, IHDR to IEND, their checksums verified."""
    chunks: list[Block] = []
    at = len(PNG_HEAD)
    while not chunks or chunks[-1][0] != b"IEND":
        head = source[at : at + 8]
        if len(head) < 8:
            raise DamagedError("the PNG ends before its end")
        size, name = struct.unpack(">I4s", head)
        body, check = source[at + 8 : at + 8 + size], source[at + 8 + size : at + 12 + size]
        if len(check) < 4 or zlib.crc32(name + body) != int.from_bytes(check, "big"):
            raise DamagedError(f"the PNG's {name.decode('latin1')!r} chunk is damaged")
        chunks.append((name, body))
        at += 12 + size
    if chunks[0][0] != b"IHDR" or len(chunks[0][1]) != 13:
        raise DamagedError("the PNG has no header")
    return tuple(chunks)


def _size(source: bytes) -> tuple[int, int]:
    """Width and height by a PNG's header, before anything else of it is read."""
    if source[12:16] != b"IHDR" or len(source) < 24:
        raise DamagedError("the PNG has no header")
    width, height = struct.unpack_from(">II", source, 16)
    return int(width), int(height)


def _form(first: dict[bytes, bytes]) -> PngForm:
    header = first[b"IHDR"]
    return PngForm(
        colour_type=header[9],
        bits=header[8],
        interlaced=header[12] == 1,
        palette=first.get(b"PLTE", b""),
        transparent=first.get(b"tRNS", b""),
        background=first.get(b"bKGD", b""),
    )


def _kept(chunks: Sequence[Block]) -> tuple[Block, ...]:
    """The chunks that are copied; not EXIF and XMP."""
    return tuple(
        (name, body)
        for name, body in chunks
        if (name in _KEPT or (name not in _CODING and name[3] & _SAFE))
        and not (name == b"iTXt" and body.startswith(_XMP_HEAD))
    )


def _lost(chunks: Sequence[Block]) -> tuple[str, ...]:
    """The chunks of a PNG that are not true of other pixels, in words."""
    names = {name for name, _ in chunks} - _KEPT - _CODING
    unsafe = sorted(name.decode("latin1") for name in names if not name[3] & _SAFE)
    return tuple(f"the chunk {name}" for name in unsafe)


def _behind(source: bytes, chunks: Sequence[Block]) -> bytes:
    """What comes after the last chunk of a PNG."""
    return source[len(PNG_HEAD) + sum(12 + len(body) for _, body in chunks) :]


def _xmp(chunks: Sequence[Block]) -> bytes:
    """The XMP packet of a PNG; empty: none, or none that can be read."""
    for name, body in chunks:
        if name == b"iTXt" and body.startswith(_XMP_HEAD):
            packed = body[len(_XMP_HEAD) : len(_XMP_HEAD) + 1] == b"\1"
            text = body[len(_XMP_HEAD) + 2 :].split(b"\0", 2)[-1]
            try:
                return zlib.decompressobj().decompress(text, _MAX_XMP) if packed else text
            except zlib.error:
                return b""
    return b""
