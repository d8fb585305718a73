"""Linking of detections to tracks: each face through the whole video, accepted or refused.

Works on all detections of the video at once, sorted by pts, so the result does not depend on how
it was cut into spans or in which order they came back.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import compress
from operator import not_

import numpy as np
from numpy.typing import NDArray

from facepipe.configs.settings import DetectSettings, LinkSettings
from facepipe.datatypes import (
    CANVAS_FACE,
    Faces,
    Float32,
    Float64,
    FrameDetections,
    SpanFaces,
    Track,
    VideoInfo,
)
from facepipe.faces.detection.appearance import appearance_distances
from facepipe.faces.tracking.acceptance import Observations, refusal
from facepipe.faces.tracking.motion import Knots, MotionPath, motion_compensated, moved_box
from facepipe.models.detectors.boxes import iou

WEAK = 0.2  # a detection so far below the asked score may still continue a track
# Distance between where a face is expected and detected, in face sizes: at once, per second, at
# most.
REACH, SPEED, FARTHEST = 0.5, 5.0, 2.5
GROWTH = 0.45  # logarithm of the ratio of the expected and the detected size, at most
SHAPE_DISTANCE = 0.35  # mean distance of two landmark shapes, in face sizes, at most
# Appearance distance, code values, that costs 1: one face hardly differs so much, two often do. It
# costs MOST_APPEARANCE_COST at most, as light may change. APPEARANCE_UPDATE is the weight of each
# detection in the running mean of a tracklet's descriptor.
APPEARANCE_DISTANCE, MOST_APPEARANCE_COST, APPEARANCE_UPDATE = 20.0, 1.5, 0.3
IMPOSSIBLE = 1e6  # the cost of an assignment that is refused


@dataclass(eq=False)
class _Tracklet:
    """A face being followed: its detections so far, and its motion about each of them."""

    shot: int
    pts: list[int] = field(default_factory=list)
    observations: Observations = field(default_factory=Observations)
    motion_paths: list[MotionPath] = field(default_factory=list)
    appearance: Float32 | None = None  # (P,) running mean of its appearance descriptors

    def add(self, detections: FrameDetections, number: int) -> None:
        """Append face `number` of a detection frame, and its motion about that frame."""
        measurements = detections.measurements.take(np.array([number]))
        self.pts.append(detections.pts)
        self.observations.boxes.append(detections.faces.boxes[number])
        self.observations.landmarks.append(detections.faces.landmarks[number])
        self.observations.scores.append(float(detections.faces.scores[number]))
        self.observations.measurements.append(measurements)
        path = [(motion.pts, motion.maps[number]) for motion in detections.motion]
        self.motion_paths.append([(pts, one) for pts, one in path if np.isfinite(one).all()])
        if measurements.appearance is not None:
            seen = measurements.appearance[0]
            before = seen if self.appearance is None else self.appearance
            self.appearance = np.asarray(before + APPEARANCE_UPDATE * (seen - before), np.float32)

    def expected(self, pts: int) -> Float32:
        """(4,) the box predicted at `pts`: as it was followed, else by its last motion, damped."""
        box = self.observations.boxes[-1]
        for at, moved in self.motion_paths[-1]:
            if at == pts:
                return np.asarray(moved_box(box.astype(np.float64), moved), np.float32)
        if len(self.pts) < 2:
            return box
        step = self.pts[-1] - self.pts[-2]
        ahead = min((pts - self.pts[-1]) / step, 2.0)
        moved = (box - self.observations.boxes[-2]).reshape(2, 2).mean(0) * np.float32(ahead)
        return np.asarray(box + np.tile(moved, 2), np.float32)


def link(
    spans: Sequence[SpanFaces],
    *,
    detect: DetectSettings,
    settings: LinkSettings,
    info: VideoInfo,
    largest: float = CANVAS_FACE,
) -> tuple[Track, ...]:
    """Link the detections of all spans to tracks, by first pts; refused ones have a reason.

    A face that is not detected for up to `gap_seconds`, or in one detection frame, is still the
    same. Refusals are those of `acceptance`, which also says what `largest` is.
    """
    cuts = sorted({cut for span in spans for cut in span.cuts})
    frames = _detection_frames(spans)
    time_base = float(info.time_base)
    times = np.array([frame.pts for frame in frames], np.float64) * time_base
    step = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
    # One detection frame may miss a face whatever the gap allowed: hence two steps and a little.
    patience = max(settings.gap_seconds, 2.1 * step)
    tracklets = _follow(frames, cuts, detect.score - WEAK, patience, time_base)
    pts_of_shot: dict[int, list[int]] = {}
    for frame in frames:
        pts_of_shot.setdefault(bisect_right(cuts, frame.pts), []).append(frame.pts)
    tracks: list[Track] = []
    for number, tracklet in enumerate(sorted(tracklets, key=_order), 1):
        track = _track(number, tracklet, time_base)
        there = pts_of_shot[tracklet.shot]
        reason = refusal(
            track,
            tracklet.observations,
            there,
            time_base,
            detect=detect,
            link=settings,
            largest=largest,
        )
        tracks.append(replace(track, enhance=reason is None, reason=reason))
    return tuple(tracks)


def _detection_frames(spans: Iterable[SpanFaces]) -> list[FrameDetections]:
    """One for each pts, by rising pts: where two spans have the same frame, its owner's."""
    chosen: dict[int, tuple[bool, FrameDetections]] = {}
    for span in sorted(spans, key=lambda span: (span.span.start, span.span.stop)):
        for detections in span.detections:
            owned = span.span.start <= detections.pts < span.span.stop
            if detections.pts not in chosen or (owned and not chosen[detections.pts][0]):
                chosen[detections.pts] = (owned, detections)
    return [chosen[pts][1] for pts in sorted(chosen)]


def _follow(
    frames: Sequence[FrameDetections],
    cuts: Sequence[int],
    floor: float,
    patience: float,
    time_base: float,
) -> list[_Tracklet]:
    """Assign each frame's faces to the open tracklets, or open new ones; never over a cut."""
    done: list[_Tracklet] = []
    live: list[_Tracklet] = []
    for frame in frames:
        shot = bisect_right(cuts, frame.pts)
        stays = [t.shot == shot and (frame.pts - t.pts[-1]) * time_base <= patience for t in live]
        done += compress(live, map(not_, stays))
        live = list(compress(live, stays))
        likely = np.nonzero(frame.faces.scores >= floor)[0]
        free = set(likely.tolist())
        if live and free:
            for one, other in _assigned(live, frame, likely, time_base):
                live[one].add(frame, other)
                free.discard(other)
        for number in sorted(free):
            tracklet = _Tracklet(shot)
            tracklet.add(frame, number)
            live.append(tracklet)
    return done + live


def _assigned(
    live: Sequence[_Tracklet],
    frame: FrameDetections,
    likely: NDArray[np.intp],
    time_base: float,
) -> list[tuple[int, int]]:
    """The assignment of least cost: pairs of a tracklet and one of the frame's `likely` faces."""
    faces = frame.faces.take(likely)
    cost = np.array([_costs(tracklet, frame.pts, faces, time_base) for tracklet in live])
    appearance = frame.measurements.appearance
    if appearance is not None:
        cost += np.array([_appearance_costs(tracklet, appearance[likely]) for tracklet in live])
    return [(one, int(likely[other])) for one, other in least_cost(cost)]


def least_cost(cost: Float64) -> list[tuple[int, int]]:
    """The assignment of least cost (N, M): pairs of a row and a column, by rising row.

    Where no two that have several possible partners are partners of each other, as most often, it
    is those pairs that are the best for both.
    """
    possible = cost < IMPOSSIBLE
    several = np.logical_and.outer(possible.sum(1) > 1, possible.sum(0) > 1)
    if not (possible & several).any():
        rows, columns = np.arange(len(cost)), cost.argmin(1)
        mutual = cost.argmin(0)[columns] == rows
        rows, columns = rows[mutual], columns[mutual]
    else:
        # SciPy's optimization takes a sixth of a second to import: few short videos need it.
        from scipy.optimize import linear_sum_assignment

        rows, columns = linear_sum_assignment(cost)
    pairs = zip(rows.tolist(), columns.tolist(), strict=True)
    return [(row, column) for row, column in pairs if possible[row, column]]


def _costs(tracklet: _Tracklet, pts: int, faces: Faces, time_base: float) -> Float64:
    """(N,) cost of each face as the tracklet's next detection; IMPOSSIBLE where it is another."""
    box = tracklet.expected(pts).astype(np.float64)
    boxes = faces.boxes.astype(np.float64)
    sides, own = boxes[:, 2:] - boxes[:, :2], box[2:] - box[:2]
    size = np.sqrt(np.maximum(sides.prod(1), 1e-6))
    before = float(np.sqrt(max(own.prod(), 1e-6)))
    between = np.sqrt(size * before)
    offset = (boxes[:, :2] + boxes[:, 2:] - box[:2] - box[2:]) / 2
    distance = np.hypot(offset[:, 0], offset[:, 1]) / between
    growth = np.abs(np.log(size / before))
    shape = np.linalg.norm(
        _shape(faces.landmarks) - _shape(tracklet.observations.landmarks[-1][None]), axis=2
    ).mean(1)
    share = iou(box[None].astype(np.float32), faces.boxes)[0]
    reach = min(REACH + SPEED * (pts - tracklet.pts[-1]) * time_base, FARTHEST)
    cost = distance / 2 + (1 - share) + growth + shape
    possible = (distance <= reach) & (growth <= GROWTH) & (shape <= SHAPE_DISTANCE)
    return np.where(possible, cost, IMPOSSIBLE)


def _appearance_costs(tracklet: _Tracklet, appearance: Float32) -> Float64:
    """(N,) the part of each face's cost that its appearance (N, P) adds."""
    if tracklet.appearance is None:
        return np.zeros(len(appearance))
    distances = appearance_distances(tracklet.appearance, appearance).astype(np.float64)
    return np.minimum(distances / APPEARANCE_DISTANCE, MOST_APPEARANCE_COST)


def _shape(landmarks: Float32) -> Float64:
    """(N, 5, 2) landmarks about their centre, in face sizes: some 3.5 times their spread."""
    middle = landmarks.astype(np.float64) - landmarks.mean(1, keepdims=True)
    size = 3.5 * np.sqrt((middle**2).sum(2).mean(1))
    return np.asarray(middle / np.maximum(size, 1e-6)[:, None, None], np.float64)


def _order(tracklet: _Tracklet) -> tuple[float, ...]:
    return tracklet.pts[0], *map(float, tracklet.observations.boxes[0]), tracklet.pts[-1]


def _track(number: int, tracklet: _Tracklet, time_base: float) -> Track:
    """The tracklet smoothed, not accepted or refused yet."""
    seen = Knots(
        pts=np.array(tracklet.pts, np.int64),
        boxes=np.array(tracklet.observations.boxes, np.float64),
        landmarks=np.array(tracklet.observations.landmarks, np.float64),
        scores=np.array(tracklet.observations.scores),
    )
    knots = motion_compensated(seen, tracklet.motion_paths, time_base)
    return Track(
        number=number,
        pts=knots.pts,
        boxes=knots.boxes.astype(np.float32),
        landmarks=knots.landmarks.astype(np.float32),
        scores=knots.scores.astype(np.float32),
    )
