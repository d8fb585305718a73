from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from facepipe.faces.detection.appearance import appearance_descriptors, appearance_distances
from facepipe.faces.detection.finder import find_faces
from facepipe.models.detectors.yunet import YuNet
from media import portraits


def descriptors_in(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    bgr = np.ascontiguousarray(rgb[..., ::-1])
    faces = find_faces(bgr, YuNet(threads=1), score=0.6, min_face=8)
    return appearance_descriptors(bgr, faces.landmarks)


def test_a_face_differs_from_another_face_and_not_from_itself() -> None:
    """The portrait in two frames of a video, mirrored, too, and darker."""
    one, again = descriptors_in(portraits.scene(0)), descriptors_in(portraits.scene(6))
    darker = descriptors_in((portraits.scene(0) * 0.55).astype(np.uint8))
    assert min(len(one), len(again), len(darker)) > 0
    assert appearance_distances(one[0], one)[0] == 0
    assert appearance_distances(one[0], again).min() < 8
    assert appearance_distances(one[0], again).max() > 12  # the mirrored one
    assert appearance_distances(one[0], darker).min() > 20


def test_descriptors_are_of_the_face_not_of_what_is_around_it() -> None:
    landmarks = np.array(
        [[[48.25, 59.99], [79.73, 60.05], [64.16, 78.5], [50.32, 92.85], [78.27, 92.79]]],
        np.float32,
    )
    rng = np.random.default_rng(0)
    here = rng.integers(0, 256, (128, 128, 3)).astype(np.uint8)
    there = rng.integers(0, 256, (128, 128, 3)).astype(np.uint8)
    there[28:116, 28:100] = here[28:116, 28:100]
    np.testing.assert_allclose(
        appearance_descriptors(here, landmarks), appearance_descriptors(there, landmarks), atol=1e-3
    )
    assert appearance_descriptors(here, landmarks[:0]).shape[0] == 0
