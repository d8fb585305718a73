from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from facepipe.datatypes import Faces
from facepipe.faces.canvas import roll
from facepipe.faces.detection import finder as detect
from facepipe.faces.detection.finder import USUAL, FaceFinder, find_faces, refined
from facepipe.models.detectors import FLOOR
from facepipe.models.detectors.boxes import iou, sizes
from facepipe.models.detectors.yunet import YuNet
from media import portraits

Image = NDArray[np.uint8]


class Counting:
    """YuNet that records the size of each image."""

    def __init__(self, *, hints: bool = True) -> None:
        self.detector = YuNet()
        self.hints = hints
        self.pixels: list[int] = []

    def __call__(self, bgr: Image, /, *, floor: float = FLOOR) -> Faces:
        self.pixels.append(bgr.shape[0] * bgr.shape[1])
        return self.detector(bgr, floor=floor)


@pytest.fixture
def detector() -> Counting:
    return Counting()


def image(
    places: list[tuple[float, float, float]], width: int = 320, height: int = 180
) -> tuple[Image, NDArray[np.float32]]:
    """A wall with portraits at (x, y, side), and the (N, 5, 2) landmarks that they have there."""
    head = np.ascontiguousarray(portraits.portrait()[:, :, ::-1])
    known = YuNet()(head)
    wall = np.full((height, width, 3), (130, 120, 110), np.uint8)
    points = []
    for x, y, side in places:
        zoom = side / head.shape[0]
        to_wall = np.array([[zoom, 0, x + zoom / 2 - 0.5], [0, zoom, y + zoom / 2 - 0.5]])
        small = cv2.GaussianBlur(head, (0, 0), max(0.4 / zoom, 0.1))
        cv2.warpAffine(
            small, to_wall, (width, height), wall, cv2.INTER_LINEAR, cv2.BORDER_TRANSPARENT
        )
        points.append((known.landmarks[0] + 0.5) * zoom + (x - 0.5, y - 0.5))
    return wall, np.array(points, np.float32)


@pytest.mark.parametrize(("side", "size"), [(32, 11), (45, 15), (90, 30), (170, 57)])
def test_finds_faces_of_every_size_with_their_landmarks(
    detector: Counting, side: float, size: float
) -> None:
    bgr, points = image([(60.3, 4.6, side)])
    found = find_faces(bgr, detector, score=0.6, min_face=5)
    assert len(found) == 1
    assert sizes(found.boxes)[0] == pytest.approx(size, rel=0.25)
    off = np.linalg.norm(found.landmarks[0] - points[0], axis=1).mean()
    assert off < 0.06 * size


def test_the_enlarged_pass_is_what_finds_tiny_faces(detector: Counting) -> None:
    bgr, _ = image([(60, 60, 30)])
    assert len(find_faces(bgr, detector, score=0.6, min_face=5, enlarge=1)) == 0
    assert len(find_faces(bgr, detector, score=0.6, min_face=5, enlarge=2)) == 1
    assert len(find_faces(bgr, detector, score=0.6, min_face=5, enlarge=3)) == 1


def test_size_limits_are_in_pixels_of_the_frame(detector: Counting) -> None:
    bgr, _ = image([(10, 20, 60), (100, 5, 160)])
    side = np.sort(sizes(find_faces(bgr, detector, score=0.6, min_face=5).boxes))
    assert len(side) == 2
    middle = float(side.mean())
    small = find_faces(bgr, detector, score=0.6, min_face=5, max_face=middle)
    large = find_faces(bgr, detector, score=0.6, min_face=middle)
    assert len(small) == len(large) == 1
    assert sizes(small.boxes)[0] < middle < sizes(large.boxes)[0]


def test_faces_are_found_over_tile_borders_and_no_input_is_large(
    detector: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(detect, "NET_PIXELS", 100_000)
    places = [(8 + 52.0 * k, 6.0 + 70 * row, 50.0) for k in range(6) for row in range(2)]
    bgr, points = image([*places, (20, 250, 200)], 330, 480)
    found = find_faces(bgr, detector, score=0.6, min_face=5, enlarge=3)
    assert len(found) == len(points)
    middles = found.landmarks.mean(1)[:, None] - points.mean(1)[None]
    assert np.linalg.norm(middles, axis=2).min(0).max() < 2.5
    assert max(detector.pixels) <= 101_000


def test_no_face_on_walls_and_noise(detector: Counting) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (120, 160, 3)).astype(np.uint8)
    for bgr in (np.zeros_like(noise), noise, cv2.GaussianBlur(noise, (0, 0), 3)):
        assert len(find_faces(np.asarray(bgr, np.uint8), detector, score=0.6, min_face=5)) == 0


@pytest.mark.parametrize("degrees", [-30, -15, 15, 30])
def test_landmarks_follow_a_tilted_head(detector: Counting, degrees: float) -> None:
    upright, points = image([(60, 30, 100)], 220, 160)
    turn = cv2.getRotationMatrix2D((110.0, 80.0), -degrees, 0.6)
    tilted = cv2.warpAffine(
        cv2.GaussianBlur(upright, (0, 0), 0.5), turn, (220, 160), borderMode=cv2.BORDER_REPLICATE
    )
    truth = points[0] @ turn[:, :2].T + turn[:, 2]
    found = find_faces(np.asarray(tilted, np.uint8), detector, score=0.6, min_face=5)
    assert len(found) == 1
    tilt = np.degrees(roll(found.landmarks[0]) - roll(points[0]))
    assert tilt == pytest.approx(degrees, abs=8)
    off = np.linalg.norm(found.landmarks[0] - truth, axis=1).mean()
    assert off < 0.08 * sizes(found.boxes)[0]


def test_a_face_that_its_close_up_does_not_show_loses_half_its_score(detector: Counting) -> None:
    wall = np.full((100, 100, 3), 128, np.uint8)
    claimed = Faces(
        boxes=np.array([[40, 40, 60, 60]], np.float32),
        scores=np.array([0.8], np.float32),
        landmarks=np.full((1, 5, 2), 50, np.float32),
    )
    found = refined(wall, claimed, detector)
    assert found.scores[0] == pytest.approx(0.4 + USUAL)
    np.testing.assert_array_equal(found.landmarks, claimed.landmarks)


def test_a_still_image_is_searched_once(detector: Counting) -> None:
    bgr, _ = image([(60, 60, 50)])
    finder = FaceFinder(detector, score=0.6, min_face=5)
    first = finder.find(bgr)
    passes = len(detector.pixels)
    noise = np.random.default_rng(0).normal(0, 2, bgr.shape)
    second = finder.find(np.clip(bgr + noise, 0, 255).astype(np.uint8))
    assert len(detector.pixels) == passes
    np.testing.assert_array_equal(first.boxes, second.boxes)
    finder.reset()
    finder.find(bgr)
    assert len(detector.pixels) == 2 * passes


def test_only_what_changed_is_enlarged_and_the_rest_stands(detector: Counting) -> None:
    finder = FaceFinder(detector, score=0.6, min_face=5)
    before, _ = image([(20, 100, 50)], 640, 360)
    after, points = image([(20, 100, 50), (500, 200, 50)], 640, 360)
    standing = finder.find(before)
    detector.pixels.clear()
    both = finder.find(after)
    assert len(standing) == 1
    assert len(both) == 2
    assert sum(detector.pixels) < 0.5 * 640 * 360 * 5
    kept = iou(standing.boxes, both.boxes)[0].argmax()
    np.testing.assert_array_equal(both.boxes[kept], standing.boxes[0])
    assert np.linalg.norm(both.landmarks[1 - kept] - points[1], axis=1).mean() < 1.2
    gone = finder.find(before)
    assert len(gone) == 1


def test_only_where_a_face_is_hinted_at_is_the_image_enlarged() -> None:
    bgr, points = image([(500, 200, 45)], 640, 360)
    hinted, everywhere = Counting(), Counting(hints=False)
    found = find_faces(bgr, hinted, score=0.6, min_face=8)
    same = find_faces(bgr, everywhere, score=0.6, min_face=8)
    assert len(found) == len(same) == 1
    assert np.linalg.norm(found.landmarks[0] - points[0], axis=1).mean() < 1.2
    assert iou(found.boxes, same.boxes)[0, 0] > 0.8
    assert sum(hinted.pixels) < 0.5 * sum(everywhere.pixels)
    hinted.pixels.clear()
    assert len(find_faces(image([], 640, 360)[0], hinted, score=0.6, min_face=8)) == 0
    assert sum(hinted.pixels) < 1.1 * 640 * 360


def test_distant_patches_are_searched_separately(detector: Counting) -> None:
    finder = FaceFinder(detector, score=0.6, min_face=5)
    finder.find(image([], 640, 360)[0])
    detector.pixels.clear()
    both = finder.find(image([(20, 20, 40), (560, 280, 40)], 640, 360)[0])
    assert len(both) == 2
    assert sum(detector.pixels) < 0.35 * 640 * 360 * 5  # one box around both is all of the image


def test_a_change_of_exposure_or_of_a_speck_is_no_change(detector: Counting) -> None:
    bgr, _ = image([(60, 60, 50)])
    finder = FaceFinder(detector, score=0.6, min_face=5)
    first = finder.find(bgr)
    passes = len(detector.pixels)
    darker = (bgr * 0.92).astype(np.uint8)
    darker[8:12, 8:12] = 255
    again = finder.find(darker)
    assert len(detector.pixels) == passes
    np.testing.assert_array_equal(first.boxes, again.boxes)
    assert len(finder.find(image([(120, 60, 50)])[0])) == 1
    assert len(detector.pixels) > passes


def test_a_large_face_of_which_a_part_moved_is_found_again(detector: Counting) -> None:
    bgr, _ = image([(200, 60, 220)], 640, 360)
    finder = FaceFinder(detector, score=0.6, min_face=5)
    assert len(finder.find(bgr)) == 1
    face = finder.find(bgr).boxes[0]
    middle = ((face[:2] + face[2:]) / 2).astype(int)
    moved = bgr.copy()
    moved[middle[1] + 4 : middle[1] + 28, middle[0] - 14 : middle[0] + 14] += 12
    assert len(finder.find(moved)) == 1


def test_a_slow_fade_adds_up_to_a_change(detector: Counting) -> None:
    bgr, _ = image([(60, 60, 50)])
    wall, _ = image([])
    finder = FaceFinder(detector, score=0.6, min_face=5)
    assert len(finder.find(bgr)) == 1
    for share in np.linspace(0, 1, 40):
        mixed = (bgr * (1 - share) + wall * share).astype(np.uint8)
        last = finder.find(mixed)
    assert len(last) == 0


def test_a_new_size_is_searched_whole(detector: Counting) -> None:
    finder = FaceFinder(detector, score=0.6, min_face=5)
    finder.find(image([(60, 60, 50)])[0])
    assert len(finder.find(image([], 200, 100)[0])) == 0


@pytest.mark.parametrize("enlarge", [0, 5])
def test_an_enlargement_out_of_range_is_refused(detector: Counting, enlarge: int) -> None:
    with pytest.raises(ValueError, match=r"1\.\.4"):
        FaceFinder(detector, score=0.6, min_face=5, enlarge=enlarge)


def test_tiny_and_odd_images_are_searched(detector: Counting) -> None:
    for shape in ((1, 1, 3), (7, 33, 3), (31, 5, 3)):
        assert len(find_faces(np.zeros(shape, np.uint8), detector, score=0.6, min_face=5)) == 0
