"""Images as files: PNG that says of itself what it shows."""

from __future__ import annotations

from io import BytesIO

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from facepipe.configs.notices import CONTAINER_TAG
from facepipe.presentation.crops import Rgb


def png_bytes(image: Rgb, *, enhanced: bool) -> bytes:
    """An RGB image (H, W, 3) as PNG; `enhanced`: a comment says that faces were."""
    about = PngInfo()
    if enhanced:
        about.add_text("Comment", CONTAINER_TAG)
    written = BytesIO()
    Image.fromarray(image).save(written, "PNG", pnginfo=about)
    return written.getvalue()
