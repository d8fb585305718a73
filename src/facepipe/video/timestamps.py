"""Work out decoding times and durations of packets whose pts are known."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from statistics import median_low
from typing import TypeVar

import av
from av.packet import Packet
from av.stream import Stream

StreamT = TypeVar("StreamT", bound=Stream)

#: Frames per second of a bare stream whose header gives no rate.
USUAL_RATE = Fraction(25)
#: Rates that videos have; where times are rounded to ticks, the first one that they fit is meant.
_RATES = (
    *(Fraction(rate) for rate in (25, 30, 50, 60, 24, 15, 12, 10, 20, 48, 100, 120)),
    *(Fraction(rate * 1000, 1001) for rate in (30, 60, 24, 15, 120, 48)),
)
#: Ticks no longer than this were not rounded to, where so many frames lie equally far apart.
_FINE_TICK, _ENOUGH = Fraction(1, 10000), 8
#: Share of the frames that may be missing at a constant rate.
_MOST_MISSING = Fraction(1, 10)
#: How many times longer than usual a frame is that is taken for a pause.
_PAUSE = 25


def with_times(packets: Iterator[Packet[StreamT]]) -> Iterator[Packet[StreamT]]:
    """The packets of a bare stream from its beginning: each begins where the one before it ends.

    In decoding order. The stream's header says how long a frame is shown; `rate_of` otherwise.
    """
    time = 0
    for packet in packets:
        if packet.size:
            packet.pts = packet.dts = time
            time += packet.duration or _frame_duration(packet.stream)
        yield packet


def _frame_duration(stream: Stream) -> int:
    """How long a frame of a bare stream is shown, in its time base."""
    assert stream.time_base is not None
    return max(round(1 / (rate_of(stream) * stream.time_base)), 1)


def rate_of(stream: Stream) -> Fraction:
    """Frames per second of a bare stream, by its header; USUAL_RATE where that says nothing."""
    rate = stream.guessed_rate if isinstance(stream, av.VideoStream) else None
    return Fraction(rate) if rate else USUAL_RATE


def constant_rate(pts: Sequence[int], time_base: Fraction) -> tuple[Fraction, bool] | None:
    """Frames per second of frames at a constant rate, and whether no frame of it is missing.

    `pts` are sorted, and may be rounded to ticks, up or down. None: the rate varies, more than a
    tenth of the frames are missing, or there are fewer than two.
    """
    steps = [after - time for time, after in pairwise(pts)]
    count = _frame_count(steps)
    if count is None:
        return None
    usual = median_low(steps)
    mean = count / ((pts[-1] - pts[0]) * time_base)
    is_exact = time_base <= _FINE_TICK and len(steps) >= _ENOUGH and set(steps) == {usual}
    rates = (mean,) if is_exact else (*_RATES, mean.limit_denominator(1001), mean)
    fitting = (rate for rate in rates if _last_number(pts, rate * time_base) == count)
    rate = next(fitting, None)
    return None if rate is None else (rate, count == len(steps))


def _frame_count(steps: Sequence[int]) -> int | None:
    """How many frames follow the first, with those that are missing; None: too many are."""
    usual = median_low(steps) if steps else 0
    if usual <= 0 or max(steps) > usual * len(steps):
        return None
    count = sum(round(step / usual) for step in steps)
    return count if count - len(steps) <= len(steps) * _MOST_MISSING else None


def _last_number(pts: Sequence[int], rate: Fraction) -> int | None:
    """The last frame's number at a rate, of frames per tick; None where a frame is a tick off."""
    above, below = rate.numerator, rate.denominator
    last = -1
    for time in pts:
        scaled = (time - pts[0]) * above
        number = (2 * scaled + below) // (2 * below)
        if number <= last or abs(scaled - number * below) >= above:
            return None
        last = number
    return last


def decode_times(pts: Sequence[int], keyframes: Collection[int] = ()) -> list[int]:
    """One dts for each packet, given pts in decoding order: rising, and never above its pts.

    Frames that are shown in another order are decoded ahead of the first pts: at least as far as
    any of the `keyframes`, which are pts, is decoded ahead of its own, but for a pause. Edit lists
    of MP4 tell the first lead alone, and players that seek by decoding times take it for that of
    every keyframe.
    """
    if not pts:
        return []
    shown = sorted(pts)
    delay = max(at + 1 - bisect_right(shown, time) for at, time in enumerate(pts))
    step = _step(shown)
    lead = [shown[0] - back * step for back in range(delay, 0, -1)]
    times = _rising(lead + shown[: len(shown) - delay])
    paused = {after for time, after in pairwise(shown) if after - time > _PAUSE * step}
    leading = set(keyframes) - paused
    leads = (time - early for time, early in zip(pts, times, strict=True) if time in leading)
    needed = max(leads, default=0)
    if delay and needed > pts[0] - times[0]:
        _lead_by(needed, delay, pts, times)
    return times


def _rising(times: list[int]) -> list[int]:
    """Times moved ahead where they are equal, as equal pts would make equal dts."""
    for at in range(len(times) - 2, -1, -1):
        times[at] = min(times[at], times[at + 1] - 1)
    return times


def _lead_by(needed: int, delay: int, pts: Sequence[int], times: list[int]) -> None:
    """Move the first `delay` decoding times ahead, so that the first frame leads by `needed`."""
    begin = pts[0] - needed
    longer = (times[delay] if delay < len(times) else min(pts)) - begin
    times[:delay] = [begin + longer * at // delay for at in range(delay)]
    # FFmpeg's muxer of mp4 takes the least lead of packets that are decoded before zero.
    for at in range(delay - 1, 0, -1):
        times[at] = max(min(times[at], pts[at] - needed, times[at + 1] - 1), begin + at)


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
