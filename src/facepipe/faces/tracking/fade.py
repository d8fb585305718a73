"""Fading of tracks that begin or end within a shot."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import replace

from facepipe.datatypes import Track, VideoInfo

#: Seconds over which a face fades in or out, at most a third of its track.
FADE_SECONDS = 0.16


def faded(
    tracks: Sequence[Track], cuts: Sequence[int], info: VideoInfo, start: int, stop: int
) -> tuple[Track, ...]:
    """Set the time in which each track is shown at full opacity (`Track.full`).

    A track that begins with its shot, or with the video (start <= pts < `stop`), does not fade in;
    one that ends with them does not fade out. `cuts` are the sorted pts of each shot's first frame.
    """
    fade = round(FADE_SECONDS / info.time_base)
    return tuple(_faded(track, cuts, info, start, stop, fade) for track in tracks)


def _faded(
    track: Track, cuts: Sequence[int], info: VideoInfo, start: int, stop: int, fade: int
) -> Track:
    shot = bisect_right(cuts, track.first)
    begins = max(cuts[shot - 1] if shot else start, start)
    ends = min(cuts[shot] if shot < len(cuts) else stop, stop)
    before = bisect_left(info.pts, track.first) - bisect_left(info.pts, begins)
    after = bisect_left(info.pts, ends) - bisect_right(info.pts, track.last)
    fade = min(fade, (track.last - track.first) // 3)
    full = (
        track.first + (fade if before > 0 else 0),
        track.last - (fade if after > 0 else 0),
    )
    return replace(track, full=full)
