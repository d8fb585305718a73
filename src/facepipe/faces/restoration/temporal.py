"""What stands still stays still: restored faces averaged along their tracks.

A restorer invents a little differently in every frame, and the source's own noise comes through.
Canvases of one track lie in register, so the mean over the frames beside is the same face at rest.
Where a frame beside shows something else (a blink, a turn, a hand) it does not count there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from facepipe.datatypes import Crops, Float32, Frame, Restored
from facepipe.faces.canvas import CANVAS
from facepipe.faces.similarity import alike, cells

Batch = tuple[Sequence[Frame], Crops, Restored]

#: Frames to each side that are averaged.
REACH = 3
#: Cells taken together, where canvases are compared: few, so that a blink is not smeared.
_CELLS = 3


@dataclass(frozen=True, eq=False)
class _Face:
    """One face of a frame: its place in the frame's batch, and its cells."""

    crops: Crops
    restored: Restored
    row: int
    cells: Float32

    @property
    def noise(self) -> float:
        return 0.0 if self.crops.noise is None else float(self.crops.noise[self.row])


@dataclass(frozen=True, eq=False)
class _Shown:
    frame: Frame
    faces: dict[int, _Face]  # by the track's number


def settled(batches: Iterable[Batch], *, apart: float) -> Iterator[tuple[Frame, Crops, Restored]]:
    """Each frame of the batches with its restored faces at rest, once REACH more are known.

    Frames more than `apart` in pts from it do not count. Its Crops count from frame 0; its Restored
    has `shown`, the source at rest. Frames come in order; holds 2 * REACH + 1.
    """
    recent: list[_Shown] = []
    ahead = 0  # the next of `recent` to be given
    for frames, crops, restored in batches:
        for number, frame in enumerate(frames):
            recent.append(_Shown(frame, _faces(crops, restored, number)))
            if len(recent) - ahead > REACH:
                yield _at_rest(recent, ahead, apart)
                ahead += 1
                if ahead > REACH:
                    recent.pop(0)
                    ahead -= 1
    for place in range(ahead, len(recent)):
        yield _at_rest(recent, place, apart)


def _faces(crops: Crops, restored: Restored, number: int) -> dict[int, _Face]:
    return {
        int(crops.track[row]): _Face(crops, restored, int(row), cells(crops.pixels[row]))
        for row in np.nonzero(crops.frame == number)[0]
    }


def _at_rest(recent: Sequence[_Shown], place: int, apart: float) -> tuple[Frame, Crops, Restored]:
    here = recent[place]
    near = recent[max(place - REACH, 0) : place + REACH + 1]
    beside = [one for one in near if one is not here and _apart(one, here) <= apart]
    faces = list(here.faces.items())
    pixels, shown, parses = [], [], []
    for track, face in faces:
        others = [one.faces[track] for one in beside if track in one.faces]
        shares = [
            alike(face.cells, other.cells, together=_CELLS, noise=face.noise)[..., None]
            for other in others
        ]
        total = 1 + np.sum(shares, 0, dtype=np.float32)
        mean, source = face.restored.pixels[face.row].copy(), face.crops.pixels[face.row].copy()
        for other, share in zip(others, shares, strict=True):
            mean += share * other.restored.pixels[other.row]
            source += share * other.crops.pixels[other.row]
        pixels.append(mean / total)
        shown.append(source / total)
        parses.append(_parse(face, others, [float(share.mean()) for share in shares]))
    if not faces:
        return here.frame, _nobody(), Restored(_no_canvas(), None)
    known = [parse for parse in parses if parse is not None]
    restored = Restored(np.stack(pixels), np.stack(known) if known else None, np.stack(shown))
    return here.frame, _own(faces), restored


def _apart(one: _Shown, other: _Shown) -> int:
    return abs(one.frame.pts - other.frame.pts)


def _parse(face: _Face, others: Sequence[_Face], shares: Sequence[float]) -> Float32 | None:
    """(8, 32, 32): the mean of the parses, so that the mask is at rest, too."""
    if face.restored.parse is None:
        return None
    total = face.restored.parse[face.row].copy()
    for other, share in zip(others, shares, strict=True):
        assert other.restored.parse is not None
        total += np.float32(share) * other.restored.parse[other.row]
    return np.asarray(total / np.float32(1 + sum(shares)), np.float32)


def _own(faces: Sequence[tuple[int, _Face]]) -> Crops:
    """The Crops of one frame's faces; what is beside them is not needed any more."""
    weights = [
        1.0 if face.crops.weights is None else face.crops.weights[face.row] for _, face in faces
    ]
    return Crops(
        np.stack([face.crops.pixels[face.row] for _, face in faces]),
        np.stack([face.crops.to_frame[face.row] for _, face in faces]),
        np.zeros(len(faces), np.intp),
        np.array([track for track, _ in faces], np.intp),
        None,
        np.array(weights, np.float32),
    )


def _nobody() -> Crops:
    nowhere = np.zeros(0, np.intp)
    return Crops(_no_canvas(), np.zeros((0, 2, 3)), nowhere, nowhere)


def _no_canvas() -> Float32:
    return np.zeros((0, CANVAS, CANVAS, 3), np.float32)
