"""Cut the film into spans: to be searched, and to be rendered or copied."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import pairwise

from facepipe.datatypes import Span, VideoInfo

#: Shortest time between two anchors, of a short film and of a long one. At each the whole picture
#: is searched.
ANCHOR_SECONDS, FAR_SECONDS = 1.0, 4.0
#: A film is cut into so many spans at least where its keyframes allow, for cores to share evenly.
#: A number of the film, not of the cores: the same film comes out of every machine.
FEWEST_SPANS = 8
#: Spans of short films stay so long, for each begins with a keyframe.
LEAST_SECONDS = 1.5
#: Shortest time that is copied between two rendered spans: each join costs a keyframe.
COPIED_SECONDS = 1.0


def anchors(info: VideoInfo) -> tuple[int, ...]:
    """Keyframes at which the search for faces starts anew, a second apart, four in a long film.

    They depend on the source alone, and spans are cut only at anchors: so which frames are
    searched does not depend on how the film is cut.
    """
    if not info.pts:
        return ()
    share = info.seconds / (4 * FEWEST_SPANS)
    apart = min(max(share, ANCHOR_SECONDS), FAR_SECONDS) / float(info.time_base)
    chosen = [info.pts[0]]
    for pts in info.keyframe_pts:
        if pts - chosen[-1] >= apart:
            chosen.append(pts)
    return tuple(chosen)


def plan(
    info: VideoInfo, *, span_seconds: float, window: tuple[int, int] | None = None
) -> tuple[Span, ...]:
    """Half-open spans that cover the film, each about `span_seconds` long or one group of pictures.

    Those of a film too short for FEWEST_SPANS of that length are shorter.
    With `window` (start, stop) in pts, only what lies inside is covered; the first span then begins
    at the first frame inside, which need not be a keyframe.
    """
    if not info.pts:
        return ()
    start, stop = window or (info.pts[0], info.pts[-1] + 1)
    inside = [pts for pts in info.pts if start <= pts < stop]
    if not inside:
        return ()
    base = float(info.time_base)
    share = (inside[-1] - inside[0]) * base / FEWEST_SPANS
    wanted = min(span_seconds, max(share, LEAST_SECONDS)) / base
    starts = [inside[0]]
    for pts in anchors(info):
        if pts - starts[-1] >= wanted and pts <= inside[-1]:
            starts.append(pts)
    stops = [*starts[1:], inside[-1] + 1]
    return tuple(Span(k, a, b) for k, (a, b) in enumerate(zip(starts, stops, strict=True)))


def with_copies(
    info: VideoInfo, spans: Sequence[Span], changed: Iterable[tuple[int, int]]
) -> tuple[Span, ...]:
    """The same stretch of film cut anew: what holds nothing `changed` is to be copied.

    `changed` are inclusive pts ranges. Copied are whole closed groups of pictures, a second at
    least between two rendered spans; which they are depends on the film and on what changes in it,
    not on how `spans` were cut.
    """
    start, stop = spans[0].start, spans[-1].stop
    least = COPIED_SECONDS / float(info.time_base)
    runs = [
        (a, b)
        for a, b in _untouched(info, start, stop, changed)
        if b - a >= least or (a, b) == (start, stop)
    ]
    joints = sorted({edge for run in runs for edge in run})
    copied = frozenset(runs)
    kept = (
        span.start
        for span in spans
        if _lies_apart(span.start, joints, least) and not _within(span.start, runs)
    )
    edges = sorted({start, stop, *joints, *kept})
    return tuple(Span(k, a, b, copied=(a, b) in copied) for k, (a, b) in enumerate(pairwise(edges)))


def _lies_apart(time: int, joints: Sequence[int], least: float) -> bool:
    """Whether `time` is `least` away from every joint, so that no span becomes tiny."""
    at = bisect_left(joints, time)
    return all(abs(joint - time) >= least for joint in joints[max(at - 1, 0) : at + 1])


def _within(time: int, runs: Sequence[tuple[int, int]]) -> bool:
    at = bisect_left(runs, (time, time)) - 1
    return at >= 0 and time < runs[at][1]


def _untouched(
    info: VideoInfo, start: int, stop: int, changed: Iterable[tuple[int, int]]
) -> list[tuple[int, int]]:
    """Runs of closed groups within start .. stop in which nothing changes."""
    busy: list[tuple[int, int]] = []
    for first, last in sorted(changed):
        if busy and first <= busy[-1][1]:
            busy[-1] = busy[-1][0], max(busy[-1][1], last)
        else:
            busy.append((first, last))
    ends = [last for _, last in busy]
    runs: list[tuple[int, int]] = []
    for a, b in info.closed_gops:
        at = bisect_left(ends, a)
        if a < start or b > stop or (at < len(busy) and busy[at][0] < b):
            continue
        if runs and runs[-1][1] == a:
            runs[-1] = runs[-1][0], b
        else:
            runs.append((a, b))
    return runs
