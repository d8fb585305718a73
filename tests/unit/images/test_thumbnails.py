"""Thumbnails show the image that is written."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import Image

from facepipe.images.exif import thumbnail_of, upright, with_thumbnail
from facepipe.images.still import read_image, write_image
from facepipe.images.thumbnails import thumbnail, thumbnail_side, with_new_thumbnail
from media.image_samples import NOTE, again, double, opened, pillow, pixels

_OLD = pillow(np.full((12, 16, 3), 200, np.uint8), "jpeg")


def structure(order: str = "<", *, jpeg: bytes = _OLD, tag: int = 0x112) -> bytes:
    """An EXIF structure of one tag, which is 6, and of a thumbnail at its end."""
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8)
    first = struct.pack(f"{order}HHHIHHI", 1, tag, 3, 1, 6, 0, 26)
    second = struct.pack(f"{order}HHHII", 2, 0x201, 4, 1, 56)
    second += struct.pack(f"{order}HHII", 0x202, 4, 1, len(jpeg)) + bytes(4)
    return head + first + second + jpeg


def raw_structure() -> bytes:
    """An EXIF structure with an uncompressed thumbnail of 16x12 px."""
    first = struct.pack("<HHHIHHI", 1, 0x112, 3, 1, 1, 0, 26)
    tags = [(0x100, 3, 1, 16), (0x101, 3, 1, 12), (0x111, 4, 1, 80), (0x117, 4, 1, 576)]
    second = struct.pack("<H", 4) + b"".join(struct.pack("<HHII", *tag) for tag in tags) + bytes(4)
    return b"II*\0\x08\0\0\0" + first + second + bytes([200]) * 576


def second_directory(content: bytes) -> dict[int, int]:
    """The numbers in the directory of an image's thumbnail, by their tags; empty: there is none."""
    exif = opened(content).info["exif"].removeprefix(b"Exif\0\0")
    order = "<" if exif.startswith(b"II") else ">"
    at = struct.unpack_from(f"{order}I", exif, 4)[0]
    found: dict[int, int] = {}
    for _ in range(2):
        (count,) = struct.unpack_from(f"{order}H", exif, at)
        entries = range(at + 2, at + 2 + 12 * count, 12)
        found = {
            tag: value
            for tag, kind, _, value in (
                struct.unpack_from(f"{order}HHII", exif, e) for e in entries
            )
            if kind == 4
        }
        at = struct.unpack_from(f"{order}I", exif, entries.stop)[0]
        if not at:
            return {} if 0x201 not in found else found
    return found


def shown(content: bytes) -> Image.Image:
    """The thumbnail of an image."""
    found = second_directory(content)
    exif = opened(content).info["exif"].removeprefix(b"Exif\0\0")
    return Image.open(io.BytesIO(exif[found[0x201] : found[0x201] + found[0x202]]))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "avif"])
@pytest.mark.parametrize("large", [False, True], ids=["as large", "twice as large"])
def test_a_thumbnail_is_made_anew(order: str, kind: str, large: bool) -> None:
    # Pillow makes an EXIF of its own where an AVIF is to be turned.
    given = structure(order, tag=0x115 if kind == "avif" else 0x112)
    options = {} if kind in ("png", "avif") else {"quality": 95}
    source = pillow(pixels(), kind, exif=b"Exif\0\0" + given, **options)
    written = again(source, double) if large else again(source)
    small = shown(written)
    assert max(small.size) == 16
    assert (small.width > small.height) == (opened(written).width > opened(written).height)
    full = opened(written).convert("RGB").resize(small.size, Image.Resampling.LANCZOS)
    assert np.abs(np.asarray(small.convert("RGB"), int) - np.asarray(full)).mean() < 12
    assert "jfif" not in small.info
    assert opened(written).getexif().get(0x112, 1) == 1


def test_an_uncompressed_thumbnail_becomes_a_jpeg() -> None:
    written = again(pillow(pixels(), "jpeg", exif=b"Exif\0\0" + raw_structure()))
    assert max(shown(written).size) == 16


def test_without_a_thumbnail_none_is_made() -> None:
    made = Image.Exif()
    made[0x10F] = "Maker"
    written = again(pillow(pixels(), "jpeg", exif=made.tobytes()))
    assert second_directory(written) == {}


def test_the_old_thumbnail_is_gone_wherever_it_lies() -> None:
    given = structure()
    assert upright(given) == upright(given)[:56]
    assert _OLD not in upright(given + b"more")
    assert upright(given + b"more").endswith(bytes(len(_OLD)) + b"more")
    source = pillow(pixels(), "jpeg", exif=b"Exif\0\0" + given + b"more")
    assert _OLD in source
    assert _OLD not in again(source)


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_thumbnail_is_found_where_it_was_put(order: str) -> None:
    bare = upright(structure(order))
    assert thumbnail_of(bare) is None
    assert thumbnail_of(with_thumbnail(bare, b"\xff\xd8odd")) == (b"\xff\xd8odd", 0)


@pytest.mark.parametrize("damaged", [b"", b"II*\0", structure()[:40], b"II*\0\xff\xff\0\0"])
def test_a_damaged_structure_has_none(damaged: bytes) -> None:
    assert thumbnail_side(damaged) == 0


def test_a_thumbnail_that_makes_no_sense_is_replaced_by_one_of_the_usual_size() -> None:
    assert thumbnail_side(structure(jpeg=b"\xff\xd8\xff\xd9 nothing")) == 160


def test_it_is_as_small_as_it_must_be_or_left_out() -> None:
    noise = np.random.default_rng(1).integers(0, 256, (400, 400, 3), np.uint8)
    free, tight = thumbnail(noise, 8, 160, 10**6), thumbnail(noise, 8, 160, 9000)
    assert len(tight) <= 9000 < len(free)
    assert with_new_thumbnail(b"II*\0\x08\0\0\0\0\0\0\0\0\0", noise, 8, 160, 500) == (
        b"II*\0\x08\0\0\0\0\0\0\0\0\0"
    )


@pytest.mark.parametrize(("channels", "bits"), [(1, 8), (2, 16), (3, 10), (4, 12)])
def test_of_any_pixels(channels: int, bits: int) -> None:
    small = Image.open(io.BytesIO(thumbnail(pixels(300, 500, channels, bits), bits, 100, 10**6)))
    assert small.size == (100, 60)
    wanted = pixels(300, 500, channels)[::5, ::5, : 1 if channels < 3 else 3].squeeze()
    assert np.abs(np.asarray(small, int) - wanted).mean() < 20


def test_a_full_segment_of_exif_gets_no_thumbnail() -> None:
    made = Image.Exif()
    made.get_ifd(0x8769)[0x927C] = b"m" * 65200
    full = made.tobytes().removeprefix(b"Exif\0\0")
    still = read_image(pillow(pixels(), "jpeg", exif=b"Exif\0\0" + full), "image")
    wanted = type(still)(
        still.frame, still.kind, type(still.details)(**{**vars(still.details), "thumbnail": 160})
    )
    assert second_directory(write_image(wanted, still.frame, note=NOTE)) == {}
