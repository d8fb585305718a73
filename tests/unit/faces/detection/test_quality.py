"""What a picture says for a face: its parts and its detail, by the real networks."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from skimage import data

from facepipe.datatypes import Crops, Faces
from facepipe.faces.canvas import TEMPLATE
from facepipe.faces.detection.finder import find_faces
from facepipe.faces.detection.quality import detail, features, parts_shown
from facepipe.models.detectors import create_detector
from facepipe.models.face_parser import Parser
from media.portraits import portrait

parse = Parser()


def photograph(side: int) -> NDArray[np.uint8]:
    """BGR: the portrait, `side` px a side; its face is a third of that."""
    small = cv2.resize(portrait()[..., ::-1], (side, side), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8)


def found(side: int) -> tuple[NDArray[np.uint8], Faces]:
    """The reduced portrait, and its face as the detector finds it in the portrait itself."""
    large = photograph(300)
    detector = create_detector("yunet", pack=None, threads=1)
    faces = find_faces(large, detector, score=0.5, min_face=40)
    face = faces.take(np.array([int(np.argmax(faces.scores))]))
    share = np.float32(side / 300)
    points = (face.landmarks + 0.5) * share - 0.5
    return photograph(side), Faces(face.boxes * share, face.scores, points.astype(np.float32))


def placed(picture: NDArray[np.uint8], middle: tuple[float, float], size: float) -> Faces:
    """What a detector says of a face of `size` px there, whatever is there."""
    points = ((TEMPLATE - TEMPLATE.mean(0)) * size / 57 + middle)[None].astype(np.float32)
    box = np.array([[*(np.subtract(middle, size / 2)), *(np.add(middle, size / 2))]], np.float32)
    return Faces(box, np.array([0.5], np.float32), points)


@pytest.mark.parametrize("side", [36, 60, 120])
def test_a_face_shows_its_parts(side: int) -> None:
    picture, face = found(side)
    assert features(picture, face, parse, below=1.1)[0] > 0.6


@pytest.mark.parametrize("name", ["brick", "grass", "gravel", "page", "text", "coins"])
def test_what_is_no_face_shows_few(name: str) -> None:
    scene = getattr(data, name)()
    picture = np.ascontiguousarray(np.dstack([scene] * 3) if scene.ndim == 2 else scene[..., ::-1])
    shown = [
        features(picture, placed(picture, (x, y), 24), parse, below=1.1)[0]
        for x in (40, 90, 140)
        for y in (40, 90, 140)
    ]
    assert np.median(shown) < 0.3


def test_only_the_doubtful_are_asked() -> None:
    picture, face = found(60)
    several = face.take(np.zeros(3, np.intp))
    several = Faces(several.boxes, np.array([0.9, 0.5, 0.75], np.float32), several.landmarks)
    shown = features(picture, several, parse, below=0.75)
    assert np.isnan(shown).tolist() == [True, False, True]

    def never(_: Crops) -> NDArray[np.float32]:
        raise AssertionError("nobody is in doubt")

    assert np.isnan(features(picture, several, never, below=0.1)).all()


def test_half_of_the_parts_hidden_leaves_a_half() -> None:
    picture, face = found(120)
    masked = picture.copy()
    x0, _, x1, y1 = face.boxes[0].astype(int)
    nose = int(face.landmarks[0, 2, 1]) - 4
    masked[nose : y1 + 4, x0 - 4 : x1 + 4] = (180, 160, 140)
    shown = features(masked, face, parse, below=1.1)[0]
    assert 0.3 < shown < 0.75
    assert parts_shown(np.zeros((2, 8, 32, 32), np.float32)).tolist() == [0, 0]


def test_blur_takes_detail_and_noise_does_not() -> None:
    for side in (30, 60, 120):
        picture, face = found(side)
        blurred = cv2.GaussianBlur(picture, (0, 0), side / 3 / 6)
        rng = np.random.default_rng(0)
        noisy = np.clip(picture + rng.normal(0, 20, picture.shape), 0, 255).astype(np.uint8)
        sharp = detail(picture, face.landmarks)[0]
        assert sharp > 0.2
        assert detail(blurred, face.landmarks)[0] < 0.12
        assert detail(noisy, face.landmarks)[0] > 0.9 * sharp
    flat = np.full((60, 60, 3), 128, np.uint8)
    assert detail(flat, face.landmarks)[0] < 0.02
    assert detail(flat, face.landmarks[:0]).shape == (0,)
