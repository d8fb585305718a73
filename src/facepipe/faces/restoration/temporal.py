"""Temporal smoothing: the mean of restored canvases over 3 frames each side, by similarity.

A restorer invents a little differently in every frame, and the source's own noise comes through.
Canvases of one track lie in register, so the mean over neighbouring frames is the same face without
flicker. Where a neighbour shows something else (a blink, a turn, a hand) it has no weight.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from facepipe.datatypes import Crops, Float32, Frame, Restored
from facepipe.faces.similarity import cell_means, in_colours, similarity

Batch = tuple[Sequence[Frame], Crops, Restored]

#: Frames on each side that are averaged.
SMOOTHING_RADIUS = 3
#: Cells a side of the window in which canvases are compared: few, so that a blink is not smeared.
_WINDOW = 3


@dataclass(frozen=True, eq=False)
class _Face:
    """One face of a frame: its row in the batch, and its cells."""

    crops: Crops
    restored: Restored
    row: int
    cells: Float32

    @property
    def noise_variance(self) -> float:
        variance = self.crops.noise_variance
        return 0.0 if variance is None else float(variance[self.row])


@dataclass(frozen=True, eq=False)
class _FrameFaces:
    frame: Frame
    faces: dict[int, _Face]  # by the track's number


def smoothed(
    batches: Iterable[Batch], *, max_gap_pts: float
) -> Iterator[tuple[Frame, Crops, Restored]]:
    """Smooth the restored faces of each frame over SMOOTHING_RADIUS frames on each side.

    Frames more than `max_gap_pts` away do not count. The Crops of a frame count from frame 0; its
    Restored has `smoothed_source`. Frames come in order; holds 2 * SMOOTHING_RADIUS + 1.
    """
    recent: list[_FrameFaces] = []
    ahead = 0  # the next of `recent` to be given
    for frames, crops, restored in batches:
        for number, frame in enumerate(frames):
            recent.append(_FrameFaces(frame, _faces(crops, restored, number)))
            if len(recent) - ahead > SMOOTHING_RADIUS:
                yield _smoothed_frame(recent, ahead, max_gap_pts)
                ahead += 1
                if ahead > SMOOTHING_RADIUS:
                    recent.pop(0)
                    ahead -= 1
    for place in range(ahead, len(recent)):
        yield _smoothed_frame(recent, place, max_gap_pts)


def _faces(crops: Crops, restored: Restored, number: int) -> dict[int, _Face]:
    return {
        int(crops.track[row]): _Face(crops, restored, int(row), cell_means(crops.pixels[row]))
        for row in np.nonzero(crops.frame == number)[0]
    }


def _smoothed_frame(
    recent: Sequence[_FrameFaces], place: int, max_gap_pts: float
) -> tuple[Frame, Crops, Restored]:
    here = recent[place]
    neighbours = _neighbours(recent, place, max_gap_pts)
    faces = list(here.faces.items())
    if not faces:
        nothing = Crops.none()
        return here.frame, nothing, Restored(pixels=nothing.pixels, parse=None)
    pixels, sources, parses = [], [], []
    for track, face in faces:
        others = [one.faces[track] for one in neighbours if track in one.faces]
        mean, source, parse = _means(face, others)
        pixels.append(mean)
        sources.append(source)
        parses.append(parse)
    known = [parse for parse in parses if parse is not None]
    restored = Restored(
        pixels=np.stack(pixels),
        parse=np.stack(known) if known else None,
        smoothed_source=np.stack(sources),
    )
    return here.frame, _crops(faces), restored


def _means(face: _Face, others: Sequence[_Face]) -> tuple[Float32, Float32, Float32 | None]:
    """Weighted means of a face and the same one in other frames: restored, source, and parse."""
    # OpenCV sums into arrays that lie row by row.
    mean = np.array(face.restored.pixels[face.row], np.float32, order="C")
    source = np.array(face.crops.pixels[face.row], np.float32, order="C")
    side = face.crops.alignment.side
    total, shares = np.ones((side, side), np.float32), []
    for other in others:
        weight = similarity(
            face.cells,
            other.cells,
            window=_WINDOW,
            noise_variance=face.noise_variance,
            side=side,
        )
        weights = in_colours(weight)
        cv2.accumulateProduct(other.restored.pixels[other.row], weights, mean)
        cv2.accumulateProduct(other.crops.pixels[other.row], weights, source)
        total += weight
        shares.append(float(weight.mean()))
    totals = in_colours(total)
    mean /= totals
    source /= totals
    return mean, source, _parse(face, others, shares)


def _neighbours(recent: Sequence[_FrameFaces], place: int, max_gap_pts: float) -> list[_FrameFaces]:
    """The frames that are averaged with the one at `place`."""
    here = recent[place]
    near = recent[max(place - SMOOTHING_RADIUS, 0) : place + SMOOTHING_RADIUS + 1]
    return [one for one in near if one is not here and _gap_pts(one, here) <= max_gap_pts]


def _gap_pts(one: _FrameFaces, other: _FrameFaces) -> int:
    return abs(one.frame.pts - other.frame.pts)


def _parse(face: _Face, others: Sequence[_Face], weights: Sequence[float]) -> Float32 | None:
    """(8, 32, 32): the weighted mean of the parses, so that the mask does not flicker either."""
    if face.restored.parse is None:
        return None
    total = face.restored.parse[face.row].copy()
    for other, weight in zip(others, weights, strict=True):
        assert other.restored.parse is not None
        total += np.float32(weight) * other.restored.parse[other.row]
    return np.asarray(total / np.float32(1 + sum(weights)), np.float32)


def _crops(faces: Sequence[tuple[int, _Face]]) -> Crops:
    """The Crops of one frame's faces, without neighbours, which are not needed any more."""
    weights = [
        1.0 if face.crops.weights is None else face.crops.weights[face.row] for _, face in faces
    ]
    return Crops(
        pixels=np.stack([face.crops.pixels[face.row] for _, face in faces]),
        to_frame=np.stack([face.crops.to_frame[face.row] for _, face in faces]),
        frame=np.zeros(len(faces), np.intp),
        track=np.array([track for track, _ in faces], np.intp),
        weights=np.array(weights, np.float32),
        alignment=faces[0][1].crops.alignment,
    )
