from __future__ import annotations

import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from facepipe.errors import InputError
from facepipe.models.networks.parsingnet import PARTS
from facepipe.training.face_archive import FaceArchive
from media.aligned_faces import DRAWN, OUTSIDE, OUTSIDE_COLUMNS

DrawnFace = Callable[[int], tuple[NDArray[np.uint8], NDArray[np.uint8]]]


def test_folder_and_zip_hold_the_same_faces(faces_folder: Path, faces_zip: Path) -> None:
    folder, zipped = FaceArchive([faces_folder]), FaceArchive([faces_zip])
    assert folder.names == zipped.names == [f"face_{k}" for k in range(DRAWN)]
    for number in range(DRAWN):
        for one, other in zip(folder.face(number), zipped.face(number), strict=True):
            np.testing.assert_array_equal(one, other)


def test_face_is_read_exactly_with_its_validity(faces_folder: Path, drawn_face: DrawnFace) -> None:
    archive = FaceArchive([faces_folder])
    face, valid = archive.face(OUTSIDE)
    np.testing.assert_array_equal(face, drawn_face(OUTSIDE)[0])
    assert not valid[:, :OUTSIDE_COLUMNS].any()
    assert (valid[:, OUTSIDE_COLUMNS:] == 255).all()
    assert (archive.face(0)[1] == 255).all()


def test_archives_join_and_names_lead_to_numbers(faces_folder: Path, masks_folder: Path) -> None:
    archive = FaceArchive([faces_folder, masks_folder])
    assert len(archive) == DRAWN + len(list(masks_folder.iterdir()))
    assert FaceArchive([faces_folder]).number("face_3") == 3
    assert archive.number("nobody") is None


def test_archive_of_an_open_zip_can_be_sent_to_a_worker(faces_zip: Path) -> None:
    archive = FaceArchive([faces_zip])
    expected = archive.face(2)[0]
    there = pickle.loads(pickle.dumps(archive))
    np.testing.assert_array_equal(there.face(2)[0], expected)


def test_mask_groups_classes_into_parts(tmp_path: Path) -> None:
    classes = np.zeros((160, 160), np.uint8)
    rows = [1, 2, 4, 6, 10, 11, 12, 13, 14, 3, 255]
    for row, number in enumerate(rows):
        classes[row] = number
    Image.fromarray(classes).save(tmp_path / "a.png")
    parts = FaceArchive([tmp_path]).mask(0)
    names = [
        PARTS[parts[row, 0]] if parts[row, 0] < len(PARTS) else None for row in range(len(rows))
    ]
    assert names == [
        "skin", "nose", "eyes", "brows", "mouth", "mouth", "mouth", "hair", "rest", "rest", None,
    ]  # fmt: skip
    assert PARTS[parts[-1, 0]] == "background"


@pytest.mark.parametrize("kind", ["missing", "empty folder", "no zip", "zip of texts"])
def test_sources_without_faces_are_refused(kind: str, tmp_path: Path) -> None:
    source = tmp_path / "source.zip"
    if kind == "empty folder":
        source.mkdir()
    elif kind == "no zip":
        source.write_bytes(b"these are no faces")
    elif kind == "zip of texts":
        with zipfile.ZipFile(source, "w") as archive:
            archive.writestr("a.txt", "text")
    with pytest.raises(InputError, match=r"source\.zip"):
        FaceArchive([source])


def test_face_of_another_size_is_refused(tmp_path: Path) -> None:
    Image.new("RGB", (128, 160)).save(tmp_path / "odd.png")
    with pytest.raises(InputError, match="128x160"):
        FaceArchive([tmp_path]).face(0)


def test_damaged_image_is_refused(faces_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes((faces_folder / "face_0.png").read_bytes()[:900])
    (tmp_path / "b.webp").write_bytes(b"RIFF and nothing more")
    archive = FaceArchive([tmp_path])
    for number in (0, 1):
        with pytest.raises(InputError, match="damaged or no image"):
            archive.face(number)


def test_damaged_zip_member_is_refused(faces_zip: Path, tmp_path: Path) -> None:
    damaged = bytearray(faces_zip.read_bytes())
    damaged[2000:2200] = bytes(200)
    (tmp_path / "damaged.zip").write_bytes(damaged)
    with pytest.raises(InputError, match=r"damaged\.zip"):
        FaceArchive([tmp_path / "damaged.zip"]).face(0)


@pytest.mark.parametrize(("mode", "size"), [("RGB", (160, 160)), ("L", (80, 80))])
def test_mask_that_holds_no_class_numbers_is_refused(
    mode: str, size: tuple[int, int], tmp_path: Path
) -> None:
    Image.new(mode, size).save(tmp_path / "mask.png")
    with pytest.raises(InputError, match="mask"):
        FaceArchive([tmp_path]).mask(0)
