"""Numbers of the drawn charts: the timeline of tracks, and small curves over time.

Templates write them as inline SVG, which follows the page's colours and is read aloud. A plotting
library would bring tens of megabytes, fixed colours and text as outlines for two simple drawings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

#: Width of the timeline in units of its drawing, and the height of all its lanes together.
WIDTH, LANES_HEIGHT = 1000.0, 320.0
_LANE = (3.0, 14.0)  # least and most height of a lane
_STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200)
_MOST_TICKS = 10
#: Points of a small curve, and its size.
CURVE_POINTS, CURVE = 48, (120.0, 32.0)


@dataclass(frozen=True)
class Stretch:
    """A stretch of time in seconds, and what is to be said of it."""

    begin: float
    end: float
    text: str = ""
    marked: bool = False


@dataclass(frozen=True)
class Bar:
    """A stretch as it is drawn, in units of the drawing."""

    x: float
    y: float
    width: float
    height: float
    text: str
    marked: bool


@dataclass(frozen=True)
class Timeline:
    """A drawn timeline: bars in lanes, places of ticks and cuts, and its height."""

    height: float
    bars: tuple[Bar, ...]
    ticks: tuple[tuple[float, float], ...]  # x, seconds
    cuts: tuple[float, ...]
    damage: tuple[Bar, ...]
    copied: tuple[Bar, ...]


def timeline(
    seconds: float,
    tracks: Sequence[Stretch],
    *,
    cuts: Sequence[float] = (),
    damage: Sequence[Stretch] = (),
    copied: Sequence[Stretch] = (),
) -> Timeline:
    """Lay out a video of so many seconds: each track in the first lane that is free."""
    seconds = max(seconds, 1e-3)
    lanes = _lanes(tracks, seconds / 200)
    count = max(lanes, default=0) + 1
    step = min(max(LANES_HEIGHT / count, _LANE[0]), _LANE[1])
    bars = [
        _bar(track, seconds, y=lane * step, height=step * 0.75)
        for track, lane in zip(tracks, lanes, strict=True)
    ]
    height = count * step
    return Timeline(
        height=round(height, 1),
        bars=tuple(bars),
        ticks=tuple((_x(at, seconds), at) for at in ticks(seconds)),
        cuts=tuple(sorted({_x(at, seconds) for at in cuts})),
        damage=tuple(_bar(one, seconds, y=0, height=height) for one in damage),
        copied=tuple(_bar(one, seconds, y=height + 4, height=6) for one in copied),
    )


def _x(seconds: float, whole: float) -> float:
    return round(min(max(seconds / whole, 0.0), 1.0) * WIDTH, 1)


def _bar(stretch: Stretch, whole: float, *, y: float, height: float) -> Bar:
    x = _x(stretch.begin, whole)
    width = max(round(_x(stretch.end, whole) - x, 1), 2.0)
    return Bar(x, round(y, 1), width, round(height, 1), stretch.text, stretch.marked)


def _lanes(stretches: Sequence[Stretch], gap: float) -> list[int]:
    """For each stretch the first lane that is free from its begin on."""
    free: list[float] = []
    lanes = [0] * len(stretches)
    for number in sorted(range(len(stretches)), key=lambda k: stretches[k].begin):
        one = stretches[number]
        lane = next((k for k, end in enumerate(free) if end <= one.begin), len(free))
        free[lane : lane + 1] = [one.end + gap]
        lanes[number] = lane
    return lanes


def ticks(seconds: float) -> list[float]:
    """Round times from 0 to `seconds`, ten at most."""
    step = next((one for one in _STEPS if seconds / one <= _MOST_TICKS), None)
    if step is None:
        step = 3600 * (int(seconds / 3600 / _MOST_TICKS) + 1)
    return [number * step for number in range(int(seconds / step) + 1)]


@dataclass(frozen=True)
class Curve:
    """A value over time: the points of its line in a box of CURVE, its range and what it is."""

    name: str
    points: str
    least: str
    most: str


def curve(
    name: str,
    values: Sequence[tuple[float, float]],
    form: str,
    bounds: tuple[float, float] | None = None,
) -> Curve | None:
    """Draw (seconds, value) pairs, thinned; None for fewer than two. `form` writes a value.

    `bounds` are the values at the bottom and the top, None: the least and the most.
    """
    known = [(at, value) for at, value in values if isfinite(value)]
    if len(known) < 2:
        return None
    known = known[:: -(-len(known) // CURVE_POINTS)] + known[-1:]
    least, most = min(v for _, v in known), max(v for _, v in known)
    low, high = bounds or (least, most)
    begin, length = known[0][0], max(known[-1][0] - known[0][0], 1e-9)
    width, height = CURVE
    points = " ".join(
        f"{(at - begin) / length * width:.1f},"
        f"{height - 2 - (value - low) / max(high - low, 1e-9) * (height - 4):.1f}"
        for at, value in known
    )
    return Curve(name, points, form.format(least), form.format(most))
