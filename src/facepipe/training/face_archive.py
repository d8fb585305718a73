"""Archives of aligned faces and their parsing masks: folders and zips."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facepipe.errors import InputError

#: Side of an aligned face on disk, px: the canvas of 128 and a margin of 16 on each side.
ALIGNED_SIZE = 160
MARGIN = 16

FACE_SUFFIXES = {".webp", ".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"}
#: Label of a pixel whose part is not known.
IGNORED = 255
# Classes of ParsingNet (see PARTS) by CelebAMask-HQ class id.
_PART_OF_CLASS = np.full(256, IGNORED, np.uint8)
_PART_OF_CLASS[:19] = [0, 1, 4, 7, 3, 3, 2, 2, 7, 7, 5, 5, 5, 6, 7, 7, 7, 7, 7]

#: A CelebAMask-HQ class id for each part, in the order of PARTS.
CLASS_OF_PART = np.array([0, 1, 6, 4, 2, 10, 13, 17], np.uint8)


class FaceArchive:
    """Aligned 160x160 faces in one or more folders or zips, addressed by number.

    Each process opens the zips for itself, so the workers of a loader may share one archive.
    Raises InputError for a path that is missing, no zip, or holds no image.
    """

    def __init__(self, sources: Sequence[Path]) -> None:
        self._open: dict[Path, zipfile.ZipFile] = {}
        self._entries: list[tuple[Path, str]] = []
        for source in sources:
            self._entries += [(source, name) for name in _image_names(source)]
        #: The file names without folder and suffix, in order.
        self.names = [Path(name).stem for _, name in self._entries]
        self._index = {name: k for k, name in enumerate(self.names)}

    def __len__(self) -> int:
        return len(self._entries)

    def __getstate__(self) -> dict[str, object]:
        return self.__dict__ | {"_open": {}}

    def number(self, name: str) -> int | None:
        """The number of the image of that name, None where there is none."""
        return self._index.get(name)

    def _bytes(self, number: int) -> bytes:
        source, name = self._entries[number]
        if source.is_dir():
            return (source / name).read_bytes()
        if source not in self._open:
            self._open[source] = zipfile.ZipFile(source)
        return self._open[source].read(name)

    def _image(self, number: int) -> Image.Image:
        """The decoded image. Raises InputError when it is damaged or not 160x160."""
        source, name = self._entries[number]
        try:
            image = Image.open(io.BytesIO(self._bytes(number)))
            image.load()
        except (OSError, zipfile.BadZipFile, zlib.error) as error:
            raise InputError(f"{source}: {name}: damaged or no image ({error})") from error
        if image.size != (ALIGNED_SIZE, ALIGNED_SIZE):
            raise InputError(
                f"{source}: {name}: a face for training and its mask are "
                f"{ALIGNED_SIZE}x{ALIGNED_SIZE} px, this one is {image.size[0]}x{image.size[1]}"
            )
        return image

    def face(self, number: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Read a face: RGB (160, 160, 3) and its validity (160, 160), 255 inside the photograph.

        Raises InputError when the image is damaged or of another size.
        """
        rgba = np.asarray(self._image(number).convert("RGBA"))
        return np.ascontiguousarray(rgba[..., :3]), np.ascontiguousarray(rgba[..., 3])

    def mask(self, number: int) -> NDArray[np.uint8]:
        """Read a mask: part numbers (160, 160) in the order of PARTS, 255 outside the photograph.

        Raises InputError when the mask is damaged, of another size or holds colours.
        """
        image = self._image(number)
        if image.mode not in ("L", "P"):
            raise InputError(
                f"{self.names[number]}: a mask holds class numbers (mode L or P), "
                f"this one is {image.mode}"
            )
        return np.asarray(_PART_OF_CLASS[np.asarray(image)])


def _image_names(source: Path) -> list[str]:
    if source.is_dir():
        names = [str(p.relative_to(source)) for p in source.rglob("*") if p.is_file()]
    elif zipfile.is_zipfile(source):
        with zipfile.ZipFile(source) as archive:
            names = archive.namelist()
    else:
        raise InputError(f"{source}: faces come from a folder or a zip, this is neither")
    names = sorted(n for n in names if Path(n).suffix.lower() in FACE_SUFFIXES)
    if not names:
        raise InputError(f"{source}: holds no image ({', '.join(sorted(FACE_SUFFIXES))})")
    return names


def crop_canvas(aligned: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Crop the margin of an aligned face (160, 160, ...): its canvas (128, 128, ...)."""
    return aligned[MARGIN:-MARGIN, MARGIN:-MARGIN]
