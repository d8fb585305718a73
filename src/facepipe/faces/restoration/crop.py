"""Sample each face of a window of frames onto the aligned canvas."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from facepipe.datatypes import SEQUENCE, Crops, Frame, Track
from facepipe.faces.canvas import (
    CANVAS,
    canvas_bounds,
    canvas_to_frame,
    frame_px_per_canvas_px,
    frontality,
    resampled,
)
from facepipe.faces.colour import to_rgb
from facepipe.faces.noise import NOISY, noise, noise_in_cells
from facepipe.faces.restoration.fusion import fuse
from facepipe.faces.similarity import CELL

#: Frame px around the canvas that the interpolation may look at.
_REACH = 3
#: Frames seen beside each, as numbers from it.
_LAGS = range(-(SEQUENCE // 2), SEQUENCE // 2 + 1)
#: Cells across the canvas in which frames are compared, and those where the face lies.
_CELLS, _FACE = 16, np.s_[4:13, 4:12]
#: Change of light between frames, as a share of white, up to which it is the same face, and from
#: which it is another thing. Of 350 faces in films none but occluded ones changed by more than .05.
_SAME, _OTHER = 0.05, 0.09


def crop(
    frames: Sequence[Frame],
    tracks: Sequence[Track],
    *,
    window: range | None = None,
    apart: float = float("inf"),
) -> Crops:
    """All faces of `tracks` that `frames` show and that the canvas can better, one batch.

    A face whose canvas would have to shrink it is left out: a restorer must not take detail away;
    and so are a profile and what passes in front of a face: no restorer shall make a face of them.
    `window` are the numbers of the frames whose faces are wanted, all by default; the others are
    only seen beside them, where no more than `apart` in pts. Numbers in the result count from the
    window's first frame.
    """
    window = range(len(frames)) if window is None else window
    to_frames = {
        (number, place): canvas_to_frame(track.landmarks_at(frame.pts))
        for number, frame in enumerate(frames)
        for place, track in enumerate(tracks)
        if track.enhance and track.covers(frame.pts)
    }

    @cache
    def canvas(number: int, place: int) -> NDArray[np.float32] | None:
        to_frame = to_frames.get((number, place))
        if to_frame is None or frame_px_per_canvas_px(to_frame) == 0:
            return None
        return sample(frames[number], to_frame)

    def beside(number: int, place: int) -> list[tuple[NDArray[np.float32], NDArray[np.float64]]]:
        """The canvases of the frames beside that show the face, each with its map to the frame."""
        found = []
        for key in ((number + lag, place) for lag in _LAGS if lag):
            other = canvas(*key)
            if other is not None and abs(frames[key[0]].pts - frames[number].pts) <= apart:
                found.append((other, to_frames[key]))
        return found

    @cache
    def sigma(number: int) -> float:
        """The frame's noise beyond what counts for nothing."""
        near = [frames[k] for k in (number - 1, number + 1) if 0 <= k < len(frames)]
        return float(np.sqrt(max(noise(frames[number], near) ** 2 - NOISY**2, 0)))

    faces = []
    for (number, place), to_frame in to_frames.items():
        if number not in window or frame_px_per_canvas_px(to_frame) >= 1:
            continue
        shown = canvas(number, place)
        if shown is None:
            continue
        others = beside(number, place)
        weight = frontality(tracks[place].landmarks_at(frames[number].pts))
        weight *= tracks[place].presence(frames[number].pts)
        stir = noise_in_cells(sigma(number), to_frame, CELL)
        weight *= steadiness([shown, *(other for other, _ in others)], noise=stir)
        if weight > 0:
            fused = fuse(shown, to_frame, others, noise=stir)
            own = (number - window.start, tracks[place].number, fused, weight, stir)
            faces.append((shown, to_frame, *own))
    if not faces:
        nowhere = np.zeros(0, np.intp)
        none = np.zeros((0, CANVAS, CANVAS, 3), np.float32)
        return Crops(none, np.zeros((0, 2, 3)), nowhere, nowhere)
    pixels, places, number_of, track_of, fuseds, weights, noises = zip(*faces, strict=True)
    return Crops(
        np.stack(pixels),
        np.stack(places),
        np.array(number_of, np.intp),
        np.array(track_of, np.intp),
        np.stack(fuseds),
        np.array(weights, np.float32),
        np.array(noises, np.float32),
    )


def steadiness(canvases: Sequence[NDArray[np.float32]], *, noise: float = 0.0) -> float:
    """1 where the first of `canvases` (128, 128, 3) shows what one of the others shows, 0 else.

    A face hardly changes from frame to frame once it is aligned; where something passes in front of
    it, or its track went astray, all of them differ. Light that changes as a whole does not count.
    1 as well where there are no others. `noise`: the variance of a difference that is noise alone.
    """
    cells = [
        cv2.resize(canvas, (_CELLS, _CELLS), interpolation=cv2.INTER_AREA)[_FACE]
        for canvas in canvases
    ]
    if len(cells) < 2:
        return 1.0
    changes = np.stack(cells[1:]) - cells[0]
    changes -= changes.mean((1, 2), keepdims=True)
    least = float(np.sqrt(max((changes**2).mean((1, 2, 3)).min() - noise, 0)))
    return float(np.clip((_OTHER - least) / (_OTHER - _SAME), 0, 1))


def sample(frame: Frame, to_frame: NDArray[np.float64]) -> NDArray[np.float32] | None:
    """The canvas (128, 128, 3) RGB in [0, 1], None where it lies wholly outside the frame.

    Outside the frame its edge goes on. Only the box under the canvas is converted to RGB.
    """
    x0, y0, x1, y1 = canvas_bounds(to_frame, frame.width, frame.height)
    if x0 >= x1 or y0 >= y1:
        return None
    x0, y0 = max(x0 - _REACH, 0), max(y0 - _REACH, 0)
    # Even corners, so that subsampled chroma lies in the box as it lies in the frame.
    x0, y0 = x0 - x0 % 2, y0 - y0 % 2
    x1, y1 = min(x1 + _REACH, frame.width), min(y1 + _REACH, frame.height)
    box = to_rgb(frame, (x0, y0, x1, y1))
    shifted = to_frame - np.array([[0, 0, x0], [0, 0, y0]])
    return np.clip(resampled(box, shifted), 0, 1)
