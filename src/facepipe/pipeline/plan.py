"""Cut the film into spans, and say where the search for faces starts anew."""

from __future__ import annotations

from facepipe.frames import Span, VideoInfo

#: Shortest time between two anchors. Streams of keyframes alone would else be searched in full.
ANCHOR_SECONDS = 1.0


def anchors(info: VideoInfo) -> tuple[int, ...]:
    """Keyframes at which the search for faces starts anew, at least a second apart.

    They depend on the source alone, and spans are cut only at anchors: so which frames are
    searched does not depend on how the film is cut.
    """
    if not info.pts:
        return ()
    apart = ANCHOR_SECONDS / float(info.time_base)
    chosen = [info.pts[0]]
    for pts in info.keyframe_pts:
        if pts - chosen[-1] >= apart:
            chosen.append(pts)
    return tuple(chosen)


def plan(
    info: VideoInfo, *, span_seconds: float, window: tuple[int, int] | None = None
) -> tuple[Span, ...]:
    """Half-open spans that cover the film, each about `span_seconds` long or one group of pictures.

    With `window` (start, stop) in pts, only what lies inside is covered; the first span then begins
    at the first frame inside, which need not be a keyframe.
    """
    if not info.pts:
        return ()
    start, stop = window or (info.pts[0], info.pts[-1] + 1)
    inside = [pts for pts in info.pts if start <= pts < stop]
    if not inside:
        return ()
    wanted = span_seconds / float(info.time_base)
    starts = [inside[0]]
    for pts in anchors(info):
        if pts - starts[-1] >= wanted and pts <= inside[-1]:
            starts.append(pts)
    stops = [*starts[1:], inside[-1] + 1]
    return tuple(Span(k, a, b) for k, (a, b) in enumerate(zip(starts, stops, strict=True)))
