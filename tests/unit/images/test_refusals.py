"""What is no whole still image is refused with InputError that says why, and nothing else."""

from __future__ import annotations

import io
import struct
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from facepipe.errors import InputError, MediaError
from facepipe.images.still import read_image, write_image
from media.image_samples import KINDS, NOTE, again, opened, pillow, pixels, png, sample, vips


def refusal(source: bytes, **options: Any) -> str:
    with pytest.raises(InputError) as caught:
        read_image(source, "photo.jpg", **options)
    assert str(caught.value).startswith("photo.jpg: ")
    return str(caught.value)


def bombs() -> dict[str, bytes]:
    """Files of a few hundred bytes whose headers promise 60000x60000 and more."""
    header = struct.pack(">IIBBBBB", 100000, 100000, 8, 2, 0, 0, 0)
    tags = [(256, 100000), (257, 100000), (258, 8), (259, 1), (262, 1), (273, 8), (279, 99)]
    entries = b"".join(struct.pack("<HHII", number, 4, 1, value) for number, value in tags)
    jpeg = bytearray(sample("jpeg"))
    struct.pack_into(">HH", jpeg, jpeg.index(b"\xff\xc0") + 5, 60000, 60000)
    return {
        "png": png((b"IHDR", header), (b"IDAT", b""), (b"IEND", b"")),
        "tiff": b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + entries + bytes(4),
        "jpeg": bytes(jpeg),
    }


@pytest.mark.parametrize("kind", ["png", "tiff", "jpeg"])
def test_a_bomb_is_refused_by_its_header(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("facepipe.images.codecs.vips_pixels", lambda _: pytest.fail("decoded"))
    told = refusal(bombs()[kind])
    assert "100000x100000" in told or "60000x60000" in told
    assert "more than the 200,000,000 allowed" in told
    assert "--max-pixels" in told


@pytest.mark.parametrize("kind", KINDS)
def test_the_limit_holds_for_every_kind_and_can_be_raised(kind: str) -> None:
    assert "40x24 is 960 pixels, more than the 959 allowed" in refusal(sample(kind), max_pixels=959)
    assert read_image(sample(kind), "image", max_pixels=960).frame.width == 40


def cuts(source: bytes) -> Sequence[int]:
    return [*range(13, len(source) - 8, max(1, len(source) // 23)), len(source) - 2]


@pytest.mark.parametrize("kind", [*KINDS, "progressive", "plain tiff", "lossy webp"])
def test_what_is_cut_short_is_refused(kind: str, capfd: pytest.CaptureFixture[str]) -> None:
    image = pixels(64, 96)
    source = {
        "progressive": lambda: pillow(image, "jpeg", progressive=True),
        "plain tiff": lambda: vips(image, "tiff"),
        "lossy webp": lambda: pillow(image, "webp"),
        "tiff": lambda: vips(image, "tiff", compression="deflate"),
    }.get(kind, lambda: pillow(image, kind))()
    for cut in cuts(source):
        assert "damaged or incomplete" in refusal(source[:cut])
    assert capfd.readouterr() == ("", "")


def test_a_jpeg_that_stops_early_is_refused() -> None:
    source = pillow(pixels(64, 96), "jpeg", quality=95)
    early = source[: len(source) * 2 // 3] + b"\xff\xd9"
    assert "premature end of data" in refusal(early)


def test_a_png_with_a_flipped_bit_is_refused() -> None:
    source = bytearray(sample("png"))
    source[len(source) // 2] ^= 4
    assert "'IDAT' chunk is damaged" in refusal(bytes(source))


@pytest.mark.parametrize(
    "source", [b"", b"\xff\xd8", b"hello " * 99, b"GIF89a" + bytes(99), b"\0\0\0\x18ftypmp42" * 9]
)
def test_what_is_no_image_is_refused(source: bytes) -> None:
    told = refusal(source)
    assert "not an image that facepipe reads; it reads JPEG, PNG, WebP, TIFF, AVIF" in told


@pytest.mark.parametrize("kind", ["png", "webp", "tiff", "avif"])
def test_several_pages_are_refused(kind: str) -> None:
    others = [Image.fromarray(pixels()[::-1]), Image.fromarray(pixels()[:, ::-1])]
    assert "3 pages or frames" in refusal(
        pillow(pixels(), kind, save_all=True, append_images=others)
    )


def test_a_jpeg_with_more_behind_it_is_written_with_that() -> None:
    target = io.BytesIO()
    first, second = Image.fromarray(pixels()), Image.fromarray(pixels()[::-1])
    first.save(target, "MPO", save_all=True, append_images=[second], quality=95)
    written = again(target.getvalue())
    assert opened(written).format == "MPO"
    assert opened(written).n_frames == 2  # type: ignore[attr-defined]
    assert np.abs(np.asarray(opened(written)).astype(int) - pixels()).mean() < 3


def test_models_that_facepipe_does_not_take() -> None:
    rgb = Image.fromarray(pixels())
    for kind in ("JPEG", "TIFF"):
        target = io.BytesIO()
        rgb.convert("CMYK").save(target, kind)
        assert "CMYK" in refusal(target.getvalue())
    target = io.BytesIO()
    rgb.convert("LAB").save(target, "TIFF")
    assert "L*a*b*" in refusal(target.getvalue())
    assert "floating point" in refusal(pillow(pixels()[..., 0].astype(np.float32), "tiff"))
    assert "more than 16 bits" in refusal(pillow(pixels()[..., 0].astype(np.int32), "tiff"))
    source = sample("png")
    pq = png((b"cICP", bytes([9, 16, 0, 1])))[8:]
    assert "HDR image (PQ)" in refusal(source[:33] + pq + source[33:])
    avif = sample("avif")
    at = avif.index(b"colrnclx") + 8
    assert "(HLG)" in refusal(avif[:at] + struct.pack(">HH", 9, 18) + avif[at + 4 :])


def test_heic_without_a_decoder_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    assert "pip install pillow-heif" in refusal(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(99))


SMALL = {kind: sample(kind) for kind in KINDS} | {
    "progressive": pillow(pixels(), "jpeg", progressive=True),
    "lossy webp": pillow(pixels(channels=4), "webp"),
    "deflated tiff": vips(pixels(), "tiff", compression="deflate"),
}


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(sorted(SMALL)), st.data())
def test_flipped_bytes_raise_nothing_else(kind: str, data: st.DataObject) -> None:
    source = bytearray(SMALL[kind])
    places = st.integers(0, len(source) - 1)
    for at, value in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), max_size=6)):
        source[at] = value
    try:
        still = read_image(bytes(source), "image", max_pixels=100_000)
    except InputError:
        return
    try:
        write_image(still, still.frame, note=NOTE)
    except MediaError:
        return
