"""Faces and background images of a synthetic crowd: the user's own, or samples of scikit-image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from facepipe.errors import UsageError
from facepipe.evaluation.clips import Rgb
from facepipe.evaluation.faces import evenly_spaced
from facepipe.faces.canvas import canvas_to_frame, resampled
from facepipe.faces.detection.finder import find_faces
from facepipe.models.detectors import create_detector
from facepipe.training.align import read_rgb
from facepipe.training.face_archive import ALIGNED_SIZE, MARGIN, FaceArchive


def read_faces(archives: Sequence[Path], count: int) -> list[Rgb]:
    """Read at most `count` aligned faces (160, 160, 3) of the archives, evenly spaced."""
    archive = FaceArchive(archives)
    return [archive.face(number)[0] for number in evenly_spaced(len(archive), count)]


def read_images(paths: Sequence[Path]) -> list[Rgb]:
    """Read images as RGB. Raises InputError for one that cannot be read."""
    return [read_rgb(path) for path in paths]


def portrait() -> Rgb:
    """The aligned face (160, 160, 3) of NASA's portrait of Eileen Collins, from scikit-image."""
    image = _sample_image("astronaut")
    detector = create_detector("yunet", pack=None, threads=1)
    bgr = np.ascontiguousarray(image[..., ::-1])
    face = find_faces(bgr, detector, score=0.8, min_face=40).landmarks[0]
    to_image = canvas_to_frame(face)
    to_image[:, 2] -= to_image[:, :2] @ np.array([MARGIN, MARGIN])
    return resampled(image, to_image, ALIGNED_SIZE)


def sample_backgrounds() -> list[Rgb]:
    """Two images without a face, from scikit-image: a cup, and a rocket at night."""
    return [_sample_image("coffee"), _sample_image("rocket")]


def _sample_image(name: str) -> Rgb:
    try:
        from skimage import data
    except ImportError as error:
        raise UsageError(
            "sample images need scikit-image (facepipe[train]); or name faces and --background"
        ) from error
    return np.asarray(getattr(data, name)(), np.uint8)
