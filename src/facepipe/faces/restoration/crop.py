"""Alignment of the faces of a window of frames: each sampled onto a canvas, and its weight."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from facepipe.datatypes import (
    CANVAS,
    OWN_ALIGNMENT,
    SEQUENCE_LENGTH,
    Alignment,
    Crops,
    Float32,
    Float64,
    Frame,
    Track,
)
from facepipe.datatypes.stages import stage
from facepipe.faces.canvas import (
    antialiased,
    canvas_bounds,
    canvas_to_frame,
    frame_px_per_canvas_px,
    frontality,
    improves,
    resampled,
)
from facepipe.faces.colour import to_rgb
from facepipe.faces.noise import NOISY, cell_noise_variance, noise_sigma
from facepipe.faces.restoration.fusion import fuse
from facepipe.faces.similarity import CELLS

#: Frame px around the canvas that the interpolation may reach.
_REACH = 3
#: Neighbouring frames, as offsets from each frame.
_OFFSETS = tuple(k for k in range(-(SEQUENCE_LENGTH // 2), SEQUENCE_LENGTH // 2 + 1) if k)
#: Cells across the canvas in which frames are compared, and those where the face lies.
_CELLS, _FACE = 16, np.s_[4:13, 4:12]
#: RMS change between frames, as a share of white, up to which it is the same face, and from which
#: it is another thing. Of 350 faces in videos none but occluded ones changed by more than .05.
_SAME, _OTHER = 0.05, 0.09


def crop(
    frames: Sequence[Frame],
    tracks: Sequence[Track],
    *,
    window: range | None = None,
    max_gap_pts: float = float("inf"),
    alignment: Alignment = OWN_ALIGNMENT,
    fused: bool = True,
) -> Crops:
    """Crop all faces of `tracks` that `frames` show and that the canvas can improve, as one batch.

    `alignment` is the restorer's; `fused`: it takes what the neighbouring frames add.

    A face whose canvas would have to shrink it is left out, as a restorer must not take detail
    away, unless the alignment takes any size. So are profiles, and whatever passes in front of a
    face: no restorer shall make a face of it. `window` are the numbers of the frames whose faces
    are wanted, all by default; the others are only their neighbours, where at most `max_gap_pts`
    away. Numbers in the result count from the window's first frame.
    """
    window = range(len(frames)) if window is None else window
    canvases = _Canvases(frames, tracks, alignment)
    faces: list[_Face] = []
    for number, place in canvases.to_frame:
        to_frame = canvases.to_frame[number, place]
        if number not in window or not improves(to_frame, alignment):
            continue
        canvas = canvases.get(number, place)
        if canvas is None:
            continue
        track, pts = tracks[place], frames[number].pts
        neighbours = canvases.neighbours(number, place, max_gap_pts)
        sigma, cell = canvases.noise_sigma(number), alignment.side // CELLS
        noise_variance = cell_noise_variance(sigma, to_frame, cell)
        weight = frontality(track.landmarks_at(pts)) * track.presence(pts)
        weight *= occlusion_weight(
            [canvas, *(other for other, _ in neighbours)], noise_variance=noise_variance
        )
        if weight > 0:
            added = None
            if fused:
                with stage("fusion"):
                    added = fuse(canvas, to_frame, neighbours, noise_variance=noise_variance)
            own = (number - window.start, track.number)
            faces.append((canvas, to_frame, *own, added, weight, noise_variance))
    if not faces:
        return Crops.none(alignment)
    pixels, to_frames, numbers, owners, fused_with, weights, variances = zip(*faces, strict=True)
    return Crops(
        pixels=np.stack(pixels),
        to_frame=np.stack(to_frames),
        frame=np.array(numbers, np.intp),
        track=np.array(owners, np.intp),
        neighbours=np.stack(fused_with) if fused else None,
        weights=np.array(weights, np.float32),
        noise_variance=np.array(variances, np.float32),
        alignment=alignment,
    )


#: A row of Crops: pixels, to_frame, frame, track, neighbours, weight, noise variance.
_Face = tuple[Float32, Float64, int, int, Float32 | None, float, float]


class _Canvases:
    """The canvases of tracks in frames, by (number of the frame, place of the track), made once."""

    def __init__(
        self, frames: Sequence[Frame], tracks: Sequence[Track], alignment: Alignment
    ) -> None:
        self.to_frame = {
            (number, place): canvas_to_frame(track.landmarks_at(frame.pts), alignment)
            for number, frame in enumerate(frames)
            for place, track in enumerate(tracks)
            if track.enhance and track.covers(frame.pts)
        }
        self._frames, self._side = frames, alignment.side
        self._canvases: dict[tuple[int, int], Float32 | None] = {}
        self._sigmas: dict[int, float] = {}

    def get(self, number: int, place: int) -> Float32 | None:
        """The canvas (S, S, 3), None where the frame does not show the face."""
        key = number, place
        to_frame = self.to_frame.get(key)
        if to_frame is None or frame_px_per_canvas_px(to_frame) == 0:
            return None
        if key not in self._canvases:
            self._canvases[key] = sample(self._frames[number], to_frame, self._side)
        return self._canvases[key]

    def neighbours(
        self, number: int, place: int, max_gap_pts: float
    ) -> list[tuple[Float32, Float64]]:
        """The face's canvases in the neighbouring frames, each with its map to the frame."""
        found = []
        for near in (number + offset for offset in _OFFSETS):
            canvas = self.get(near, place)
            if canvas is None:
                continue
            if abs(self._frames[near].pts - self._frames[number].pts) <= max_gap_pts:
                found.append((canvas, self.to_frame[near, place]))
        return found

    def noise_sigma(self, number: int) -> float:
        """Sigma of the frame's noise in excess of NOISY, code values of 8 bits."""
        if number not in self._sigmas:
            adjacent = (number - 1, number + 1)
            near = [self._frames[k] for k in adjacent if 0 <= k < len(self._frames)]
            sigma = noise_sigma(self._frames[number], near)
            self._sigmas[number] = float(np.sqrt(max(sigma**2 - NOISY**2, 0)))
        return self._sigmas[number]


def occlusion_weight(canvases: Sequence[Float32], *, noise_variance: float = 0.0) -> float:
    """1 where the face is unoccluded: the first canvas (S, S, 3) matches another; 0 else.

    An aligned face hardly changes from frame to frame; where something passes in front of it, or
    its track went astray, the first differs from all others. Light that changes as a whole does not
    count. 1 as well where there are no others. `noise_variance` is that of the difference of two
    cells that show the same.
    """
    cells = [
        cv2.resize(canvas, (_CELLS, _CELLS), interpolation=cv2.INTER_AREA)[_FACE]
        for canvas in canvases
    ]
    if len(cells) < 2:
        return 1.0
    changes = np.stack(cells[1:]) - cells[0]
    changes -= changes.mean((1, 2), keepdims=True)
    power = (changes**2).mean((1, 2, 3)).min() - noise_variance
    least = float(np.sqrt(max(power, 0)))
    return float(np.clip((_OTHER - least) / (_OTHER - _SAME), 0, 1))


def sample(frame: Frame, to_frame: Float64, side: int = CANVAS) -> Float32 | None:
    """The canvas (side, side, 3) RGB in [0, 1], None where it lies wholly outside the frame.

    Outside the frame its edge is replicated. Only the box under the canvas is converted to RGB. A
    face that is larger than the canvas is blurred before, so that its detail does not alias.
    """
    x0, y0, x1, y1 = canvas_bounds(to_frame, frame.width, frame.height, side)
    if x0 >= x1 or y0 >= y1:
        return None
    x0, y0 = max(x0 - _REACH, 0), max(y0 - _REACH, 0)
    # Even corners, so that subsampled chroma lies in the box as it lies in the frame.
    x0, y0 = x0 - x0 % 2, y0 - y0 % 2
    x1, y1 = min(x1 + _REACH, frame.width), min(y1 + _REACH, frame.height)
    box = to_rgb(frame, (x0, y0, x1, y1))
    shifted = to_frame - np.array([[0, 0, x0], [0, 0, y0]])
    return np.clip(resampled(antialiased(box, to_frame), shifted, side), 0, 1)
