"""Quality of a detection by its pixels: the parts of a face that show, and sharpness."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from facepipe.datatypes import CANVAS, Crops, Faces, Float32
from facepipe.faces.canvas import canvas_to_frame, resampled
from facepipe.faces.colour import LUMA_WEIGHTS

#: Where an aligned face has each part: its channel in the parse, centres and radius in canvas px,
#: and the mean share that the parse has there (the median of 122 held-out faces of 8 to 30 px).
_PARTS = (
    ("brows", 2, ((48, 51), (80, 51)), 7, 0.320),
    ("eyes", 3, ((48.2, 60), (79.7, 60)), 6, 0.279),
    ("nose", 4, ((64.2, 74),), 8, 0.896),
    ("mouth", 5, ((64.3, 92.8),), 9, 0.387),
)
#: Rows and columns of a canvas that a face fills, the width of a face there in px, and the width of
#: a face that shows no fine detail.
_FACE = np.s_[20:112, 24:104]
_WIDE, _COARSE = 57, 6


def visibility_in_parse(parse: Float32) -> Float32:
    """(N,) in [0, 1]: part visibility of aligned faces from their parses (N, 8, 32, 32).

    The mean of the better of brows and eyes and the better of nose and mouth, each relative to what
    is usual. A mask or sunglasses leave about a half. Background that a detector takes for a face
    has .2 in the median, faces of 8 to 30 px have 1 (AUC .99; with masks on .82).
    """
    step = CANVAS // parse.shape[-1]
    down, across = np.mgrid[: parse.shape[-2], : parse.shape[-1]] * step + (step - 1) / 2
    found = {}
    for name, number, middles, radius, usual in _PARTS:
        near = [(across - x) ** 2 + (down - y) ** 2 <= radius**2 for x, y in middles]
        shares = parse[:, number][:, np.any(near, 0)]
        found[name] = np.minimum(shares.mean(1) / np.float32(usual), 1)
    upper = np.maximum(found["brows"], found["eyes"])
    lower = np.maximum(found["nose"], found["mouth"])
    return np.asarray((upper + lower) / 2, np.float32)


def part_visibility(
    bgr: NDArray[np.uint8],
    faces: Faces,
    parser: Callable[[Crops], Float32],
    *,
    below: float,
) -> Float32:
    """(N,) `visibility_in_parse` of the faces of a (H, W, 3) BGR image with scores below `below`.

    The others are NaN: where the detector is sure, no parse is made. `parser` takes N canvases to
    their parses (N, 8, 32, 32).
    """
    visibility = np.full(len(faces), np.nan, np.float32)
    doubtful = np.nonzero(faces.scores < below)[0]
    if len(doubtful):
        maps = np.array([canvas_to_frame(faces.landmarks[number]) for number in doubtful])
        pixels = np.array([resampled(bgr, one)[..., ::-1] for one in maps], np.float32)
        zeros = np.zeros(len(doubtful), np.intp)
        crops = Crops(pixels=pixels / np.float32(255), to_frame=maps, frame=zeros, track=zeros)
        visibility[doubtful] = visibility_in_parse(parser(crops))
    return visibility


def sharpness(bgr: NDArray[np.uint8], landmarks: Float32) -> Float32:
    """(N,) in [0, 1]: the share of each face's contrast that a face of 6 px would not show.

    Of the luma of a (H, W, 3) BGR image, by `landmarks` (N, 5, 2). A sharp face of 8 px has .28
    (one in 20 less than .20), of 24 px .45; blurred by a sixth of its width (sigma) either has .1.
    """
    found = np.empty(len(landmarks), np.float32)
    red, blue = LUMA_WEIGHTS["bt601"]
    weights = np.array([blue, 1 - red - blue, red], np.float32)
    for number, points in enumerate(landmarks):
        light = resampled(bgr, canvas_to_frame(points))[_FACE].astype(np.float32) @ weights
        height, width = light.shape
        few = (round(width * _COARSE / _WIDE), round(height * _COARSE / _WIDE))
        coarse = cv2.resize(light, few, interpolation=cv2.INTER_AREA)
        rest = light - cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
        found[number] = rest.std() / max(float(light.std()), 1e-3)
    return np.minimum(found, np.float32(1))
