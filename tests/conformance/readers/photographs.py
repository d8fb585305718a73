"""Readers of photographs: Pillow, libvips' program, and exiv2."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import PIL
from PIL import Image, ImageOps

from conformance.readers.base import Facts, Reader, Shown, first_line, output_of

SUFFIXES = frozenset([".jpg", ".png", ".webp", ".tif", ".avif"])
#: Keys of exiv2 that tell of size and place, of bytes, or of what facepipe notes itself.
_CHANGED = re.compile(
    r"Orientation|Width|Height|Dimension|Image[WL]|StripOff|StripByte|RowsPer|Thumbnail|JPEGInter|"
    r"Compression|ImageLength|DigitalSource|dc\.description|SubjectArea|Xmp\..*(rb|Area|Rectangle)|"
    r"ExifTag|GPSTag|SubIFD|Predictor|Planar|Photometric|BitsPer|SamplesPer|ExtraSamples|SampleFormat"
)


class Pillow(Reader):
    """Pillow, turned upright as a viewer does."""

    name = "Pillow"
    suffixes = SUFFIXES

    def version(self) -> str | None:
        return PIL.__version__

    def frames(self, path: Path, times: Sequence[float]) -> Sequence[Shown | None]:
        with Image.open(path) as image:
            return [np.asarray(ImageOps.exif_transpose(image).convert("L"))]

    def facts(self, path: Path) -> Facts:
        with Image.open(path) as image:
            found = {
                "format": str(image.format),
                "profile": str(bool(image.info.get("icc_profile"))),
            }
            if "dpi" in image.info:
                found["dpi"] = str(tuple(round(float(one)) for one in image.info["dpi"]))
            return found


class Vips(Reader):
    """The vips program, a build of its own with libraries of the system."""

    name = "libvips"
    suffixes = SUFFIXES

    def version(self) -> str | None:
        return first_line("vips", "--version")

    def frames(self, path: Path, times: Sequence[float]) -> Sequence[Shown | None]:
        upright, grey = path.with_suffix(".upright.v"), path.with_suffix(".grey.png")
        output_of("vips", "autorot", path, upright)
        output_of("vips", "colourspace", upright, grey, "b-w")
        with Image.open(grey) as image:
            shown = np.asarray(image.convert("LA" if "A" in image.getbands() else "L"))
        return [shown[..., 0] if shown.ndim == 3 else shown]


class Exiv2(Reader):
    """The exiv2 program."""

    name = "exiv2"
    suffixes = SUFFIXES - {".avif"}  # as distributions build it

    def version(self) -> str | None:
        return first_line("exiv2", "--version")

    def facts(self, path: Path) -> Facts:
        found = {}
        for line in output_of("exiv2", "-q", "-PEIXkv", path, wanted=None).splitlines():
            key, _, value = line.partition(" ")
            if not _CHANGED.search(key):
                found[key] = value.strip()
        return found

    def complaints(self, path: Path) -> Sequence[str]:
        said = output_of("sh", "-c", 'exiv2 -pa "$1" 2>&1 >/dev/null', "sh", path, wanted=None)
        return said.replace(str(path), path.suffix).splitlines()
