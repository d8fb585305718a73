"""Pseudo-labels: parsing masks of many faces by a teacher that was trained on few."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from facepipe._system.files import atomic_write
from facepipe.models.networks.parsingnet import ParsingTeacher
from facepipe.training.face_archive import CLASS_OF_PART, IGNORED, FaceArchive

BATCH = 32


def label(
    teacher: ParsingTeacher,
    faces: FaceArchive,
    target: Path,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write `target`, a zip with one mask (160x160 PNG) for each face, as training reads them.

    The teacher predicts the aligned face with its margin, and its mirror image; a pixel gets the
    part of the highest mean probability. Pixels outside the photograph are 255. Raises OutputError
    when `target` cannot be written.
    """
    teacher.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    with atomic_write(target) as partial, zipfile.ZipFile(partial, "w") as archive:
        for first in range(0, len(faces), BATCH):
            numbers = range(first, min(first + BATCH, len(faces)))
            pairs = [faces.face(number) for number in numbers]
            parts = _predict_parts(teacher, np.stack([face for face, _ in pairs]))
            for number, (_, valid), part in zip(numbers, pairs, parts, strict=True):
                classes = np.where(valid > 127, CLASS_OF_PART[part], IGNORED)
                buffer = io.BytesIO()
                Image.fromarray(classes.astype(np.uint8)).save(buffer, "PNG")
                archive.writestr(f"{faces.names[number]}.png", buffer.getvalue())
            if progress is not None:
                progress(numbers.stop, len(faces))


def _predict_parts(teacher: ParsingTeacher, faces: NDArray[np.uint8]) -> NDArray[np.intp]:
    """The most probable part (N, 160, 160) of each pixel, by the faces and their mirror images."""
    planes = (torch.from_numpy(faces).permute(0, 3, 1, 2).float() / 255).contiguous(
        memory_format=torch.channels_last
    )
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        probabilities = torch.softmax(teacher(planes).float(), 1)
        # No part distinguishes left from right.
        probabilities = probabilities + torch.softmax(teacher(planes.flip(3)).float(), 1).flip(3)
    return np.asarray(probabilities.argmax(1).numpy(), np.intp)
