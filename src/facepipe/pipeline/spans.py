"""Split a video into spans: to search for faces, and to render or copy."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import pairwise

from facepipe.datatypes import Span, VideoInfo

#: Shortest time between two anchors, in a short video and in a long one.
ANCHOR_SECONDS, LONG_ANCHOR_SECONDS = 1.0, 4.0
#: Spans of a video, at least, where its keyframes allow: so that cores share the work evenly. It
#: depends on the video, not on the cores: every machine gives the same result.
MIN_SPANS = 8
#: Length of a short video's spans, at least: each costs a keyframe.
MIN_SPAN_SECONDS = 1.5
#: Length of what is copied between two rendered spans, at least: each join costs a keyframe.
MIN_COPIED_SECONDS = 1.0


def anchors(info: VideoInfo) -> tuple[int, ...]:
    """The pts of keyframes where the search begins anew: there the whole frame is searched.

    They lie a second apart, in a long video four. They depend on the source alone, and spans begin
    at anchors only: so which frames are searched does not depend on the spans.
    """
    if not info.pts:
        return ()
    share = info.seconds / (4 * MIN_SPANS)
    min_gap = min(max(share, ANCHOR_SECONDS), LONG_ANCHOR_SECONDS) / float(info.time_base)
    chosen = [info.pts[0]]
    for pts in info.keyframe_pts:
        if pts - chosen[-1] >= min_gap:
            chosen.append(pts)
    return tuple(chosen)


def plan_spans(
    info: VideoInfo, *, span_seconds: float, window: tuple[int, int] | None = None
) -> tuple[Span, ...]:
    """Split the video into half-open spans of about `span_seconds` or one group of pictures.

    Those of a video too short for MIN_SPANS of that length are shorter.
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
    share = (inside[-1] - inside[0]) * base / MIN_SPANS
    min_length = min(span_seconds, max(share, MIN_SPAN_SECONDS)) / base
    starts = [inside[0]]
    for pts in anchors(info):
        if pts - starts[-1] >= min_length and pts <= inside[-1]:
            starts.append(pts)
    stops = [*starts[1:], inside[-1] + 1]
    return tuple(Span(k, a, b) for k, (a, b) in enumerate(zip(starts, stops, strict=True)))


def with_copies(
    info: VideoInfo, spans: Sequence[Span], changed: Iterable[tuple[int, int]]
) -> tuple[Span, ...]:
    """The same part of the video split anew: what holds nothing `changed` is to be copied.

    `changed` are inclusive pts ranges. Copied are whole closed groups of pictures, between two
    rendered spans MIN_COPIED_SECONDS at least. They depend on the video and on what changes in it,
    not on how `spans` were cut.
    """
    start, stop = spans[0].start, spans[-1].stop
    min_length = MIN_COPIED_SECONDS / float(info.time_base)
    runs = [
        (a, b)
        for a, b in _untouched(info, start, stop, changed)
        if b - a >= min_length or (a, b) == (start, stop)
    ]
    joints = sorted({edge for run in runs for edge in run})
    copied = frozenset(runs)
    kept = (
        span.start
        for span in spans
        if _is_far_from(joints, span.start, min_length) and not _is_within(span.start, runs)
    )
    edges = sorted({start, stop, *joints, *kept})
    return tuple(Span(k, a, b, copied=(a, b) in copied) for k, (a, b) in enumerate(pairwise(edges)))


def _is_far_from(joints: Sequence[int], time: int, min_gap: float) -> bool:
    """Whether `time` is `min_gap` away from every joint, so that no span becomes tiny."""
    at = bisect_left(joints, time)
    return all(abs(joint - time) >= min_gap for joint in joints[max(at - 1, 0) : at + 1])


def _is_within(time: int, runs: Sequence[tuple[int, int]]) -> bool:
    at = bisect_left(runs, (time, time)) - 1
    return at >= 0 and time < runs[at][1]


def _untouched(
    info: VideoInfo, start: int, stop: int, changed: Iterable[tuple[int, int]]
) -> list[tuple[int, int]]:
    """Runs of closed groups within start .. stop in which nothing changes."""
    busy = _joined(sorted(changed))
    ends = [last for _, last in busy]
    groups: list[tuple[int, int]] = []
    for a, b in info.closed_gops:
        at = bisect_left(ends, a)
        changes = at < len(busy) and busy[at][0] < b
        if start <= a and b <= stop and not changes:
            groups.append((a, b))
    return _joined(groups)


def _joined(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Ranges by rising start, where those that meet or overlap are one."""
    joined: list[tuple[int, int]] = []
    for first, last in ranges:
        if joined and first <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(joined[-1][1], last)
        else:
            joined.append((first, last))
    return joined
