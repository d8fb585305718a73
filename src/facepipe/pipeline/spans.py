"""Split a video into spans: to search for faces, and to render or copy."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from facepipe.datatypes import Span, VideoInfo
from facepipe.video.shape import joints as form_joints

#: Shortest time between two anchors, in a short video and in a long one.
ANCHOR_SECONDS, LONG_ANCHOR_SECONDS = 1.0, 4.0
#: Spans of a video, at least, where its keyframes allow: so that cores share the work evenly. It
#: depends on the video, not on the cores: every machine gives the same result.
MIN_SPANS = 8
#: Length of a short video's spans, at least: each costs a keyframe.
MIN_SPAN_SECONDS = 1.5
#: Length of what is copied between two rendered spans, at least: each join costs a keyframe.
MIN_COPIED_SECONDS = 1.0
#: Keyframes further apart than this have places between them where spans may begin too: so many at
#: most, and so far apart at least. A span that begins there is decoded from the keyframe on.
LONG_GROUP_SECONDS, MAX_PIECES, MIN_PIECE_SECONDS = 30.0, 8, 10.0
#: Pixels that may be decoded for nothing before a span: a minute or two, of a worker's five.
MAX_SKIPPED_PIXELS = 6e9


def anchors(info: VideoInfo) -> tuple[int, ...]:
    """The pts of keyframes where the search begins anew: there the whole frame is searched.

    Where keyframes are far apart, frames between them serve too. Anchors lie a second apart, in a
    long video four. They depend on the source alone, and spans begin at anchors only: so which
    frames are searched does not depend on the spans.
    """
    if not info.pts:
        return ()
    share = info.seconds / (4 * MIN_SPANS)
    min_gap = min(max(share, ANCHOR_SECONDS), LONG_ANCHOR_SECONDS) / float(info.time_base)
    chosen, changes = [info.pts[0]], set(form_joints(info))
    for pts in _possible_starts(info):
        if pts - chosen[-1] >= min_gap or (pts in changes and pts > chosen[-1]):
            chosen.append(pts)
    return tuple(chosen)


def _possible_starts(info: VideoInfo) -> Iterator[int]:
    """The pts of keyframes, and of frames between those that are far apart."""
    base = float(info.time_base)
    most = MAX_SKIPPED_PIXELS / max(info.width * info.height, 1)
    first = [info.pts[0]] if info.keyframe_pts[:1] != info.pts[:1] else []
    for begin, end in pairwise([*first, *info.keyframe_pts, info.pts[-1] + 1]):
        yield begin
        seconds = (end - begin) * base
        if seconds <= LONG_GROUP_SECONDS:
            continue
        pieces = min(MAX_PIECES, int(seconds / MIN_PIECE_SECONDS))
        keyframe = bisect_left(info.pts, begin)
        for number in range(1, pieces):
            at = bisect_left(info.pts, begin + (end - begin) * number / pieces)
            if at - keyframe <= most and begin < info.pts[at] < end:
                yield info.pts[at]


def longest_seconds(info: VideoInfo, spans: Sequence[Span]) -> float:
    """How long the longest of some spans is, in seconds."""
    return max((float((s.stop - s.start) * info.time_base) for s in spans), default=0.0)


def plan_spans(
    info: VideoInfo, *, span_seconds: float, window: tuple[int, int] | None = None
) -> tuple[Span, ...]:
    """Split the video into half-open spans of about `span_seconds` or one group of pictures.

    Another one begins where frames of another form do. Those of a video too short for MIN_SPANS of
    that length are shorter.
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
    starts = _starts(info, inside[0], inside[-1], min_length)
    stops = [*starts[1:], inside[-1] + 1]
    return tuple(Span(k, a, b) for k, (a, b) in enumerate(zip(starts, stops, strict=True)))


def _starts(info: VideoInfo, first: int, last: int, min_length: float) -> list[int]:
    """Where spans begin, from the frame of pts `first` to that of `last`."""
    starts = [first]
    changes = set(form_joints(info))
    for pts in anchors(info):
        is_due = pts - starts[-1] >= min_length or (pts in changes and pts > starts[-1])
        if is_due and pts <= last:
            starts.append(pts)
    return starts


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
    untouched = _untouched(info, start, stop, changed)
    runs = [run for run in untouched if run[1] - run[0] >= min_length or run == (start, stop)]
    joints = sorted({edge for run in runs for edge in run})
    copied = frozenset(runs)
    kept = (
        span.start
        for span in spans
        if _is_far_from(joints, span.start, min_length) and not _is_within(span.start, runs)
    )
    edges = sorted({start, stop, *joints, *kept, *_changes(info, start, stop, runs)})
    return tuple(Span(k, a, b, copied=(a, b) in copied) for k, (a, b) in enumerate(pairwise(edges)))


def _changes(
    info: VideoInfo, start: int, stop: int, runs: Sequence[tuple[int, int]]
) -> Iterator[int]:
    """The pts between start and stop, and out of all `runs`, where the form changes."""
    for pts in form_joints(info):
        if start < pts < stop and not _is_within(pts, runs):
            yield pts


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
