from __future__ import annotations

import importlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from facepipe.errors import ModelError
from facepipe.models.detectors import create_detector, scrfd


class Analysis:
    """Stands for insightface: finds one face where a tile has a white pixel."""

    def __init__(self, **how: Any) -> None:
        self.how = how

    def prepare(self, **how: Any) -> None:
        self.prepared = how

    def get(self, bgr: NDArray[np.uint8]) -> list[Any]:
        rows, columns = np.nonzero(bgr[..., 0] == 255)
        return [
            SimpleNamespace(
                bbox=np.array([x - 10, y - 10, x + 10, y + 10], np.float32),
                det_score=np.float32(0.9),
                kps=np.full((5, 2), (x, y), np.float32),
            )
            for x, y in zip(columns, rows, strict=True)
        ] + [SimpleNamespace(bbox=np.zeros(4), det_score=0.5, kps=None)]


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    (tmp_path / "det.onnx").write_bytes(b"no graph")
    return tmp_path


def pretend(monkeypatch: pytest.MonkeyPatch, analysis: Any) -> None:
    app = SimpleNamespace(FaceAnalysis=analysis)
    monkeypatch.setattr(importlib, "import_module", lambda name: app)


def test_a_pack_must_be_named() -> None:
    with pytest.raises(ModelError, match="folder of an insightface pack"):
        create_detector("scrfd")


def test_a_missing_folder_is_refused_before_insightface_could_download(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such folder"):
        create_detector("scrfd", pack=tmp_path / "none")


def test_a_folder_without_models_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"holds no \.onnx file"):
        create_detector("scrfd", pack=tmp_path)


def test_a_missing_insightface_is_named(pack: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise ModuleNotFoundError(f"No module named {name!r}")

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(ModelError, match=r"pip install 'facepipe\[scrfd\]'"):
        create_detector("scrfd", pack=pack)


@pytest.mark.parametrize("error", [AssertionError(), RuntimeError("bad graph")])
def test_a_pack_without_a_detector_is_refused(
    pack: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fails(**how: Any) -> Any:
        raise error

    pretend(monkeypatch, fails)
    with pytest.raises(ModelError, match="no file there is a working face detector"):
        create_detector("scrfd", pack=pack)


@pytest.mark.parametrize("place", [(30, 40), (700, 20), (1000, 690), (600, 560)])
def test_a_face_is_found_once_wherever_the_tiles_lie(
    pack: Path, monkeypatch: pytest.MonkeyPatch, place: tuple[int, int]
) -> None:
    pretend(monkeypatch, Analysis)
    detector = scrfd.ScrfdDetector(pack)
    image = np.zeros((700, 1010, 3), np.uint8)
    image[place[1], place[0]] = 255
    found = detector(image)
    assert len(found) == 1
    np.testing.assert_array_equal(found.landmarks[0, 0], place)


def test_only_scores_that_are_asked_for_come(pack: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, Analysis)
    detector = scrfd.ScrfdDetector(pack)
    image = np.zeros((50, 60, 3), np.uint8)
    image[20, 30] = 255
    assert [len(detector(image, floor=floor)) for floor in (0.3, 0.85, 0.95)] == [1, 1, 0]


def test_no_face_is_an_empty_answer(pack: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, Analysis)
    assert len(scrfd.ScrfdDetector(pack)(np.zeros((50, 60, 3), np.uint8))) == 0
