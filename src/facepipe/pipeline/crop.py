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
from facepipe.pipeline.fuse import fuse

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

    def near(number: int, place: int, lag: int) -> tuple[int, int] | None:
        key = number + lag, place
        if canvas(*key) is None or abs(frames[key[0]].pts - frames[number].pts) > apart:
            return None
        return key

    @cache
    def weight(number: int, place: int) -> float:
        beside = [near(number, place, lag) for lag in _LAGS if lag]
        shown = [canvas(*key) for key in ((number, place), *beside) if key]
        looks_at_us = frontality(tracks[place].landmarks_at(frames[number].pts))
        return looks_at_us * steadiness([pixels for pixels in shown if pixels is not None])

    wanted = [
        (number, place)
        for (number, place), to_frame in to_frames.items()
        if number in window
        and frame_px_per_canvas_px(to_frame) < 1
        and canvas(number, place) is not None
        and weight(number, place) > 0
    ]
    fused = [
        fuse(
            shown,
            to_frames[number, place],
            [
                (other, to_frames[key])
                for lag in _LAGS
                if lag and (key := near(number, place, lag))
                if (other := canvas(*key)) is not None
            ],
        )
        for number, place in wanted
        if (shown := canvas(number, place)) is not None
    ]
    canvases = [shown for key in wanted if (shown := canvas(*key)) is not None]
    return Crops(
        np.stack(canvases) if canvases else np.zeros((0, CANVAS, CANVAS, 3), np.float32),
        np.stack([to_frames[key] for key in wanted]) if wanted else np.zeros((0, 2, 3)),
        np.array([number - window.start for number, _ in wanted], np.intp),
        np.array([tracks[place].number for _, place in wanted], np.intp),
        np.stack(fused) if fused else None,
        np.array([weight(*key) for key in wanted], np.float32),
    )


def steadiness(canvases: Sequence[NDArray[np.float32]]) -> float:
    """1 where the first of `canvases` (128, 128, 3) shows what one of the others shows, 0 else.

    A face hardly changes from frame to frame once it is aligned; where something passes in front of
    it, or its track went astray, all of them differ. Light that changes as a whole does not count.
    1 as well where there are no others.
    """
    cells = [
        cv2.resize(canvas, (_CELLS, _CELLS), interpolation=cv2.INTER_AREA)[_FACE]
        for canvas in canvases
    ]
    if len(cells) < 2:
        return 1.0
    changes = np.stack(cells[1:]) - cells[0]
    changes -= changes.mean((1, 2), keepdims=True)
    least = float(np.sqrt((changes**2).mean((1, 2, 3))).min())
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
    canvas = cv2.warpAffine(
        box,
        shifted,
        (CANVAS, CANVAS),
        flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.clip(canvas, 0, 1)
