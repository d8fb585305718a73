"""Keyframes of encoded stretches: never rarer than in the source, or as often as is asked for.

Players seek to keyframes, and packagers cut at them. Encoders place some more themselves, at cuts.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterator
from dataclasses import replace

from av.codec import Codec

from facepipe.datatypes import Span, VideoInfo
from facepipe.video.timestamps import usual_duration

#: Seconds between keyframes where the source's tell nothing: each of its frames is one.
USUAL_SECONDS = 2.0
#: Codecs whose frames refer to others, of those that are written unasked.
_GROUPING = ("h264", "hevc", "av1", "vp9")
#: Seconds before the end of a video within which a transport stream has a keyframe: players seek
#: to a byte there, and find none after it otherwise.
LAST_SECONDS = 1.0


def planned_keyframes(info: VideoInfo, span: Span, codec: str, seconds: float | None) -> set[int]:
    """The pts of a span's frames that are to be keyframes, written in `codec`.

    `seconds` is the longest time between two of them, to the next frame; None: where the source
    has them. Of a source that has nothing but keyframes, in a codec that knows no others or is not
    the one written, every USUAL_SECONDS.
    """
    frames = info.pts[bisect_left(info.pts, span.start) : bisect_left(info.pts, span.stop)]
    if seconds is None and _tells_groups(info, codec):
        own = info.keyframe_pts
        first, stop = bisect_left(own, span.start), bisect_left(own, span.stop)
        return {*frames[:1], *own[first:stop]}
    return set(_every(info, frames, USUAL_SECONDS if seconds is None else seconds))


def keyframes_note(info: VideoInfo, codec: str, seconds: float | None) -> str | None:
    """A sentence where the source has more keyframes than it gets in another codec."""
    alone = len(info.keyframe_pts) == len(info.pts) > 1
    if not alone or seconds is not None or _tells_groups(info, codec):
        return None
    if Codec(info.codec, "r").intra_only or codec not in _GROUPING:
        return None
    return (
        f"each frame of the source is a keyframe; in {codec} there is one every {USUAL_SECONDS:g} "
        "s (--keyframes 0 makes each frame one)"
    )


def late_keyframe(info: VideoInfo, stop: int) -> tuple[int, ...]:
    """The pts of a frame for a keyframe in the last second before pts `stop`, as a tuple.

    It is empty where the source has a keyframe there, or the video is no longer.
    """
    last = info.pts[bisect_left(info.pts, stop) - 1]
    earliest = last - LAST_SECONDS / float(info.time_base)
    keyframe = bisect_left(info.keyframe_pts, earliest)
    if info.keyframe_pts[keyframe : keyframe + 1] and info.keyframe_pts[keyframe] < stop:
        return ()
    at = bisect_left(info.pts, earliest)
    return (info.pts[at],) if at else ()


def with_groups_within(info: VideoInfo, seconds: float) -> VideoInfo:
    """The video with those groups of pictures to be copied that are no longer than `seconds`."""
    longest = seconds / float(info.time_base) + usual_duration(info.pts) / 2
    kept = tuple((a, b) for a, b in info.closed_gops if b - a <= longest)
    return replace(info, closed_gops=kept)


def longest_distance(info: VideoInfo, keyframes: Collection[int], span: Span) -> int:
    """The most frames from one of the planned keyframes of a span to the next, or to its end."""
    inside = sorted(pts for pts in keyframes if span.start <= pts < span.stop)
    at = [bisect_left(info.pts, pts) for pts in inside]
    ends = [*at[1:], bisect_left(info.pts, span.stop)]
    return max((end - begin for begin, end in zip(at, ends, strict=True)), default=1)


def _tells_groups(info: VideoInfo, codec: str) -> bool:
    """Whether the source's keyframes say where such are wanted in `codec`."""
    if Codec(info.codec, "r").intra_only:
        return False
    return codec == info.codec or len(info.keyframe_pts) < len(info.pts)


def _every(info: VideoInfo, frames: tuple[int, ...], seconds: float) -> Iterator[int]:
    """The first frame, and those that come so long after the last one chosen, to the nearest."""
    distance = seconds / float(info.time_base) - usual_duration(frames) / 2
    due: float | None = None
    for pts in frames:
        if due is None or pts >= due:
            yield pts
            due = pts + distance
