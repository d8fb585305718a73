"""Still images come in upright and whole, and go out as they were stored."""

from __future__ import annotations

import io
import struct

import av
import numpy as np
import pytest
from PIL import Image, ImageOps
from PIL.JpegImagePlugin import get_sampling

from facepipe._system.files import IMAGE_SUFFIXES
from facepipe.errors import InputError, MediaError
from facepipe.images.still import read_image, write_image
from facepipe.video.pixel_formats import pixel_format
from media.image_samples import (
    KINDS,
    NOTE,
    again,
    double,
    opened,
    pillow,
    pixels,
    sample,
    stacked,
    vips,
)


@pytest.mark.parametrize("kind", ["png", "tiff"])
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_lossless_kinds_keep_every_value(kind: str, bits: int, channels: int) -> None:
    image = pixels(channels=channels, bits=bits)
    still = read_image(vips(image, kind), "image")
    assert (still.kind, still.frame.pts, still.frame.colour.full_range) == (kind, 0, True)
    layout = still.frame.format
    assert (layout.model, layout.bits) == ("rgb" if channels > 2 else "gray", bits)
    assert layout.alpha == (channels in (2, 4))
    assert layout == pixel_format(layout.name)
    np.testing.assert_array_equal(stacked(still.frame), image)
    written = write_image(still, still.frame, note=NOTE)
    np.testing.assert_array_equal(stacked(read_image(written, "again").frame), image)
    assert all(not plane.flags.writeable for plane in still.frame.planes)


@pytest.mark.parametrize("channels", [3, 4])
def test_lossless_webp_keeps_every_value_under_transparency_too(channels: int) -> None:
    image = pixels(channels=channels)
    image[4:9, 4:9, 3:] = 0
    written = again(pillow(image, "webp", lossless=True, exact=True))
    np.testing.assert_array_equal(stacked(read_image(written, "again").frame), image)


@pytest.mark.parametrize(("kind", "channels"), [("webp", 3), ("webp", 4), ("avif", 3), ("avif", 4)])
def test_lossy_kinds_stay_close(kind: str, channels: int) -> None:
    source = pillow(pixels(64, 96, channels), kind, quality=90)
    before = stacked(read_image(source, "image").frame).astype(int)
    after = stacked(read_image(again(source), "again").frame)
    assert after.shape == (64, 96, channels)
    assert np.abs(after - before).mean() < 1.5


def av1_format(image: bytes) -> str | None:
    """The pixel format of an AVIF's first image, as FFmpeg reads it."""
    with av.open(io.BytesIO(image)) as container:
        return container.streams.video[0].codec_context.pix_fmt


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize(
    ("sampling", "name"), [("4:2:0", "yuv420p"), ("4:2:2", "yuv422p"), ("4:4:4", "yuv444p")]
)
def test_avif_keeps_its_chroma(sampling: str, name: str, channels: int) -> None:
    source = pillow(pixels(64, 96, channels), "avif", quality=90, subsampling=sampling)
    assert av1_format(source) == name
    assert av1_format(again(source)) == name


@pytest.mark.parametrize(("mode", "name"), [("on", "yuv420p10le"), ("off", "yuv444p10le")])
def test_deep_avif_keeps_its_chroma(mode: str, name: str) -> None:
    how = {"bitdepth": 10, "Q": 90, "compression": "av1", "subsample_mode": mode}
    source = vips(pixels(64, 96, 3, 16), "avif", **how)
    assert av1_format(source) == name
    assert av1_format(again(source)) == name


@pytest.mark.parametrize("bits", [10, 12])
@pytest.mark.parametrize("channels", [3, 4])
def test_deep_avif_keeps_its_depth(bits: int, channels: int) -> None:
    source = vips(pixels(64, 96, channels, 16), "avif", bitdepth=bits, Q=95, compression="av1")
    still = read_image(source, "image")
    assert still.frame.format.bits == bits
    assert still.frame.format == pixel_format(still.frame.format.name)
    before = stacked(still.frame)
    assert 2 ** (bits - 1) < before.max() < 2**bits
    written = read_image(again(source), "again")
    assert written.frame.format.bits == bits
    assert np.abs(stacked(written.frame).astype(int) - before).mean() < 2 ** (bits - 8)


@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_keeps_tables_sampling_and_scans(
    subsampling: int, progressive: bool, channels: int
) -> None:
    source = pillow(
        pixels(64, 96, channels),
        "jpeg",
        quality=83,
        subsampling=subsampling,
        progressive=progressive,
    )
    before, after = opened(source), opened(again(source))
    assert after.quantization == before.quantization
    assert get_sampling(after) == get_sampling(before)
    assert after.info.get("progressive") == before.info.get("progressive")
    change = np.abs(np.asarray(after).astype(int) - np.asarray(before))
    assert change.mean() < 0.5
    if subsampling == 0:
        assert change.max() <= 2


def test_jpeg_of_other_tables_sampling_and_models() -> None:
    three = pillow(pixels(), "jpeg", qtables=[[2] * 64, [3] * 64, [5] * 64])
    assert opened(again(three)).quantization == opened(three).quantization
    stored_rgb = pillow(pixels(), "jpeg", quality=95, keep_rgb=True, subsampling=0)
    assert [part[0] for part in opened(again(stored_rgb)).layer] == list(b"RGB")
    after = stacked(read_image(again(stored_rgb), "again").frame)
    assert np.abs(after.astype(int) - pixels()).max() <= 4
    noise = np.random.default_rng(0).integers(0, 256, (160, 160, 3), np.uint8)
    fine = pillow(noise, "jpeg", qtables=[[1] * 64], subsampling=0)
    assert len(again(fine)) > 2 * 160 * 160  # more than the buffer that Pillow would choose


def test_a_turned_jpeg_turns_its_tables() -> None:
    exif = Image.Exif()
    exif[0x112] = 6
    source = pillow(pixels(64, 96), "jpeg", quality=80, subsampling=0, exif=exif)
    after = opened(again(source))
    before = np.array(opened(source).quantization[0]).reshape(8, 8)
    np.testing.assert_array_equal(np.array(after.quantization[0]).reshape(8, 8), before.T)
    upright = np.asarray(ImageOps.exif_transpose(opened(source))).astype(int)
    assert np.abs(np.asarray(after) - upright).mean() < 0.1
    # 4:2:2 on its side has no name in Pillow: all of the chroma holds it
    on_its_side = pillow(pixels(64, 96), "jpeg", subsampling=1, exif=exif)
    assert get_sampling(opened(again(on_its_side))) == 0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_once(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x112] = orientation
    source = sample(kind, exif=exif)
    upright = np.asarray(ImageOps.exif_transpose(opened(source))).astype(int)
    first = stacked(read_image(source, "image").frame)
    assert first.shape == upright.shape
    assert np.abs(first - upright).max() <= 1
    written = again(source)
    assert opened(written).getexif().get(0x112, 1) == 1
    shown = np.asarray(ImageOps.exif_transpose(opened(written)))
    second = stacked(read_image(written, "again").frame)
    for later in (shown, second):
        assert later.shape == upright.shape
        assert np.abs(later - upright).mean() < 2


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp"])
def test_an_orientation_that_is_none_turns_nothing(kind: str) -> None:
    exif = Image.Exif()
    exif[0x112] = 9
    assert read_image(sample(kind, exif=exif), "image").frame.width == 40


def test_content_decides_and_not_the_name() -> None:
    assert read_image(sample("png"), "photo.jpg").kind == "png"
    assert all(suffix == suffix.lower() and suffix[0] == "." for suffix in IMAGE_SUFFIXES)


@pytest.mark.parametrize(
    ("mode", "model", "alpha"),
    [("1", "gray", False), ("L", "gray", False), ("P", "rgb", False), ("LA", "gray", True)],
)
@pytest.mark.parametrize("kind", ["png", "tiff"])
def test_palettes_and_bits_become_eight_bits(kind: str, mode: str, model: str, alpha: bool) -> None:
    image = Image.fromarray(pixels()).convert(mode)
    target = io.BytesIO()
    image.save(target, kind.upper())
    still = read_image(target.getvalue(), "image")
    layout = still.frame.format
    assert (layout.model, layout.bits, layout.alpha) == (model, 8, alpha)
    shown = np.asarray(
        image.convert("RGB") if model == "rgb" else image.convert("LA" if alpha else "L")
    )
    np.testing.assert_array_equal(stacked(still.frame).squeeze(), shown)
    written = opened(again(target.getvalue()))
    np.testing.assert_array_equal(
        np.asarray(written.convert("RGB") if model == "rgb" else written), shown
    )


def test_a_transparent_colour_becomes_alpha() -> None:
    target = io.BytesIO()
    Image.fromarray(pixels()).convert("P").save(target, "PNG", transparency=3)
    assert read_image(target.getvalue(), "image").frame.format.name == "gbrap"


def test_premultiplied_tiff_keeps_every_value() -> None:
    image = pixels(channels=4)
    source = bytearray(vips(image, "tiff", compression="lzw"))
    at = source.rindex(struct.pack("<HHIHH", 338, 3, 1, 2, 0))
    struct.pack_into("<H", source, at + 8, 1)
    written = again(bytes(source))
    tags = opened(written).tag_v2
    assert (tags[338], tags[259]) == ((1,), 5)
    np.testing.assert_array_equal(stacked(read_image(written, "again").frame), image)


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"])
def test_tiff_keeps_its_compression(compression: str) -> None:
    source = sample("tiff", compression=compression)
    assert opened(again(source)).info["compression"] == compression


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_input_gives_the_same_bytes_and_no_word(
    kind: str, capfd: pytest.CaptureFixture[str]
) -> None:
    source = sample(kind)
    assert again(source) == again(source)
    assert capfd.readouterr() == ("", "")


def test_a_frame_must_be_of_the_images_format() -> None:
    still = read_image(sample("png"), "image")
    grey = read_image(vips(pixels(channels=1), "png"), "grey").frame
    with pytest.raises(ValueError, match="a frame of gray for an image of gbrp"):
        write_image(still, grey, note=NOTE)


@pytest.mark.parametrize(("kind", "most"), [("jpeg", 65500), ("webp", 16383)])
def test_a_side_that_the_format_cannot_hold(kind: str, most: int) -> None:
    still = read_image(sample(kind), "image")
    wide = tuple(np.zeros((1, most + 1), np.uint8) for _ in range(3))
    with pytest.raises(MediaError, match=f"at most {most} pixels a side, not {most + 1}x1"):
        write_image(still, still.frame.with_planes(wide), note=NOTE)


def test_avif_keeps_its_primaries() -> None:
    avif = sample("avif")
    at = avif.index(b"colrnclx") + 8
    written = again(avif[:at] + struct.pack(">HH", 12, 13) + avif[at + 4 :])
    at = written.index(b"colrnclx") + 8
    assert struct.unpack_from(">HH", written, at) == (12, 13)


@pytest.mark.parametrize("bits", [8, 10, 12])
@pytest.mark.parametrize("channels", [3, 4])
def test_heic_with_a_decoder(bits: int, channels: int) -> None:
    library = pytest.importorskip("pillow_heif")
    image = pixels(64, 96, channels, bits)
    mode = {3: "RGB", 4: "RGBA"}[channels] + ("" if bits == 8 else f";{bits}")
    target = io.BytesIO()
    exif = Image.Exif()
    exif[0x112], exif[0x10F] = 6, "Maker"
    file = library.from_bytes(mode, (96, 64), image.tobytes())
    file.save(target, quality=90, bit_depth=bits, exif=exif.tobytes())
    source = target.getvalue()
    still = read_image(source, "image")
    assert (still.kind, still.frame.format.bits) == ("heic", bits)
    before = stacked(still.frame).astype(int)
    assert np.abs(before - np.rot90(image, -1)).mean() < 3 * 2 ** (bits - 8)
    written = again(source, double)
    assert written == again(source, double)
    after = read_image(written, "again")
    assert (after.frame.width, after.frame.height) == (128, 192)
    assert after.frame.format == still.frame.format
    assert np.abs(stacked(after.frame)[::2, ::2] - before).mean() < 3 * 2 ** (bits - 8)
    assert b"Maker" in after.details.exif
    assert NOTE.encode() in after.details.xmp
    with pytest.raises(InputError, match="damaged or incomplete"):
        read_image(source[: len(source) // 2], "half")
    with pytest.raises(InputError, match="more than the 99 allowed"):
        read_image(source, "large", max_pixels=99)
