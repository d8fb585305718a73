"""Sample each face of a window of frames onto the aligned canvas."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from facepipe.frames import SEQUENCE, Crops, Frame, Track
from facepipe.pipeline.align import (
    CANVAS,
    canvas_bounds,
    canvas_to_frame,
    frame_px_per_canvas_px,
    frontality,
)
from facepipe.pipeline.colour import to_rgb

#: Frame px around the canvas that the interpolation may look at.
_REACH = 3


def crop(
    frames: Sequence[Frame],
    tracks: Sequence[Track],
    *,
    window: range | None = None,
    apart: float = float("inf"),
) -> Crops:
    """All faces of `tracks` that `frames` show and that the canvas can better, one batch.

    A face whose canvas would have to shrink it is left out: a restorer must not take detail away;
    and so is a profile, which nothing restores.
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

    @cache
    def weight(number: int, place: int) -> float:
        return frontality(tracks[place].landmarks_at(frames[number].pts))

    wanted = [
        (number, place)
        for (number, place), to_frame in to_frames.items()
        if number in window
        and frame_px_per_canvas_px(to_frame) < 1
        and weight(number, place) > 0
        and canvas(number, place) is not None
    ]
    order = {key: k for k, key in enumerate(wanted)}
    sequences = np.empty((len(wanted), SEQUENCE), np.intp)
    for k, (number, place) in enumerate(wanted):
        for column, lag in enumerate(range(-(SEQUENCE // 2), SEQUENCE // 2 + 1)):
            key = (number + lag, place)
            near = canvas(*key) is not None and (
                abs(frames[key[0]].pts - frames[number].pts) <= apart
            )
            sequences[k, column] = order.setdefault(key, len(order)) if near else k
    canvases = [np.zeros((0, CANVAS, CANVAS, 3), np.float32)]
    canvases += [shown[None] for key in order if (shown := canvas(*key)) is not None]
    return Crops(
        np.concatenate(canvases[: len(wanted) + 1]),
        np.stack([to_frames[key] for key in wanted]) if wanted else np.zeros((0, 2, 3)),
        np.array([number - window.start for number, _ in wanted], np.intp),
        np.array([tracks[place].number for _, place in wanted], np.intp),
        sequences,
        np.concatenate([canvases[0], *canvases[len(wanted) + 1 :]]),
        np.array([weight(*key) for key in wanted], np.float32),
    )


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
    canvas = cv2.warpAffine(
        box,
        shifted,
        (CANVAS, CANVAS),
        flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.clip(canvas, 0, 1)
