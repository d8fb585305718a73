"""Who and what is in a scene: aligned faces and photographs, the user's or installed ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from facepipe.errors import InputError, UsageError
from facepipe.evaluation.clips import Rgb
from facepipe.evaluation.faces import evenly_spaced
from facepipe.faces.canvas import canvas_to_frame, resampled
from facepipe.faces.detection.finder import find_faces
from facepipe.models.detectors import create_detector
from facepipe.training.face_archive import ALIGNED_SIZE, MARGIN, FaceArchive


def read_faces(archives: Sequence[Path], count: int) -> list[Rgb]:
    """At most `count` aligned faces (160, 160, 3) of the archives, evenly spaced."""
    archive = FaceArchive(archives)
    return [archive.face(number)[0] for number in evenly_spaced(len(archive), count)]


def read_photographs(paths: Sequence[Path]) -> list[Rgb]:
    """Photographs as RGB. Raises InputError for one that cannot be read."""
    pictures = []
    for path in paths:
        bgr = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if bgr is None:
            raise InputError(f"{path}: missing, or no picture that OpenCV reads")
        pictures.append(np.ascontiguousarray(bgr[..., ::-1], np.uint8))
    return pictures


def portrait() -> Rgb:
    """The face of NASA's portrait of Eileen Collins, which scikit-image ships, aligned."""
    picture = _installed("astronaut")
    detector = create_detector("yunet", pack=None, threads=1)
    bgr = np.ascontiguousarray(picture[..., ::-1])
    face = find_faces(bgr, detector, score=0.8, min_face=40).landmarks[0]
    to_picture = canvas_to_frame(face)
    to_picture[:, 2] -= to_picture[:, :2] @ np.array([MARGIN, MARGIN])
    return resampled(picture, to_picture, ALIGNED_SIZE)


def installed_photographs() -> list[Rgb]:
    """Photographs without a face, which scikit-image ships: a cup, and a rocket at night."""
    return [_installed("coffee"), _installed("rocket")]


def _installed(name: str) -> Rgb:
    try:
        from skimage import data
    except ImportError as error:
        raise UsageError(
            "installed photographs need scikit-image (facepipe[train]); or name faces and "
            "--background"
        ) from error
    return np.asarray(getattr(data, name)(), np.uint8)
