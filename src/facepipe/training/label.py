"""Label the parts of many faces with a teacher that learned from few."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from facepipe._files import atomic_write
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
    """Write `target`, a zip of one mask (160x160 PNG) a face, as training reads them.

    The teacher sees the aligned face with its margin, and its mirror image; a pixel has the part
    that is most likely by both. What lies outside the photograph is 255.
    Raises OutputError when `target` cannot be written.
    """
    teacher.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    with atomic_write(target) as partial, zipfile.ZipFile(partial, "w") as archive:
        for first in range(0, len(faces), BATCH):
            numbers = range(first, min(first + BATCH, len(faces)))
            pairs = [faces.face(number) for number in numbers]
            parts = _likeliest(teacher, np.stack([face for face, _ in pairs]))
            for number, (_, valid), part in zip(numbers, pairs, parts, strict=True):
                classes = np.where(valid > 127, CLASS_OF_PART[part], IGNORED)
                buffer = io.BytesIO()
                Image.fromarray(classes.astype(np.uint8)).save(buffer, "PNG")
                archive.writestr(f"{faces.names[number]}.png", buffer.getvalue())
            if progress is not None:
                progress(numbers.stop, len(faces))


def _likeliest(teacher: ParsingTeacher, faces: NDArray[np.uint8]) -> NDArray[np.intp]:
    """(N, 160, 160): the most likely part of each pixel."""
    planes = (torch.from_numpy(faces).permute(0, 3, 1, 2).float() / 255).contiguous(
        memory_format=torch.channels_last
    )
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        likely = torch.softmax(teacher(planes).float(), 1)
        # No part tells left from right.
        likely = likely + torch.softmax(teacher(planes.flip(3)).float(), 1).flip(3)
    return np.asarray(likely.argmax(1).numpy(), np.intp)
