"""Work out decoding times and durations of packets whose pts are known."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise
from statistics import median_low


def decode_times(pts: Sequence[int], earliest: int | None = None) -> list[int]:
    """One dts for each packet, given pts in decoding order: rising, and never above its pts.

    Frames that are shown in another order are decoded ahead of the first pts. Where that would be
    before `earliest`, the first ones follow each other faster.
    """
    if not pts:
        return []
    shown = sorted(pts)
    delay = max(at + 1 - bisect_right(shown, time) for at, time in enumerate(pts))
    step = _step(shown)
    lead = [shown[0] - back * step for back in range(delay, 0, -1)]
    times = lead + shown[: len(shown) - delay]
    for at in range(len(times) - 2, -1, -1):  # equal pts would make equal dts
        times[at] = min(times[at], times[at + 1] - 1)
    return times if earliest is None or times[0] >= earliest else _squeezed(times, pts, earliest)


def _squeezed(times: list[int], pts: Sequence[int], earliest: int) -> list[int]:
    """The same, but none before `earliest`, if there are ticks enough up to the first pts."""
    count = bisect_right(times, earliest)
    while count < len(times) and times[count] - earliest < count:
        count += 1
    end = times[count] if count < len(times) else earliest + count
    step = max((end - earliest) / count, 1)
    times = [round(end - step * (count - at)) for at in range(count)] + times[count:]
    for at in range(len(times) - 1, -1, -1):
        after = times[at + 1] - 1 if at + 1 < len(times) else pts[at]
        times[at] = min(times[at], pts[at], after)
    return times


def durations(pts: Sequence[int], last: int) -> dict[int, int]:
    """How long each frame is shown, by its pts: up to the next one, and `last` for the last."""
    shown = sorted(set(pts))
    result = {time: after - time for time, after in pairwise(shown)}
    if shown:
        result[shown[-1]] = max(last, 1)
    return result


def with_missing(known: Sequence[int], missing: int, duration: int) -> list[int]:
    """Sorted pts with `missing` more: in the gaps between the known ones, then after them.

    `duration` is how long a frame is shown, 0 where that is not known.
    """
    step = duration or max((known[-1] - known[0]) // (len(known) + missing - 1), 1)
    found = list(known)
    for time, after in pairwise(known):
        count = min(max(round((after - time) / step) - 1, 0), missing)
        found += [time + round((after - time) * n / (count + 1)) for n in range(1, count + 1)]
        missing -= count
    found += [known[-1] + step * n for n in range(1, missing + 1)]
    return sorted(found)


def usual_duration(pts: Sequence[int]) -> int:
    """The median distance between frames, 1 for a single one."""
    return _step(sorted(pts))


def _step(shown: Sequence[int]) -> int:
    steps = [after - time for time, after in pairwise(shown) if after > time]
    return median_low(steps) if steps else 1
