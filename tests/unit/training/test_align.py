from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from facepipe.errors import InputError, OutputError
from facepipe.faces.canvas import TEMPLATE
from facepipe.faces.detection.finder import find_faces
from facepipe.models.detectors import create_detector
from facepipe.training.align import align_photographs
from facepipe.training.face_archive import MARGIN, FaceArchive
from media import portraits


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """A photograph of one face, whose right side is cut off, and one without a face."""
    folder = tmp_path / "photographs"
    (folder / "inner").mkdir(parents=True)
    Image.fromarray(portraits.portrait()[:, :190]).save(folder / "inner" / "eileen.png")
    Image.new("RGB", (200, 150), (90, 120, 60)).save(folder / "lawn.jpg")
    return folder


def test_faces_are_aligned_and_marked_outside_the_photograph(
    photographs: Path, tmp_path: Path
) -> None:
    done: list[tuple[int, int]] = []
    target = tmp_path / "faces.zip"
    assert align_photographs([photographs], target, progress=lambda *n: done.append(n)) == 1
    assert done == [(1, 2), (2, 2)]
    archive = FaceArchive([target])
    assert archive.names == ["000000-eileen"]
    face, valid = archive.face(0)
    assert 0.5 < (valid == 255).mean() < 0.99
    assert not valid[:, -1].any()
    detector = create_detector("yunet", pack=None, threads=1)
    bgr = np.ascontiguousarray(face[..., ::-1])
    found = find_faces(bgr, detector, score=0.5, min_face=50, enlarge=1)
    nearest = np.abs(found.landmarks - (TEMPLATE + MARGIN)).mean((1, 2)).min()
    assert nearest < 4  # px, as exact as the detector is
    assert sorted(p.name for p in tmp_path.iterdir()) == ["faces.zip", "photographs"]


def test_a_large_face_is_not_aliased(tmp_path: Path) -> None:
    size = (900, 900)
    plain = np.asarray(Image.fromarray(portraits.portrait()).resize(size, Image.Resampling.BICUBIC))
    noise = np.random.default_rng(0).normal(0, 12, plain.shape)
    detail = []
    for name, image in (("plain", plain), ("noisy", plain + noise)):
        Image.fromarray(np.clip(image, 0, 255).astype(np.uint8)).save(tmp_path / f"{name}.png")
        align_photographs([tmp_path / f"{name}.png"], tmp_path / f"{name}.zip")
        face = FaceArchive([tmp_path / f"{name}.zip"]).face(0)[0].astype(np.float32)
        detail.append(face - cv2.GaussianBlur(face, (0, 0), 1.0))
    # 12 in the photograph; unfiltered sampling would keep it.
    assert detail[1].var() - detail[0].var() < 3**2


def test_photographs_without_faces_are_refused(photographs: Path, tmp_path: Path) -> None:
    target = tmp_path / "faces.zip"
    with pytest.raises(InputError, match="no face of 70 px and more in 1 photographs"):
        align_photographs([photographs / "lawn.jpg"], target)
    with pytest.raises(InputError, match="no image that OpenCV can read"):
        align_photographs([photographs / "absent.jpg"], target)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no image"):
        align_photographs([tmp_path / "empty"], target)
    with pytest.raises(OutputError, match="cannot be written"):
        align_photographs([photographs], tmp_path / "no" / "faces.zip")
    assert not list(tmp_path.glob("*.zip*"))
