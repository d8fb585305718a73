"""Blocks of image files: segments of JPEG, chunks of WebP, boxes of AVIF and HEIC.

Encoders write the pixels; metadata are copied block by block, so that they arrive unchanged, also
where no library knows them. Data that are cut short or contradict themselves raise DamagedError.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from facepipe.images.exif import DamagedError

#: A block: its name (of PNG and WebP four letters, of JPEG one byte) and what it holds.
Block = tuple[bytes, bytes]
EXIF_HEAD = b"Exif\0\0"
XMP_HEAD = b"http://ns.adobe.com/xap/1.0/\0"
XMP_MORE_HEAD = b"http://ns.adobe.com/xmp/extension/\0"
_APP0, _APP1, _APP11, _ADOBE, _COMMENT = b"\xe0", b"\xe1", b"\xeb", b"\xee", b"\xfe"
#: Images within an AVIF or HEIC beside the one that is shown, by what their types hold.
_HEIF_IMAGES = (
    ("the gain map", (b"hdrgainmap", b"tmap")),
    ("the depth map", (b"auxid:2", b"auxiliary:depth", b"disparity")),
    ("the mattes", (b"matte",)),
)
#: Markers that begin a frame, and those of them that are progressive.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = frozenset([0xC2, 0xC6, 0xCA, 0xCE])
_RIFF_KNOWN = frozenset(
    [b"VP8X", b"VP8 ", b"VP8L", b"ALPH", b"ICCP", b"EXIF", b"XMP ", b"ANIM", b"ANMF"]
)


@dataclass(frozen=True)
class JpegHead:
    """The header of a JPEG: all before its pixels.

    `tables` are the quantization tables of its components, 64 values each in natural order, row
    by row, 1..65535; `sampling` holds (horizontal, vertical) factors of each component; `rgb`
    says that the components are R, G, B and not Y, Cb, Cr. `blocks` are its segments.
    """

    width: int
    height: int
    bits: int
    sampling: tuple[tuple[int, int], ...]
    tables: tuple[tuple[int, ...], ...]
    progressive: bool
    rgb: bool
    blocks: tuple[Block, ...]

    @property
    def turned_tables(self) -> tuple[tuple[int, ...], ...]:
        """The tables of the same image with its rows and columns exchanged."""
        places = [i % 8 * 8 + i // 8 for i in range(64)]
        return tuple(tuple(table[place] for place in places) for table in self.tables)

    def subsampling(self, *, turned: bool) -> int:
        """How the chroma, of the turned image too, is halved: 0 not, 1 in width, 2 both ways."""
        chroma = self.sampling[0] if self.sampling[1:] == ((1, 1), (1, 1)) else (1, 1)
        return {(2, 2): 2, (2, 1): 0 if turned else 1}.get(chroma, 0)


def jpeg_head(source: bytes) -> JpegHead:
    """Read a JPEG up to its first scan."""
    segments: list[tuple[int, bytes]] = []
    tables: dict[int, tuple[int, ...]] = {}
    for marker, body, _ in _segments(source):
        segments.append((marker, body))
        if marker == 0xDB:
            tables |= _quantization(body)
    marker, size, parts = _jpeg_frame(segments)
    if any(part[2] not in tables for part in parts):
        raise DamagedError("the JPEG misses a quantization table")
    blocks = tuple((bytes([marker]), body) for marker, body in segments)
    return JpegHead(
        *size,
        tuple((part[1] >> 4, part[1] & 15) for part in parts),
        tuple(tables[part[2]] for part in parts),
        marker in _PROGRESSIVE,
        len(parts) == 3 and _is_rgb(blocks, bytes(part[0] for part in parts)),
        blocks,
    )


def _jpeg_frame(
    segments: Sequence[tuple[int, bytes]],
) -> tuple[int, tuple[int, int, int], list[bytes]]:
    """The first frame header: marker; width, height and bits; three bytes of each component."""
    marker, body = next((segment for segment in segments if segment[0] in _FRAMES), (0, b""))
    if len(body) < 6:
        raise DamagedError("no image in the JPEG")
    bits, height, width, count = struct.unpack_from(">BHHB", body)
    if len(body) != 6 + 3 * count or not width or not height:
        raise DamagedError("the JPEG's frame header makes no sense")
    return marker, (width, height, bits), [body[at : at + 3] for at in range(6, len(body), 3)]


def jpeg_kept(blocks: Sequence[Block]) -> tuple[Block, ...]:
    """The segments that are copied: JFIF, comments, and all that applications put there.

    Not EXIF and XMP, which `jpeg_joined` gets as arguments of their own, and not what describes how
    the pixels are stored.
    """
    kept = []
    for name, body in blocks:
        if name == _APP0 and body.startswith(b"JFIF\0") and len(body) >= 14:
            kept.append((name, body[:12] + b"\0\0"))  # without its thumbnail
        elif name == _COMMENT or (
            _APP0 < name < b"\xf0"
            and name not in (_APP11, _ADOBE)
            and not body.startswith((EXIF_HEAD, XMP_HEAD))
        ):
            kept.append((name, body))
    return tuple(kept)


def jpeg_lost(blocks: Sequence[Block]) -> tuple[str, ...]:
    """What a JPEG's segments hold that is not true of other pixels, in words."""
    credentials = any(name == _APP11 and b"c2pa" in body for name, body in blocks)
    more = any(name == _APP11 and b"c2pa" not in body[:64] for name, body in blocks)
    found = ["the content credentials (C2PA)"] if credentials else []
    return (*found, *(["the JUMBF boxes"] if more and not credentials else []))


def jpeg_block(blocks: Sequence[Block], head: bytes) -> bytes:
    """What follows `head` in the first APP1 segment that begins with it; empty: none does."""
    found = (body for name, body in blocks if name == _APP1 and body.startswith(head))
    return next(found, head)[len(head) :]


def jpeg_joined(encoded: bytes, kept: Sequence[Block], exif: bytes, xmp: bytes) -> bytes:
    """A JPEG with the kept segments in place of its JFIF one; ValueError: metadata too long."""
    start = [block for block in kept if block[0] == _APP0]
    metadata = [(_APP1, EXIF_HEAD + exif)] if exif else []
    metadata += [(_APP1, XMP_HEAD + xmp)] if xmp else []
    rest = [block for block in kept if block[0] != _APP0]
    written = b"".join(_jpeg_segment(*block) for block in (*start, *metadata, *rest))
    at = 2
    for marker, _, end in _segments(encoded):
        if marker != _APP0[0]:
            break
        at = end
    return encoded[:2] + written + encoded[at:]


def _jpeg_segment(name: bytes, body: bytes) -> bytes:
    if len(body) > 65533:
        raise ValueError(f"{len(body)} bytes of metadata do not fit a segment of 65533")
    return b"\xff" + name + struct.pack(">H", len(body) + 2) + body


def riff_chunks(source: bytes) -> tuple[Block, ...]:
    """The chunks of a WebP."""
    chunks = []
    at, end = 12, min(len(source), 8 + int.from_bytes(source[4:8], "little"))
    while at + 8 <= end:
        name, size = struct.unpack_from("<4sI", source, at)
        chunks.append((name, source[at + 8 : at + 8 + size]))
        at += 8 + size + size % 2
    return tuple(chunks)


def riff_lost(chunks: Sequence[Block]) -> tuple[str, ...]:
    """The chunks of a WebP that its encoder does not write, in words."""
    names = {name for name, _ in chunks} - _RIFF_KNOWN
    return tuple(f"the chunk {name.decode('latin1').strip()}" for name in sorted(names))


_AV1_GRAY = 0x10  # in the third byte of the record: no chroma, as alpha is stored


def nclx(source: bytes) -> tuple[int, int] | None:
    """Primaries and transfer (code points of H.273) of an AVIF or HEIC file; None: not given."""
    at = _nclx_at(source)
    return struct.unpack_from(">HH", source, at) if at else None


def with_nclx(encoded: bytes, codes: tuple[int, int]) -> bytes:
    """The file with other primaries and transfer, where it gives any."""
    at = _nclx_at(encoded)
    return encoded[:at] + struct.pack(">HH", *codes) + encoded[at + 4 :] if at else encoded


def heif_sizes(source: bytes) -> tuple[tuple[int, int], ...]:
    """Width and height of every item of an AVIF or HEIC file: image, tiles, thumbnails."""
    start, stop = _meta(source)
    sizes = []
    while (start := source.find(b"ispe", start, stop)) >= 0:
        if start + 16 <= stop:
            sizes.append(struct.unpack_from(">II", source, start + 8))
        start += 4
    return tuple(sizes)


def avif_subsampling(source: bytes) -> int:
    """How an AVIF stores chroma, by the codec's record in it: 0 is 4:4:4, 1 is 4:2:2, 2 is 4:2:0.

    Of several images with chroma, such as tiles, the first counts; 0 where there is none.
    """
    start, stop = _meta(source)
    while (start := source.find(b"av1C", start, stop - 7)) >= 0:
        flags = source[start + 6]
        if not flags & _AV1_GRAY:
            return (flags >> 3 & 1) + (flags >> 2 & 1)
        start += 4
    return 0


def heif_kind(source: bytes) -> Literal["avif", "heic"] | None:
    """The kind of an ISO base media file by its brands; None: no still image."""
    size = int.from_bytes(source[:4], "big")
    if source[4:8] != b"ftyp" or not 16 <= size <= 4096:
        return None
    box = source[8:size]
    brands = {box[:4], *(box[at : at + 4] for at in range(8, len(box), 4))}
    if brands & {b"avif", b"avis"}:
        return "avif"
    return "heic" if brands & {b"heic", b"heix", b"hevc", b"mif1", b"msf1"} else None


def heif_lost(source: bytes) -> tuple[str, ...]:
    """The further images within an AVIF or HEIC that are not written again, in words."""
    start, stop = _meta(source)
    meta = source[start:stop].lower()
    return tuple(words for words, marks in _HEIF_IMAGES if any(mark in meta for mark in marks))


def _nclx_at(source: bytes) -> int:
    """Offset of the primaries in the first `nclx` box of the file's `meta` box; 0: none."""
    start, stop = _meta(source)
    found = source.find(b"colrnclx", start, max(stop - 4, start))
    return found + 8 if found >= 0 else 0


def _meta(source: bytes) -> tuple[int, int]:
    """Start and end of the `meta` box, which holds all properties."""
    at = 0
    while at + 8 <= len(source):
        size, name = struct.unpack_from(">I4s", source, at)
        if name == b"meta":
            return at, min(at + size, len(source))
        if size < 8:
            break
        at += size
    return 0, 0


def _segments(source: bytes) -> Iterator[tuple[int, bytes, int]]:
    """Marker, body and end of each segment of a JPEG before its first scan."""
    at = 2
    while True:
        while source[at : at + 2] == b"\xff\xff":  # fill bytes
            at += 1
        if len(source) < at + 4 or source[at] != 0xFF:
            raise DamagedError("the JPEG ends before its image")
        marker, size = source[at + 1], int.from_bytes(source[at + 2 : at + 4], "big")
        if marker == 0xDA:
            return
        body = source[at + 4 : at + 2 + size]
        if size < 2 or len(body) != size - 2:
            raise DamagedError("a segment of the JPEG leaves the file")
        at += 2 + size
        yield marker, body, at


def _quantization(body: bytes) -> dict[int, tuple[int, ...]]:
    """The tables of a DQT segment by number, in natural order."""
    tables, at = {}, 0
    while at < len(body):
        wide, number = body[at] >> 4, body[at] & 15
        form = ">64H" if wide else ">64B"
        if len(body) < at + 1 + struct.calcsize(form):
            raise DamagedError("a quantization table of the JPEG is cut short")
        zigzag = struct.unpack_from(form, body, at + 1)
        table = [0] * 64
        for place, value in zip(_ZIGZAG, zigzag, strict=True):
            table[place] = value
        tables[number] = tuple(table)
        at += 1 + struct.calcsize(form)
    return tables


def _is_rgb(blocks: Sequence[Block], names: bytes) -> bool:
    """Whether three components are R, G, B: by the rule of libjpeg."""
    if any(name == _APP0 and body.startswith(b"JFIF\0") for name, body in blocks):
        return False
    for name, body in blocks:
        if name == b"\xee" and body.startswith(b"Adobe") and len(body) >= 12:
            return body[11] == 0
    return names == b"RGB"


def _diagonal(place: int) -> tuple[int, int]:
    row, column = divmod(place, 8)
    return row + column, row if (row + column) % 2 else column


#: Where the values of a quantization table go, in the order that they are stored in.
_ZIGZAG = sorted(range(64), key=_diagonal)
