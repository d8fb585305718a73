"""Detection and tracking metrics against ground truth: recall, identity switches, jitter."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d
from scipy.optimize import linear_sum_assignment

from facepipe.datatypes import Faces, Track
from facepipe.evaluation.synthetic_crowd import GroundTruth
from facepipe.faces.canvas import TEMPLATE, canvas_to_frame
from facepipe.models.detectors.boxes import iou, sizes

#: Edges of the size ranges in which recall is reported, video px.
SIZE_EDGES = (8.0, 12.0, 24.0, 48.0)
#: IoU at which a box matches a face; and IoU from which an unmatched box is no false positive,
#: since it overlaps a face that is occluded or matched already.
_MATCH_IOU, _EXCUSED_IOU = 0.5, 0.2
#: IoU added for the track that a face was last matched to.
_SAME_TRACK_BONUS = 0.3


@dataclass(frozen=True, eq=False)
class FramePrediction:
    """Predictions of a frame: faces (N), and their track numbers (N,), None without tracking."""

    faces: Faces
    tracks: NDArray[np.intp] | None = None

    @staticmethod
    def of(tracks: Sequence[Track], pts: int) -> FramePrediction:
        """The predictions of all enhanced tracks at `pts`."""
        there = [track for track in tracks if track.enhance and track.covers(pts)]
        landmarks = np.array([track.landmarks_at(pts) for track in there], np.float32)
        faces = Faces(
            boxes=np.array([track.box_at(pts) for track in there], np.float32).reshape(-1, 4),
            scores=np.ones(len(there), np.float32),
            landmarks=landmarks.reshape(-1, 5, 2),
        )
        return FramePrediction(faces, np.array([track.number for track in there], np.intp))


@dataclass(frozen=True)
class TrackingMetrics:
    """Metrics of one way to detect and track faces.

    `recall` is the share of visible faces that were matched, for each range of SIZE_EDGES; None
    where no face was of that size. `false_positives` is their mean number in a frame.
    `fragmentations` counts how often a visible face is lost from one frame to the next, and
    `identity_switches` how often its track number changes, as in MOTA; None without tracking.
    `jitter` and `offset` are the alignment error less its moving mean over half a second, and that
    mean, in canvas px RMS; None where no face was matched for half a second.
    """

    recall: tuple[float | None, ...]
    false_positives: float
    fragmentations: int
    identity_switches: int | None
    jitter: float | None
    offset: float | None


@dataclass(frozen=True, eq=False)
class _Match:
    frame: int
    identity: int
    size: float
    track: int | None = None
    error: NDArray[np.float64] | None = None  # (5, 2) of alignment_error; None where unmatched


def measure_tracking(
    predictions: Sequence[FramePrediction], truths: Sequence[GroundTruth], rate: float
) -> TrackingMetrics:
    """Compare the predictions of each frame with its ground truth; `rate` in frames a second."""
    matches: list[_Match] = []
    false_positives = 0
    last_track: dict[int, int] = {}
    for number, (predicted, truth) in enumerate(zip(predictions, truths, strict=True)):
        pairs, false_count = _match(predicted, truth, last_track)
        false_positives += false_count
        for place in np.nonzero(truth.visible)[0]:
            identity, found = int(truth.identities[place]), pairs.get(int(place))
            size = float(sizes(truth.boxes[place][None])[0])
            if found is None:
                matches.append(_Match(number, identity, size))
                continue
            if predicted.tracks is not None:
                last_track[identity] = int(predicted.tracks[found])
            error = alignment_error(predicted.faces.landmarks[found], truth.to_frame[place])
            matches.append(_Match(number, identity, size, last_track.get(identity), error))
    fragmentations, identity_switches = _count_interruptions(matches)
    jitter, offset = _jitter_and_offset(matches, rate)
    return TrackingMetrics(
        _recall(matches),
        false_positives / max(len(predictions), 1),
        fragmentations,
        identity_switches,
        jitter,
        offset,
    )


def alignment_error(
    landmarks: NDArray[np.float32], to_frame: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Error (5, 2) of an alignment by `landmarks`, canvas px: of each of the template's points."""
    placed = canvas_to_frame(landmarks)
    points = TEMPLATE @ placed[:, :2].T + placed[:, 2]
    return np.asarray((points - to_frame[:, 2]) @ np.linalg.inv(to_frame[:, :2]).T - TEMPLATE)


def _match(
    predicted: FramePrediction, truth: GroundTruth, last_track: dict[int, int]
) -> tuple[dict[int, int], int]:
    """Match visible faces to predictions by the Hungarian method; also counts false positives."""
    if not len(predicted.faces):
        return {}, 0
    ious = iou(truth.boxes, predicted.faces.boxes)
    bonus = np.zeros(ious.shape)
    if predicted.tracks is not None:
        had = np.array([last_track.get(int(identity), -1) for identity in truth.identities])
        bonus = np.where(had[:, None] == predicted.tracks, _SAME_TRACK_BONUS, 0)
    score = np.where(ious >= _MATCH_IOU, ious + bonus, 0) * truth.visible[:, None]
    rows, columns = linear_sum_assignment(-score)
    pairs = {
        int(row): int(column)
        for row, column in zip(rows, columns, strict=True)
        if score[row, column] > 0
    }
    free = np.setdiff1d(np.arange(len(predicted.faces)), list(pairs.values()))
    return pairs, int((ious[:, free].max(0) < _EXCUSED_IOU).sum())


def _recall(matches: Sequence[_Match]) -> tuple[float | None, ...]:
    size = np.array([match.size for match in matches])
    found = np.array([match.error is not None for match in matches])
    shares: list[float | None] = []
    for low, high in zip(SIZE_EDGES, (*SIZE_EDGES[1:], np.inf), strict=True):
        within = (size >= low) & (size < high)
        shares.append(float(found[within].mean()) if within.any() else None)
    return tuple(shares)


def _count_interruptions(matches: Sequence[_Match]) -> tuple[int, int | None]:
    """Fragmentations and identity switches; the latter are None without tracking."""
    by_identity: dict[int, list[_Match]] = defaultdict(list)
    for match in matches:
        by_identity[match.identity].append(match)
    fragmentations = sum(map(_fragmentations, by_identity.values()))
    if all(match.track is None for match in matches):
        return fragmentations, None
    return fragmentations, sum(map(_identity_switches, by_identity.values()))


def _fragmentations(own: Sequence[_Match]) -> int:
    """How often one face, whose matches are given by frame, is lost in the next frame."""
    return sum(
        before.error is not None and after.error is None
        for before, after in pairwise(own)
        if before.frame == after.frame - 1
    )


def _identity_switches(own: Sequence[_Match]) -> int:
    """How often the track of one face, whose matches are given by frame, changes."""
    tracks = [match.track for match in own if match.track is not None]
    return sum(before != after for before, after in pairwise(tracks))


def _jitter_and_offset(matches: Sequence[_Match], rate: float) -> tuple[float | None, float | None]:
    """RMS of the error less its moving mean over half a second, and RMS of that mean."""
    window = max(int(rate / 2) | 1, 3)
    high_pass, low_pass = [np.zeros((0, 5, 2))], [np.zeros((0, 5, 2))]
    for run in _runs(matches):
        if len(run) >= window:
            errors = np.stack(run)
            mean = uniform_filter1d(errors, window, axis=0, mode="nearest")
            high_pass.append(errors - mean)
            low_pass.append(mean)
    if len(high_pass) == 1:
        return None, None
    return _rms(np.concatenate(high_pass)), _rms(np.concatenate(low_pass))


def _runs(matches: Sequence[_Match]) -> list[list[NDArray[np.float64]]]:
    """The errors of each face, in runs of consecutive frames."""
    runs: list[list[NDArray[np.float64]]] = []
    ends: dict[int, int] = {}
    run_of: dict[int, int] = {}
    for match in matches:
        if match.error is None:
            continue
        if ends.get(match.identity) != match.frame - 1:
            run_of[match.identity] = len(runs)
            runs.append([])
        runs[run_of[match.identity]].append(match.error)
        ends[match.identity] = match.frame
    return runs


def _rms(errors: NDArray[np.float64]) -> float:
    return float(np.sqrt((errors**2).sum(2).mean()))
