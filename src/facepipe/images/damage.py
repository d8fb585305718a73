"""How far a damaged JPEG decodes, in words."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

import pyvips

Pixels = TypeVar("Pixels")

#: What begins a scan, what may stand before it, what ends the file, and the rows of a block.
_SCAN, _TABLES, _END_OF_IMAGE, _STRIP = b"\xff\xda", b"\xff\xc4", b"\xff\xd9", 8


def decoded_jpeg(
    source: bytes, *, progressive: bool, decode: Callable[[pyvips.Image], Pixels]
) -> tuple[Pixels, str]:
    """Decode a JPEG, and say what of it does not decode; stray bytes between scans are no damage.

    Errors: pyvips.Error where nothing decodes.
    """
    try:
        return decode(pyvips.Image.jpegload_buffer(source, fail_on="warning")), ""
    except pyvips.Error as error:
        warnings = [line for line in str(error).splitlines() if "Corrupt JPEG data" in line]
        if warnings and all("extraneous bytes" in line for line in warnings):
            with suppress(pyvips.Error):
                return decode(pyvips.Image.jpegload_buffer(source, fail_on="error")), ""
        damage = jpeg_damage(source, progressive=progressive)
        if damage is None:
            raise
    return decode(pyvips.Image.jpegload_buffer(ended(source), fail_on="none")), damage


def jpeg_damage(source: bytes, *, progressive: bool) -> str | None:
    """What of a JPEG does not decode though the rest does; None: nothing decodes as it should."""
    # Without an end, the last rows that decode do not come.
    rows, height = _rows_that_decode(ended(source))
    if progressive:
        # The first scan has all of the image, and further ones may be missing unseen.
        if rows == height or source.count(_SCAN) > 1:
            return "the file is cut short or damaged; the image may be less sharp than it was"
        return None
    if rows == height:
        return "the file lacks its end; all of the image decodes"
    if not rows:
        return None
    return (
        f"the file is cut short or damaged; the first {rows} of {height} rows decode as they should"
    )


def ended(source: bytes) -> bytes:
    """A JPEG that was cut short, with an end: after its data, or before a header that was cut."""
    last = source.rfind(_TABLES)
    in_header = last > source.rfind(_SCAN) > 0
    return (source[:last] if in_header else source) + _END_OF_IMAGE


def _rows_that_decode(source: bytes) -> tuple[int, int]:
    """How many of the first rows of a JPEG decode as they should, and how many there are."""
    image = pyvips.Image.jpegload_buffer(source, access="sequential", fail_on="warning")
    region, row = pyvips.Region.new(image), 0
    with suppress(pyvips.Error):
        while row < image.height:
            rows = min(_STRIP, image.height - row)
            region.fetch(0, row, image.width, rows)
            row += rows
    return row, int(image.height)
