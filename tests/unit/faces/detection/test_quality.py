"""Part visibility and sharpness of faces, by the real networks."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from skimage import data

from facepipe.datatypes import Crops, Faces
from facepipe.faces.canvas import TEMPLATE
from facepipe.faces.detection.finder import find_faces
from facepipe.faces.detection.quality import part_visibility, sharpness, visibility_in_parse
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
    return photograph(side), Faces(
        boxes=face.boxes * share, scores=face.scores, landmarks=points.astype(np.float32)
    )


def placed(image: NDArray[np.uint8], middle: tuple[float, float], size: float) -> Faces:
    """What a detector says of a face of `size` px there, whatever is there."""
    points = ((TEMPLATE - TEMPLATE.mean(0)) * size / 57 + middle)[None].astype(np.float32)
    box = np.array([[*(np.subtract(middle, size / 2)), *(np.add(middle, size / 2))]], np.float32)
    return Faces(boxes=box, scores=np.array([0.5], np.float32), landmarks=points)


@pytest.mark.parametrize("side", [36, 60, 120])
def test_a_face_shows_its_parts(side: int) -> None:
    image, face = found(side)
    assert part_visibility(image, face, parse, below=1.1)[0] > 0.6


@pytest.mark.parametrize("name", ["brick", "grass", "gravel", "page", "text", "coins"])
def test_what_is_no_face_shows_few_parts(name: str) -> None:
    scene = getattr(data, name)()
    image = np.ascontiguousarray(np.dstack([scene] * 3) if scene.ndim == 2 else scene[..., ::-1])
    shown = [
        part_visibility(image, placed(image, (x, y), 24), parse, below=1.1)[0]
        for x in (40, 90, 140)
        for y in (40, 90, 140)
    ]
    assert np.median(shown) < 0.3


def test_only_faces_below_the_score_are_parsed() -> None:
    image, face = found(60)
    several = face.take(np.zeros(3, np.intp))
    several = Faces(
        boxes=several.boxes,
        scores=np.array([0.9, 0.5, 0.75], np.float32),
        landmarks=several.landmarks,
    )
    shown = part_visibility(image, several, parse, below=0.75)
    assert np.isnan(shown).tolist() == [True, False, True]

    def never(_: Crops) -> NDArray[np.float32]:
        raise AssertionError("no face is below the score")

    assert np.isnan(part_visibility(image, several, never, below=0.1)).all()


def test_half_of_the_parts_hidden_leaves_a_half() -> None:
    image, face = found(120)
    masked = image.copy()
    x0, _, x1, y1 = face.boxes[0].astype(int)
    nose = int(face.landmarks[0, 2, 1]) - 4
    masked[nose : y1 + 4, x0 - 4 : x1 + 4] = (180, 160, 140)
    shown = part_visibility(masked, face, parse, below=1.1)[0]
    assert 0.3 < shown < 0.75
    assert visibility_in_parse(np.zeros((2, 8, 32, 32), np.float32)).tolist() == [0, 0]


def test_blur_takes_sharpness_and_noise_does_not() -> None:
    for side in (30, 60, 120):
        image, face = found(side)
        blurred = cv2.GaussianBlur(image, (0, 0), side / 3 / 6)
        rng = np.random.default_rng(0)
        noisy = np.clip(image + rng.normal(0, 20, image.shape), 0, 255).astype(np.uint8)
        sharp = sharpness(image, face.landmarks)[0]
        assert sharp > 0.2
        assert sharpness(blurred, face.landmarks)[0] < 0.12
        assert sharpness(noisy, face.landmarks)[0] > 0.9 * sharp
    flat = np.full((60, 60, 3), 128, np.uint8)
    assert sharpness(flat, face.landmarks)[0] < 0.02
    assert sharpness(flat, face.landmarks[:0]).shape == (0,)
