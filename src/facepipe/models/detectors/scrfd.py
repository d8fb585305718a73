"""SCRFD through insightface: the optional high end, from a pack that the user has.

Guo et al., "Sample and Computation Redistribution for Efficient Face Detection", 2021. The code
is MIT; insightface's released packs are for non-commercial research.
"""

from __future__ import annotations

import contextlib
import importlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facepipe._system.files import is_there
from facepipe.datatypes import Faces
from facepipe.errors import ModelError
from facepipe.models.detectors import FLOOR
from facepipe.models.detectors.boxes import nms, sizes

SIDE = 640  # net px: insightface keeps a session's buffers per size, so it never changes
SHARED = 128  # px that neighbouring tiles share; a face up to that size is whole in one of them
OVERLAP = 0.35


class ScrfdDetector:
    """One pass over an image in tiles of 640x640, at native size, and one over the whole."""

    hints = False

    def __init__(self, pack: Path) -> None:
        """`pack` is the folder of an insightface pack, one ONNX file of which detects faces.

        Raises ModelError when the folder or insightface is missing, or no file there detects
        faces. Nothing is ever downloaded: insightface does that only for a missing folder.
        """
        if not is_there(pack.expanduser()):
            raise ModelError(f"{pack}: no such folder; it must hold an insightface pack")
        folder = pack.expanduser().resolve()
        if not folder.is_dir():
            raise ModelError(f"{pack}: no such folder; it must hold an insightface pack")
        if not any(folder.glob("*.onnx")):
            raise ModelError(f"{pack}: holds no .onnx file, so it is no insightface pack")
        try:
            app: Any = importlib.import_module("insightface.app")
        except ImportError as error:
            raise ModelError(
                f"the SCRFD detector needs insightface, which does not import ({error}): "
                "pip install 'facepipe[scrfd]'"
            ) from error
        # insightface prints what it loads, asserts that something detects, and fails in
        # whatever way onnxruntime fails on a damaged file.
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                self._analysis = app.FaceAnalysis(
                    name=str(folder),
                    allowed_modules=["detection"],
                    providers=["CPUExecutionProvider"],
                )
                self._analysis.prepare(ctx_id=-1, det_thresh=FLOOR, det_size=(SIDE, SIDE))
        except (AssertionError, RuntimeError, ValueError, IndexError, OSError) as error:
            raise ModelError(
                f"{pack}: no file there is a working face detector ({error})"
            ) from error

    def __call__(self, bgr: NDArray[np.uint8], /, *, floor: float = FLOOR) -> Faces:
        """Faces of a (H, W, 3) BGR image at its own size that score `floor` and more.

        It gives none below FLOOR.
        """
        height, width = bgr.shape[:2]
        parts: list[Faces] = []
        for left, top in _corners(width, height):
            tile = np.zeros((SIDE, SIDE, 3), np.uint8)
            cut = bgr[top : top + SIDE, left : left + SIDE]
            tile[: cut.shape[0], : cut.shape[1]] = cut
            found = _faces(self._analysis.get(tile))
            shift = np.array([left, top], np.float32)
            boxes = found.boxes + np.tile(shift, 2)
            parts.append(Faces(boxes=boxes, scores=found.scores, landmarks=found.landmarks + shift))
        if max(height, width) > SIDE:
            # What a tile cuts is found here, where insightface shrinks the image.
            whole = _faces(self._analysis.get(bgr))
            parts.append(whole.take(sizes(whole.boxes) >= SHARED))
        found = Faces.concat(parts)
        return nms(found.take(found.scores >= floor), OVERLAP)


def _corners(width: int, height: int) -> Iterator[tuple[int, int]]:
    """The upper left corners of tiles that cover the image and overlap by SHARED px at least."""
    step = SIDE - SHARED
    for top in range(0, max(height - SHARED, 1), step):
        for left in range(0, max(width - SHARED, 1), step):
            yield left, top


def _faces(found: list[Any]) -> Faces:
    """insightface's result as Faces; a face without landmarks is left out."""
    rows = [face for face in found if face.kps is not None]
    if not rows:
        return Faces.none()
    return Faces(
        boxes=np.array([face.bbox for face in rows], np.float32),
        scores=np.array([face.det_score for face in rows], np.float32),
        landmarks=np.array([face.kps for face in rows], np.float32),
    )
