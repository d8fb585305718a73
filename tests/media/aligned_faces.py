"""Fixtures: aligned cartoon faces and their masks, so that tests need no photograph of anyone."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

# The last face has no mask; the thirty left columns of number 1 lie outside its photograph.
DRAWN, MASKED, OUTSIDE, OUTSIDE_COLUMNS = 6, 5, 1, 30


def _drawn_face(seed: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A cartoon face (160, 160, 3) and its class numbers (160, 160), as celebamask counts them."""
    rng = np.random.default_rng(seed)
    face = np.full((160, 160, 3), rng.integers(0, 256, 3), np.uint8)
    classes = np.zeros((160, 160), np.uint8)
    skin = tuple(int(c) for c in rng.integers(120, 220, 3))
    dark = tuple(int(c) for c in rng.integers(0, 90, 3))
    tilt = float(rng.uniform(-10, 10))
    shapes = [
        ((80, 88), (44, 58), skin, 1),
        ((64, 76), (8, 4), dark, 4),
        ((96, 76), (8, 4), dark, 5),
        ((80, 95), (6, 12), dark, 2),
        ((80, 116), (16, 5), (160, 40, 40), 10),
    ]
    for centre, axes, colour, number in shapes:
        cv2.ellipse(face, centre, axes, tilt, 0, 360, colour, -1)
        cv2.ellipse(classes, centre, axes, tilt, 0, 360, (number,), -1)
    texture = rng.normal(0, 6, (160, 160, 1)) + np.linspace(-20, 20, 160)[None, :, None]
    return np.clip(face + texture, 0, 255).astype(np.uint8), classes


@pytest.fixture(scope="session")
def drawn_face() -> Callable[[int], tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    """A seed to a drawn face and its class numbers."""
    return _drawn_face


@pytest.fixture(scope="session")
def faces_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six lossless images, PNG and WebP in turn, one with alpha."""
    folder = tmp_path_factory.mktemp("faces")
    for number in range(DRAWN):
        pixels, _ = _drawn_face(number)
        image = Image.fromarray(pixels)
        if number == OUTSIDE:
            alpha = np.full((160, 160), 255, np.uint8)
            alpha[:, :OUTSIDE_COLUMNS] = 0
            image.putalpha(Image.fromarray(alpha))
        if number % 2:
            image.save(folder / f"face_{number}.webp", lossless=True, exact=True)
        else:
            image.save(folder / f"face_{number}.png")
    return folder


@pytest.fixture(scope="session")
def faces_zip(faces_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same images in a zip, with a file that is no image."""
    path = tmp_path_factory.mktemp("zips") / "faces.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for image in sorted(faces_folder.iterdir()):
            archive.write(image, f"some/folder/{image.name}")
        archive.writestr("some/folder/readme.txt", "no image")
    return path


@pytest.fixture(scope="session")
def masks_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Masks of all faces but the last."""
    folder = tmp_path_factory.mktemp("masks")
    for number in range(MASKED):
        Image.fromarray(_drawn_face(number)[1]).save(folder / f"face_{number}.png")
    return folder


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small tensors are slower on many threads, and exact comparisons want one order of sums."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
