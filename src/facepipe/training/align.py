"""Alignment of photographs to faces for training and evaluation: 160x160 px PNG with alpha."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facepipe._system.files import atomic_write
from facepipe.datatypes import CANVAS_FACE
from facepipe.errors import InputError
from facepipe.faces.canvas import canvas_to_frame, frame_px_per_canvas_px
from facepipe.faces.detection.finder import find_faces
from facepipe.models.detectors import Detector, create_detector
from facepipe.training.face_archive import ALIGNED_SIZE, FACE_SUFFIXES, MARGIN

_SCORE = 0.8


def align_photographs(
    photographs: Sequence[Path],
    target: Path,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Write `target`, a zip of all aligned faces of photographs or folders of them; their number.

    A face that is smaller than its canvas is left out: it lacks the detail that a network learns.
    `progress` is called with the photographs done and the number of all. Raises InputError for
    a photograph that cannot be read and where there is no face, OutputError when `target` cannot
    be written.
    """
    paths = [path for source in photographs for path in _images_of(source)]
    detector = create_detector("yunet", pack=None, threads=1)
    count = 0
    with atomic_write(target) as partial, zipfile.ZipFile(partial, "w") as archive:
        for done, path in enumerate(paths, 1):
            for face in _aligned_faces(read_rgb(path), detector):
                buffer = io.BytesIO()
                Image.fromarray(face).save(buffer, "PNG")
                archive.writestr(f"{count:06}-{path.stem}.png", buffer.getvalue())
                count += 1
            if progress is not None:
                progress(done, len(paths))
        if not count:
            raise InputError(f"no face of {CANVAS_FACE:g} px and more in {len(paths)} photographs")
    return count


def read_rgb(path: Path) -> NDArray[np.uint8]:
    """Read an image as RGB (H, W, 3), upright by EXIF. Raises InputError where that fails."""
    bgr = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if bgr is None:
        raise InputError(f"{path}: missing, or no image that OpenCV can read")
    return np.ascontiguousarray(bgr[..., ::-1], np.uint8)


def _images_of(source: Path) -> list[Path]:
    if not source.is_dir():
        return [source]
    found = sorted(p for p in source.rglob("*") if p.suffix.lower() in FACE_SUFFIXES)
    if not found:
        raise InputError(f"{source}: holds no image ({', '.join(sorted(FACE_SUFFIXES))})")
    return found


def _aligned_faces(image: NDArray[np.uint8], detector: Detector) -> Iterator[NDArray[np.uint8]]:
    """Each face as RGBA (160, 160, 4); outside the photograph it is reflected, with alpha 0."""
    bgr = np.ascontiguousarray(image[..., ::-1])
    inside = np.full(image.shape[:2], 255, np.uint8)
    faces = find_faces(bgr, detector, score=_SCORE, min_face=CANVAS_FACE, enlarge=1)
    for landmarks in faces.landmarks:
        to_image = canvas_to_frame(landmarks)
        scale = frame_px_per_canvas_px(to_image)
        if scale < 1:
            continue
        to_image[:, 2] -= to_image[:, :2] @ np.array([MARGIN, MARGIN])
        sigma = 0.45 * float(np.sqrt(scale**2 - 1)) + 0.1
        smooth = np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.uint8)  # against aliasing
        rgb = _sampled(smooth, to_image, cv2.INTER_CUBIC, cv2.BORDER_REFLECT)
        alpha = _sampled(inside, to_image, cv2.INTER_NEAREST, cv2.BORDER_CONSTANT)
        yield np.dstack([rgb, alpha])


def _sampled(
    image: NDArray[np.uint8], to_image: NDArray[np.float64], filter_: int, border: int
) -> NDArray[np.uint8]:
    flags = filter_ | cv2.WARP_INVERSE_MAP
    size = (ALIGNED_SIZE, ALIGNED_SIZE)
    return np.asarray(
        cv2.warpAffine(image, to_image, size, flags=flags, borderMode=border), np.uint8
    )
