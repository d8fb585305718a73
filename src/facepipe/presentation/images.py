"""Images as files: PNG and JPEG that say of themselves what they show."""

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


def jpeg_bytes(image: Rgb, *, enhanced: bool) -> bytes:
    """An RGB image (H, W, 3) as JPEG with all its colour; `enhanced`: a comment says so."""
    written = BytesIO()
    comment = CONTAINER_TAG.encode() if enhanced else b""
    Image.fromarray(image).save(written, "JPEG", quality=92, subsampling=0, comment=comment)
    return written.getvalue()
