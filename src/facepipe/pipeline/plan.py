"""Cut the film into spans, and say where the search for faces starts anew."""

from __future__ import annotations

from facepipe.frames import Span, VideoInfo

#: Shortest time between two anchors. Streams of keyframes alone would else be searched in full.
ANCHOR_SECONDS = 1.0
#: A film is cut into so many spans at least where its keyframes allow, for cores to share evenly.
#: A number of the film, not of the cores: the same film comes out of every machine.
FEWEST_SPANS = 8
#: Spans of short films stay so long, for each begins with a keyframe.
LEAST_SECONDS = 1.5


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
