"""Choice of what to show: the tracks that tell most of a video, and when each is seen best.

Sheets, reports, galleries and comparisons all show what this module chooses.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from typing import Literal

import numpy as np

from facepipe.datatypes import Float64, Track
from facepipe.faces.canvas import frontality
from facepipe.presentation.refusals import explain

Why = Literal["largest", "smallest", "doubtful", "typical", "refused"]

#: A time at which another face is shown already is taken where a track is seen nearly as well.
_GOOD_ENOUGH = 0.85
#: Times of one track, at most, where there are more places than tracks.
_MOST_TIMES = 3


@dataclass(frozen=True)
class Moment:
    """A face at one time: the track, the pts of a frame that shows it, and why it is shown."""

    track: Track
    pts: int
    why: Why

    @property
    def size(self) -> float:
        """The square root of the box's area at that time, px of the frame."""
        box = self.track.box_at(self.pts)
        return float(np.sqrt(max((box[2] - box[0]) * (box[3] - box[1]), 0)))


def telling_moments(
    tracks: Sequence[Track], frames: Sequence[int], most: int
) -> tuple[Moment, ...]:
    """Choose the `most` moments that tell most: of enhanced faces first, then of refused ones.

    In turn the largest, the smallest and the most doubtful of the enhanced tracks, and one refused
    for each kind of reason. Where there are more places than tracks, tracks are shown at several
    times. `frames` are the sorted pts of the video's frames; a track between two of them is left
    out. Order: by the track's number, then by time.
    """
    seen = [track for track in tracks if _frames_of(track, frames)]
    chosen = telling_tracks(seen, most)
    times = max(1, min(_MOST_TIMES, most // max(len(chosen), 1)))
    shown: set[int] = set()
    moments: list[Moment] = []
    for track, why in chosen:
        found = best_times(track, frames, times if track.enhance else 1, shown=shown)
        shown.update(found)
        moments += [Moment(track, pts, why) for pts in found]
    return tuple(sorted(moments, key=lambda m: (not m.track.enhance, m.track.number, m.pts)))


def telling_tracks(tracks: Sequence[Track], most: int) -> tuple[tuple[Track, Why], ...]:
    """Choose the `most` tracks that tell most, each with why; see `telling_moments`."""
    enhanced = [track for track in tracks if track.enhance]
    by_size = sorted(enhanced, key=lambda track: (-track.size, track.number))
    by_score = sorted(enhanced, key=lambda track: (_mean_score(track), track.number))
    queues: tuple[Iterable[tuple[Track, Why]], ...] = (
        ((track, "largest") for track in by_size[:1]),
        _first_as("smallest", by_size[::-1]),
        _first_as("doubtful", by_score),
        ((track, "refused") for track in _one_of_each_kind(tracks)),
        ((track, "typical") for track in by_size[1:]),
    )
    chosen: dict[int, tuple[Track, Why]] = {}
    for one in filter(None, chain.from_iterable(zip_longest(*queues))):
        chosen.setdefault(one[0].number, one)
    return tuple(chosen.values())[:most]


def _first_as(why: Why, tracks: Iterable[Track]) -> Iterator[tuple[Track, Why]]:
    """Each track, the first for the reason `why`."""
    for number, track in enumerate(tracks):
        yield track, "typical" if number else why


def best_times(
    track: Track, frames: Sequence[int], count: int, *, shown: Iterable[int] = ()
) -> list[int]:
    """The pts of `count` frames at most at which a track is seen best, by rising pts.

    It is cut into so many stretches, and each gives its best: the face is large, faces the camera
    and is sure. One of `shown` is taken where it is nearly as good. Empty where no frame shows it.
    """
    own = _frames_of(track, frames)
    if not own:
        return []
    places = np.array(own)
    quality = _quality(track, places)
    chosen = []
    known = set(shown)
    for part in np.array_split(np.arange(len(own)), min(count, len(own))):
        best = part[int(np.argmax(quality[part]))]
        near = [k for k in part if own[k] in known and quality[k] >= _GOOD_ENOUGH * quality[best]]
        chosen.append(own[near[0] if near else best])
    return chosen


def _quality(track: Track, pts: np.ndarray) -> Float64:
    """(N,) how well a track is seen at some pts, higher is better."""
    sides = track.boxes[:, 2:] - track.boxes[:, :2]
    sizes = np.sqrt(np.maximum(sides.prod(1), 1e-6)).astype(np.float64)
    scores = np.nan_to_num(track.scores.astype(np.float64), nan=1.0)
    front = np.array([frontality(landmarks) for landmarks in track.landmarks])
    at_knots = np.sqrt(sizes / sizes.max()) * scores * (0.2 + 0.8 * front)
    quality = np.interp(pts, track.pts, at_knots)
    # At its ends a track fades, and a face often just comes in or turns away.
    inside = np.minimum(pts - track.first, track.last - pts) / max(track.last - track.first, 1)
    return np.asarray(quality * (0.8 + 0.2 * np.minimum(inside * 5, 1)), np.float64)


def _frames_of(track: Track, frames: Sequence[int]) -> Sequence[int]:
    """The pts of the frames that a track covers, thinned to a few hundred."""
    own = frames[bisect_left(frames, track.first) : bisect_left(frames, track.last + 1)]
    return own[:: max(len(own) // 256, 1)]


def _one_of_each_kind(tracks: Sequence[Track]) -> Iterator[Track]:
    """The refused tracks: of each kind of reason one, the surest, then the next of each."""
    kinds: dict[str, list[Track]] = {}
    for track in sorted(tracks, key=lambda track: (-_mean_score(track), track.number)):
        if not track.enhance:
            kinds.setdefault(explain(track.reason).kind, []).append(track)
    for row in zip_longest(*kinds.values()):
        yield from (track for track in row if track is not None)


def _mean_score(track: Track) -> float:
    """The mean detection score; 1 where it is not known."""
    known = track.scores[np.isfinite(track.scores)]
    return float(known.mean()) if len(known) else 1.0
