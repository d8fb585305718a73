"""BMP: every kind of pixels, exactly, and the resolution."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from facepipe.errors import InputError
from facepipe.images.still import read_image, write_image
from media.image_samples import NOTE, double, opened, pixels


def bmp(mode: str) -> bytes:
    target = io.BytesIO()
    image = Image.fromarray(pixels()).convert(mode)
    image.save(target, "BMP", dpi=(300, 300))
    return target.getvalue()


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB"])
def test_pixels_and_resolution_stay(mode: str) -> None:
    source = bmp(mode)
    still = read_image(source, "a.bmp")
    assert still.kind == "bmp"
    again = write_image(still, still.frame, note=NOTE)
    assert np.array_equal(opened(again).convert("RGB"), opened(source).convert("RGB"))
    assert round(opened(again).info["dpi"][0]) == 300
    larger = opened(write_image(still, double(still.frame), note=NOTE))
    assert larger.size == (80, 48)


def test_alpha_stays() -> None:
    """Pillow reads it where the header has a mask for it."""
    still = read_image(bmp("RGB"), "a.bmp")
    alpha = np.arange(24 * 40, dtype=np.uint8).reshape(24, 40, 1)
    source = np.concatenate((np.stack(still.frame.planes, -1), alpha), 2)
    from facepipe.images.bmp import read_bmp, write_bmp
    from facepipe.images.codecs import Details

    written = write_bmp(source, Details(8))
    assert opened(written).mode == "RGBA"
    decoded = read_bmp(written, lambda *_: None)
    assert np.array_equal(decoded.pixels, source)
    with_alpha = read_image(written, "a.bmp")
    assert write_image(with_alpha, with_alpha.frame, note=NOTE) == written


@pytest.mark.parametrize("cut", [10, 20, 60, 1000])
def test_what_is_cut_short_is_refused(cut: int) -> None:
    with pytest.raises(InputError):
        read_image(bmp("RGB")[:cut], "a.bmp")
