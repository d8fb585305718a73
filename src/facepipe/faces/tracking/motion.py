"""Motion-compensated smoothing: the knots of a face, from its detections and its motion.

Landmarks tremble, the motion of the pixels hardly does. So each detection is brought back along the
motion to where the face was first detected. There it rests, but for the tremble and what really
changes, and is smoothed. Then it is brought forth to every frame through which it was followed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from itertools import pairwise
from typing import Annotated, NamedTuple

import numpy as np
from numpy.typing import NDArray

from facepipe.datatypes import ArrayRecord, Float64
from facepipe.faces.canvas import compose, invert
from facepipe.faces.tracking.smooth import smoothed

#: The motion of one face about its detection frame, by rising pts: (pts, (2, 3) to that frame).
MotionPath = Sequence[tuple[int, Float64]]

#: Distance from the line between other knots from which a knot is kept, share of the face's size;
#: 0.03 px on the canvas.
TOLERANCE = 0.0004


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Knots(ArrayRecord):
    """One face at K rising pts: boxes and landmarks in frame pixels, scores."""

    pts: Annotated[NDArray[np.int64], "K"]
    boxes: Annotated[Float64, "K 4"]
    landmarks: Annotated[Float64, "K 5 2"]
    scores: Annotated[Float64, "K"]


def motion_compensated(seen: Knots, paths: Sequence[MotionPath], time_base: float) -> Knots:
    """Smooth a face's detections `seen` along its motion `paths`, one about each of them.

    A path that does not reach the next detection frame is one on which the face was lost: what
    comes after is smoothed by itself. A face that was lost on most of its paths is smoothed from
    detection to detection, without motion compensation. Frames before the first detection and
    after the last one through which it was followed count, too. A knot between detections has the
    score of the one that it was followed from. Knots on the line between their neighbours are left
    out. `time_base` is seconds a tick of pts.
    """
    following = zip(paths, seen.pts[1:].tolist(), strict=False)
    steps = [_motion_at(path, pts) for path, pts in following]
    followed = sum(step is not None for step in steps) > len(steps) / 2
    if not followed:
        paths, steps = [()] * len(seen.pts), [None] * len(steps)
    forth = _forth(steps)
    resting = _placed(seen, [invert(one) for one in forth])
    lost = [number + 1 for number, step in enumerate(steps) if step is None and followed]
    boxes, landmarks = _smoothed_runs(resting, lost, time_base, followed=followed)
    rows = _rows(seen.pts.tolist(), paths, steps)
    between = _between(rows, replace(seen, boxes=boxes, landmarks=landmarks))
    maps = [compose(row.moved, forth[row.number]) for row in rows]
    return _thinned(_placed(between, maps))


def _motion_at(path: MotionPath, pts: int) -> Float64 | None:
    """(2, 3) the motion to the frame of `pts`; None: the path does not reach it."""
    return next((moved for at, moved in path if at == pts), None)


def _forth(steps: Sequence[Float64 | None]) -> list[Float64]:
    """From the first detection frame to each; where the face was lost, as if it had rested."""
    forth: list[Float64] = [np.eye(2, 3)]
    for step in steps:
        forth.append(forth[-1] if step is None else compose(step, forth[-1]))
    return forth


def _smoothed_runs(
    resting: Knots, lost: Sequence[int], time_base: float, *, followed: bool
) -> tuple[Float64, Float64]:
    """Boxes and landmarks, smoothed in runs that begin anew at the numbers `lost`."""
    seconds = (resting.pts - resting.pts[0]).astype(np.float64) * time_base
    boxes, landmarks = np.empty_like(resting.boxes), np.empty_like(resting.landmarks)
    for start, stop in pairwise([0, *lost, len(seconds)]):
        run = slice(start, stop)
        boxes[run], landmarks[run] = smoothed(
            seconds[run],
            resting.boxes[run],
            resting.landmarks[run],
            resting.scores[run],
            followed=followed,
        )
    return boxes, landmarks


class _Row(NamedTuple):
    """One frame of a track: its detection, and its position between that and the next."""

    pts: int
    number: int  # of the detection
    share: float
    moved: Float64


def _rows(
    detected: Sequence[int], paths: Sequence[MotionPath], steps: Sequence[Float64 | None]
) -> list[_Row]:
    """Every frame in which the face was detected or followed, by rising pts, each once.

    Motion back from a detection counts only where no path led to it, and only to where the path
    before ended.
    """
    rows: list[_Row] = []
    reached = -math.inf
    ends = [*detected[1:], math.inf]
    spans = zip(detected, ends, [None, *steps], [*steps, None], strict=True)
    for number, (at, end, before, after) in enumerate(spans):
        if before is None:
            back = ((pts, moved) for pts, moved in paths[number] if reached < pts < at)
            rows += [_Row(pts, number, 0.0, moved) for pts, moved in back]
        rows.append(_Row(at, number, 0.0, np.eye(2, 3)))
        # Where it was lost before the next detection, it stays with this one.
        whole = 0.0 if after is None else 1 / (end - at)
        rows += [
            _Row(pts, number, (pts - at) * whole, moved)
            for pts, moved in paths[number]
            if at < pts < end
        ]
        reached = rows[-1].pts
    # Damaged videos have frames of equal pts, and so have motion paths.
    return list({row.pts: row for row in rows}.values())


def _between(rows: Sequence[_Row], detected: Knots) -> Knots:
    """The knot of each row, between its detection and the next."""
    number = np.array([row.number for row in rows])
    shares = np.array([row.share for row in rows])
    following = np.minimum(number + 1, len(detected.pts) - 1)
    return Knots(
        pts=np.array([row.pts for row in rows], np.int64),
        boxes=_mixed(detected.boxes, number, following, shares),
        landmarks=_mixed(detected.landmarks, number, following, shares),
        scores=detected.scores[number],
    )


def _mixed(
    values: Float64, one: NDArray[np.intp], other: NDArray[np.intp], share: Float64
) -> Float64:
    share = share.reshape(-1, *(1,) * (values.ndim - 1))
    return np.asarray((1 - share) * values[one] + share * values[other])


def moved_box(box: Float64, moved: Float64) -> Float64:
    """(4,) the box where (2, 3) `moved` takes its centre, scaled, upright, of the same shape."""
    middle = moved[:, :2] @ ((box[:2] + box[2:]) / 2) + moved[:, 2]
    half = (box[2:] - box[:2]) / 2 * np.hypot(moved[0, 0], moved[1, 0])
    return np.concatenate((middle - half, middle + half))


def _placed(knots: Knots, maps: Sequence[Float64]) -> Knots:
    """Each knot transformed by its (2, 3) map."""
    boxes = [moved_box(box, one) for box, one in zip(knots.boxes, maps, strict=True)]
    points = [
        points @ one[:, :2].T + one[:, 2] for points, one in zip(knots.landmarks, maps, strict=True)
    ]
    return replace(knots, boxes=np.stack(boxes), landmarks=np.stack(points))


def _thinned(knots: Knots) -> Knots:
    """Without the knots that lie on the line between their neighbours (Ramer, Douglas, Peucker)."""
    if len(knots.pts) < 3:
        return knots
    sides = knots.boxes[:, 2:] - knots.boxes[:, :2]
    size = max(float(np.median(np.sqrt(np.maximum(sides.prod(1), 0)))), 1.0)
    values = np.concatenate((knots.boxes, knots.landmarks.reshape(-1, 10)), 1) / size
    times = knots.pts.astype(np.float64)
    kept = {0, len(times) - 1}
    open_runs = [(0, len(times) - 1)]
    while open_runs:
        first, last = open_runs.pop()
        if last - first < 2:
            continue
        share = (times[first + 1 : last] - times[first]) / (times[last] - times[first])
        line = values[first] + share[:, None] * (values[last] - values[first])
        off = np.abs(values[first + 1 : last] - line).max(1)
        farthest = int(np.argmax(off))
        if off[farthest] > TOLERANCE:
            middle = first + 1 + farthest
            kept.add(middle)
            open_runs += [(first, middle), (middle, last)]
    which = np.array(sorted(kept))
    return Knots(**{field.name: getattr(knots, field.name)[which] for field in fields(knots)})
