"""A PNG keeps the form of its pixels where it can."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
import pyvips
from PIL import Image

from facepipe.datatypes import Frame
from facepipe.images.png import png_chunks
from facepipe.images.still import read_image, write_image
from media.image_samples import NOTE, again, double, opened, pixels, png, stacked


def paletted(colours: int = 60, **options: Any) -> bytes:
    target = io.BytesIO()
    Image.fromarray(pixels()).quantize(colours).save(target, "PNG", **options)
    return target.getvalue()


def with_chunk(source: bytes, name: bytes, body: bytes) -> bytes:
    """The file with one more chunk ahead of its pixels."""
    at = source.index(b"IDAT") - 4
    return source[:at] + png((name, body))[8:] + source[at:]


def chunks(content: bytes) -> dict[bytes, bytes]:
    return dict(reversed(png_chunks(content)))


def changed(count: int) -> Any:
    """Gives the first `count` pixels colours that nobody else has."""

    def change(frame: Frame) -> Frame:
        planes = [plane.copy() for plane in frame.planes]
        for n in range(count):
            y, x = divmod(n, planes[0].shape[1])
            planes[0][y, x], planes[1][y, x], planes[2][y, x] = n % 250, 251, 1 + n // 250
        return frame.with_planes(tuple(planes))

    return change


def test_a_palette_stays_as_it_is() -> None:
    source = paletted(bits=8)
    written = again(source)
    assert opened(written).mode == "P"
    assert chunks(written)[b"PLTE"] == chunks(source)[b"PLTE"]
    np.testing.assert_array_equal(np.asarray(opened(written)), np.asarray(opened(source)))


@pytest.mark.parametrize("colours", [2, 4, 16])
def test_few_colours_take_few_bits(colours: int) -> None:
    source = paletted(colours)
    assert chunks(again(source))[b"IHDR"][8:10] == chunks(source)[b"IHDR"][8:10]
    np.testing.assert_array_equal(
        np.asarray(opened(again(source)).convert("RGB")), np.asarray(opened(source).convert("RGB"))
    )


def test_new_colours_are_added_while_there_is_room() -> None:
    source = paletted(60)
    still = read_image(source, "image")
    frame = changed(150)(still.frame)
    written = write_image(still, frame, note=NOTE)
    assert opened(written).mode == "P"
    assert chunks(written)[b"PLTE"].startswith(chunks(source)[b"PLTE"])
    np.testing.assert_array_equal(np.asarray(opened(written).convert("RGB")), stacked(frame))


def test_unused_colours_give_way() -> None:
    source = paletted(60)
    padded = np.asarray(opened(source).getpalette()[: 60 * 3], np.uint8)  # type: ignore[index]
    unused = np.stack([np.arange(196), np.full(196, 3), np.arange(196)], 1).astype(np.uint8)
    image = opened(source)
    image.putpalette(padded.tobytes() + unused.tobytes())
    target = io.BytesIO()
    image.save(target, "PNG")
    still = read_image(target.getvalue(), "image")
    frame = changed(120)(still.frame)
    written = write_image(still, frame, note=NOTE)
    assert opened(written).mode == "P"
    np.testing.assert_array_equal(np.asarray(opened(written).convert("RGB")), stacked(frame))


def test_too_many_colours_need_more_than_a_palette() -> None:
    still = read_image(with_chunk(paletted(60), b"bKGD", b"\x05"), "image")
    frame = changed(400)(still.frame)
    written = write_image(still, frame, note=NOTE)
    assert opened(written).mode == "RGB"
    np.testing.assert_array_equal(np.asarray(opened(written)), stacked(frame))
    colour = np.frombuffer(chunks(paletted(60))[b"PLTE"], np.uint8).reshape(-1, 3)[5]
    assert struct.unpack(">3H", chunks(written)[b"bKGD"]) == tuple(colour)


def test_a_palette_keeps_its_transparency_and_background() -> None:
    alpha = bytes(range(0, 240, 4))
    source = with_chunk(paletted(60, transparency=alpha), b"bKGD", b"\x07")
    written = again(source)
    assert opened(written).mode == "P"
    assert chunks(written)[b"tRNS"] == chunks(source)[b"tRNS"]
    assert chunks(written)[b"bKGD"] == b"\x07"
    np.testing.assert_array_equal(
        np.asarray(opened(written).convert("RGBA")), np.asarray(opened(source).convert("RGBA"))
    )
    names = [name for name, _ in png_chunks(written)]
    assert names.index(b"PLTE") < names.index(b"tRNS") < names.index(b"bKGD")


@pytest.mark.parametrize(
    ("mode", "background", "after"),
    [
        ("RGB", struct.pack(">3H", 9, 80, 200), struct.pack(">3H", 9, 80, 200)),
        ("RGBA", struct.pack(">3H", 9, 80, 200), struct.pack(">3H", 9, 80, 200)),
        ("L", struct.pack(">H", 77), struct.pack(">H", 77)),
        ("LA", struct.pack(">H", 77), struct.pack(">H", 77)),
        ("1", struct.pack(">H", 1), struct.pack(">H", 255)),  # of one bit, then of eight
        ("I;16", struct.pack(">H", 40000), struct.pack(">H", 40000)),
    ],
)
@pytest.mark.parametrize("large", [False, True], ids=["as large", "twice as large"])
def test_the_background_stays(mode: str, background: bytes, after: bytes, large: bool) -> None:
    target = io.BytesIO()
    if mode == "I;16":
        Image.fromarray(pixels(bits=16, channels=1)[..., 0]).save(target, "PNG")
    else:
        Image.fromarray(pixels()).convert(mode).save(target, "PNG")
    source = with_chunk(target.getvalue(), b"bKGD", background)
    written = again(source, double) if large else again(source)
    assert chunks(written)[b"bKGD"] == after


@pytest.mark.parametrize("bits", [8, 16])
def test_a_transparent_colour_stays_one(bits: int) -> None:
    image = pixels(bits=bits)
    clear = tuple(int(value) for value in image[0, 0])
    header = struct.pack(">IIBBBBB", 40, 24, bits, 2, 0, 0, 0)
    rows = image.astype(f">u{bits // 8}")
    data = b"".join(b"\0" + row.tobytes() for row in rows)
    source = png(
        (b"IHDR", header),
        (b"sBIT", bytes([5, 6, 5])),
        (b"tRNS", struct.pack(">3H", *clear)),
        (b"IDAT", zlib.compress(data)),
        (b"IEND", b""),
    )
    written = again(source)
    assert chunks(written)[b"tRNS"] == chunks(source)[b"tRNS"]
    assert chunks(written)[b"IHDR"][9] == 2
    assert chunks(written)[b"sBIT"] == bytes([5, 6, 5])
    before, after = read_image(source, "before").frame, read_image(written, "after").frame
    np.testing.assert_array_equal(stacked(before), stacked(after))

    def blend(frame: Frame) -> Frame:
        alpha = frame.planes[-1].copy()
        alpha[0, 0] = 99
        return frame.with_planes((*frame.planes[:-1], alpha))

    # Alpha that is half clear, or another pixel of that colour: a channel of its own says it.
    written = again(source, blend)
    assert chunks(written)[b"IHDR"][9] == 6
    assert chunks(written)[b"sBIT"] == bytes([5, 6, 5, bits])
    assert b"tRNS" not in chunks(written)


def test_an_interlaced_image_stays_so() -> None:
    target = io.BytesIO()
    Image.fromarray(pixels()).save(target, "PNG")
    interlaced = pyvips.Image.new_from_buffer(target.getvalue(), "").pngsave_buffer(interlace=True)
    assert chunks(interlaced)[b"IHDR"][12] == 1
    assert chunks(again(interlaced))[b"IHDR"][12] == 1
    assert chunks(again(target.getvalue()))[b"IHDR"][12] == 0
