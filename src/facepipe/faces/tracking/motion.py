"""The knots of one face: what was seen of it at looks, carried along how the picture moved.

Landmarks tremble, the picture's own motion hardly does. So each look is carried back along that
motion to where the face was first seen; there it rests, but for the tremble and what really
changes, and is smoothed; then it is carried forth to every frame through which the face was
followed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from facepipe.datatypes import Float64
from facepipe.faces.canvas import after, inverse
from facepipe.faces.tracking.smooth import smoothed

#: One face about a look: (pts, (2, 3) from the look's frame to that one), by rising pts.
Way = Sequence[tuple[int, Float64]]

#: How far a knot must lie from the line between others to be kept, share of the face's size: on the
#: canvas 0.03 px.
TOLERANCE = 0.0004


@dataclass(frozen=True, eq=False)
class Knots:
    """`pts` (K,) rising, `boxes` (K, 4), `landmarks` (K, 5, 2) and `scores` (K,) of one face."""

    pts: NDArray[np.int64]
    boxes: Float64
    landmarks: Float64
    scores: Float64


def carried(seen: Knots, ways: Sequence[Way], base: float) -> Knots:
    """The steady knots of a face that was `seen` at looks, and went `ways[k]` about look k.

    A way that does not reach the next look is one on which the face was lost: what comes after is
    smoothed by itself. A face that was lost on most of its ways is smoothed as it moves, from look
    to look. One that was followed to before its first look or beyond its last is there, too. `base`
    is seconds a tick of pts. A knot between looks has the score of the look that it was followed
    from. Knots that say what a line between their neighbours says are left out.
    """
    steps = [
        next((moved for at, moved in way if at == following), None)
        for way, following in zip(ways, seen.pts[1:].tolist(), strict=False)
    ]
    followed = sum(step is not None for step in steps) > len(steps) / 2
    if not followed:
        ways, steps = [()] * len(seen.pts), [None] * len(steps)
    # From where the face was first seen to each look; where it was lost, as if it had rested.
    forth = [np.eye(2, 3)]
    for step in steps:
        forth.append(forth[-1] if step is None else after(step, forth[-1]))
    resting = _placed(seen, [inverse(one) for one in forth])
    lost = [look + 1 for look, step in enumerate(steps) if step is None and followed]
    seconds = (seen.pts - seen.pts[0]).astype(np.float64) * base
    boxes, landmarks = np.empty_like(resting.boxes), np.empty_like(resting.landmarks)
    for start, stop in pairwise([0, *lost, len(seen.pts)]):
        run = slice(start, stop)
        boxes[run], landmarks[run] = smoothed(
            seconds[run],
            resting.boxes[run],
            resting.landmarks[run],
            seen.scores[run],
            followed=followed,
        )
    rows = _rows(seen.pts.tolist(), ways, steps)
    look = np.array([row.look for row in rows])
    shares = np.array([row.share for row in rows])
    following = np.minimum(look + 1, len(seen.pts) - 1)
    between = Knots(
        np.array([row.pts for row in rows], np.int64),
        _mixed(boxes, look, following, shares),
        _mixed(landmarks, look, following, shares),
        seen.scores[look],
    )
    maps = [after(row.moved, forth[row.look]) for row in rows]
    return _thinned(_placed(between, maps))


class _Row(NamedTuple):
    """A frame in which a face is known: from which look, and how far on the way to the next."""

    pts: int
    look: int
    share: float
    moved: Float64


def _rows(looks: Sequence[int], ways: Sequence[Way], steps: Sequence[Float64 | None]) -> list[_Row]:
    """Every frame in which the face was seen or followed, by rising pts, each once.

    Back from a look counts only where no way led to it, and only to where the one before ended.
    """
    rows: list[_Row] = []
    for look, at in enumerate(looks):
        reached = rows[-1].pts if rows else None
        if look == 0 or steps[look - 1] is None:
            back = [(pts, moved) for pts, moved in ways[look] if pts < at]
            rows += [_Row(p, look, 0.0, m) for p, m in back if reached is None or p > reached]
        rows.append(_Row(at, look, 0.0, np.eye(2, 3)))
        on = [(pts, moved) for pts, moved in ways[look] if pts > at]
        if look + 1 < len(looks):
            step = looks[look + 1] - at
            on = [(pts, moved) for pts, moved in on if pts < at + step]
            whole = 0.0 if steps[look] is None else 1 / step
            rows += [_Row(pts, look, (pts - at) * whole, moved) for pts, moved in on]
        else:
            rows += [_Row(pts, look, 0.0, moved) for pts, moved in on]
    # Damaged films have frames of equal pts, and so have ways.
    return list({row.pts: row for row in rows}.values())


def _mixed(
    values: Float64, one: NDArray[np.intp], other: NDArray[np.intp], share: Float64
) -> Float64:
    share = share.reshape(-1, *(1,) * (values.ndim - 1))
    return np.asarray((1 - share) * values[one] + share * values[other])


def moved_box(box: Float64, moved: Float64) -> Float64:
    """(4,) an upright box of the same shape where (2, 3) `moved` takes it."""
    middle = moved[:, :2] @ ((box[:2] + box[2:]) / 2) + moved[:, 2]
    half = (box[2:] - box[:2]) / 2 * np.hypot(moved[0, 0], moved[1, 0])
    return np.concatenate((middle - half, middle + half))


def _placed(knots: Knots, maps: Sequence[Float64]) -> Knots:
    """Each knot where its map takes it."""
    boxes = [moved_box(box, one) for box, one in zip(knots.boxes, maps, strict=True)]
    points = [
        points @ one[:, :2].T + one[:, 2] for points, one in zip(knots.landmarks, maps, strict=True)
    ]
    return Knots(knots.pts, np.stack(boxes), np.stack(points), knots.scores)


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
    return Knots(knots.pts[which], knots.boxes[which], knots.landmarks[which], knots.scores[which])
