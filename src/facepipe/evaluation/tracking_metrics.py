"""How well faces were found and followed, against where they truly were."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d
from scipy.optimize import linear_sum_assignment

from facepipe.datatypes import Faces, Track
from facepipe.evaluation.synthetic_crowd import Shown
from facepipe.faces.canvas import TEMPLATE, canvas_to_frame
from facepipe.models.detectors.boxes import iou, sizes

#: Edges of the ranges of size by which recall is told, px of the film.
EDGES = (8.0, 12.0, 24.0, 48.0)
#: IoU at which a box finds a face, and from which one that finds none is excused by a face that is
#: hidden or taken already.
_FOUND, _EXCUSED = 0.5, 0.2
#: By how much IoU the track that had a face is preferred for it.
_LOYAL = 0.3


@dataclass(frozen=True, eq=False)
class Looked:
    """What was found in a frame: the faces (N), and the track of each (N,) where there are any."""

    faces: Faces
    tracks: NDArray[np.intp] | None = None

    @staticmethod
    def of(tracks: Sequence[Track], pts: int) -> Looked:
        """What the tracks that are enhanced show at `pts`."""
        there = [track for track in tracks if track.enhance and track.covers(pts)]
        faces = Faces(
            boxes=np.array([track.box_at(pts) for track in there], np.float32).reshape(-1, 4),
            scores=np.ones(len(there), np.float32),
            landmarks=np.array([track.landmarks_at(pts) for track in there], np.float32).reshape(
                -1, 5, 2
            ),
        )
        return Looked(faces, np.array([track.number for track in there], np.intp))


@dataclass(frozen=True)
class Following:
    """The figures of one way to find and follow faces.

    `recall` has a share for each range of EDGES, None where no face was of that size. `false` is
    how many faces that are none are seen at a time, in the mean. `breaks` counts how often a face
    that is to be seen is lost, `switches` how often it goes on under another number, None where
    nothing is followed. `jitter` is the alignment's tremble and `offset` its slow error, both
    canvas px RMS, None where no face was seen for half a second.
    """

    recall: tuple[float | None, ...]
    false: float
    breaks: int
    switches: int | None
    jitter: float | None
    offset: float | None


@dataclass(frozen=True, eq=False)
class _Match:
    frame: int
    who: int
    size: float
    track: int | None = None
    error: NDArray[np.float64] | None = None  # (5, 2) as `misplaced`; None where it was not found


def measure_following(found: Sequence[Looked], shown: Sequence[Shown], rate: float) -> Following:
    """Compare what was found in each frame with what it shows; `rate` in frames a second."""
    matches: list[_Match] = []
    false = 0
    last: dict[int, int] = {}
    for number, (looked, truth) in enumerate(zip(found, shown, strict=True)):
        pairs, wrong = _pairs(looked, truth, last)
        false += wrong
        for place in np.nonzero(truth.visible)[0]:
            who, hit = int(truth.who[place]), pairs.get(int(place))
            size = float(sizes(truth.boxes[place][None])[0])
            if hit is None:
                matches.append(_Match(number, who, size))
                continue
            if looked.tracks is not None:
                last[who] = int(looked.tracks[hit])
            error = misplaced(looked.faces.landmarks[hit], truth.to_frame[place])
            matches.append(_Match(number, who, size, last.get(who), error))
    breaks, switches = _interruptions(matches)
    jitter, offset = _tremble(matches, rate)
    return Following(_recall(matches), false / max(len(found), 1), breaks, switches, jitter, offset)


def misplaced(landmarks: NDArray[np.float32], to_frame: NDArray[np.float64]) -> NDArray[np.float64]:
    """(5, 2) by how many canvas px the template's points lie off on a canvas of `landmarks`."""
    placed = canvas_to_frame(landmarks)
    points = TEMPLATE @ placed[:, :2].T + placed[:, 2]
    return np.asarray((points - to_frame[:, 2]) @ np.linalg.inv(to_frame[:, :2]).T - TEMPLATE)


def _pairs(looked: Looked, truth: Shown, last: dict[int, int]) -> tuple[dict[int, int], int]:
    """The found face of each visible one, and how many found ones are no face at all."""
    if not len(looked.faces):
        return {}, 0
    shares = iou(truth.boxes, looked.faces.boxes)
    loyal = np.zeros(shares.shape)
    if looked.tracks is not None:
        had = np.array([last.get(int(who), -1) for who in truth.who])
        loyal = np.where(had[:, None] == looked.tracks, _LOYAL, 0)
    worth = np.where(shares >= _FOUND, shares + loyal, 0) * truth.visible[:, None]
    rows, columns = linear_sum_assignment(-worth)
    pairs = {
        int(row): int(column)
        for row, column in zip(rows, columns, strict=True)
        if worth[row, column] > 0
    }
    free = np.setdiff1d(np.arange(len(looked.faces)), list(pairs.values()))
    return pairs, int((shares[:, free].max(0) < _EXCUSED).sum())


def _recall(matches: Sequence[_Match]) -> tuple[float | None, ...]:
    size = np.array([match.size for match in matches])
    hit = np.array([match.error is not None for match in matches])
    shares: list[float | None] = []
    for low, high in zip(EDGES, (*EDGES[1:], np.inf), strict=True):
        within = (size >= low) & (size < high)
        shares.append(float(hit[within].mean()) if within.any() else None)
    return tuple(shares)


def _interruptions(matches: Sequence[_Match]) -> tuple[int, int | None]:
    breaks = switches = 0
    for who in {match.who for match in matches}:
        before: _Match | None = None
        known: int | None = None
        for match in (match for match in matches if match.who == who):
            if before is not None and before.frame == match.frame - 1:
                breaks += before.error is not None and match.error is None
            if match.track is not None:
                switches += known is not None and match.track != known
                known = match.track
            before = match
    follows = any(match.track is not None for match in matches)
    return breaks, switches if follows else None


def _tremble(matches: Sequence[_Match], rate: float) -> tuple[float | None, float | None]:
    """RMS of the error less its mean over half a second, and of that mean."""
    wide = max(int(rate / 2) | 1, 3)
    quick, slow = [np.zeros((0, 5, 2))], [np.zeros((0, 5, 2))]
    for run in _runs(matches):
        if len(run) >= wide:
            errors = np.stack(run)
            mean = uniform_filter1d(errors, wide, axis=0, mode="nearest")
            quick.append(errors - mean)
            slow.append(mean)
    if len(quick) == 1:
        return None, None
    return _rms(np.concatenate(quick)), _rms(np.concatenate(slow))


def _runs(matches: Sequence[_Match]) -> list[list[NDArray[np.float64]]]:
    """The errors of each face in frames that follow each other."""
    runs: list[list[NDArray[np.float64]]] = []
    ends: dict[int, int] = {}
    at: dict[int, int] = {}
    for match in matches:
        if match.error is None:
            continue
        if ends.get(match.who) != match.frame - 1:
            at[match.who] = len(runs)
            runs.append([])
        runs[at[match.who]].append(match.error)
        ends[match.who] = match.frame
    return runs


def _rms(errors: NDArray[np.float64]) -> float:
    return float(np.sqrt((errors**2).sum(2).mean()))
