"""Whether a track is a face that can be enhanced, and the reason where it is not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from facepipe.configs.settings import DetectSettings, LinkSettings
from facepipe.datatypes import Track
from facepipe.faces.canvas import CANVAS_FACE, frontality

LEAST_LOOKS = 2  # one glimpse is too little, where there were more looks
# A face that is seen again and again need not be so sure each time.
PATIENCE, LONG = 0.1, 8  # by how much less its score may be, once it was seen in so many looks
PROFILE = 0.25  # mean frontality under which a face cannot be aligned
# The detector is in doubt from a little above the score that is asked for; as far below as RANGE,
# all is asked for that `features` says. A thing that never moves must show LIKELY to be trusted for
# being seen again; so much of its size it may move, by landmarks that are not smoothed.
DOUBT, RANGE, LIKELY, STILL = 0.05, 0.25, 0.5, 0.15
LEAST_FEATURES = 0.03  # what even a score above doubt must show, where it was asked


@dataclass(eq=False)
class Seen:
    """All looks at one face: K of each."""

    boxes: list[NDArray[np.float32]] = field(default_factory=list)  # (4,)
    landmarks: list[NDArray[np.float32]] = field(default_factory=list)  # (5, 2)
    scores: list[float] = field(default_factory=list)
    features: list[float] = field(default_factory=list)  # NaN: not asked
    detail: list[float] = field(default_factory=list)  # NaN: not known


def doubted_below(score: float) -> float:
    """The score below which a face must show features, where `score` is asked for."""
    return score + DOUBT


def refusal(
    track: Track,
    seen: Seen,
    looks: Sequence[int],
    base: float,
    *,
    detect: DetectSettings,
    link: LinkSettings,
) -> str | None:
    """Why the track is not to be enhanced, None: it is.

    `looks` are the pts of its shot's looks, `base` the seconds of one tick.
    """
    return (
        _wrong_size(track, detect.min_face, detect.max_face)
        or _too_short(track, len(seen.scores), looks, link.min_seconds, base)
        or _too_weak(seen, detect.score)
        or _turned_away(seen)
        or _blurred(seen, link.detail)
        or _no_features(seen, detect.score, link.features)
    )


def _wrong_size(track: Track, min_face: float, max_face: float | None) -> str | None:
    if track.size < min_face:
        return f"smaller than --min-face: {track.size:.1f} px of {min_face:g}"
    if max_face is not None and track.size > max_face:
        return f"larger than --max-face: {track.size:.1f} px of {max_face:g}"
    if max_face is None and track.size > CANVAS_FACE:
        return f"larger than the canvas: {track.size:.1f} px, and it holds {CANVAS_FACE:g}"
    return None


def _too_short(
    track: Track, seen: int, looks: Sequence[int], min_seconds: float, base: float
) -> str | None:
    """Judged against the looks of the track's shot: a shot of one frame can ask for one only.

    The time counts through which the face was followed before its first look and after its last.
    """
    there = len(looks)
    if seen < min(LEAST_LOOKS, there):
        return f"too short: seen in {seen} of {there} looks"
    seconds, most = (track.last - track.first) * base, (looks[-1] - looks[0]) * base
    if seconds < min(min_seconds, most):
        return f"too short: {seconds:.2f} s, {min_seconds:g} s asked for"
    return None


def _too_weak(seen: Seen, score: float) -> str | None:
    """By the better half of the sightings: a face may turn away for a while.

    What is seen in many looks need not be so sure, unless the looks are one look: a thing that
    never moves, and that shows no face either, is the same picture again.
    """
    often = (len(seen.scores) - LEAST_LOOKS) / (LONG - LEAST_LOOKS)
    patience = PATIENCE * min(max(often, 0.0), 1.0)
    still = _moved(seen) < STILL and _mean_features(seen) < LIKELY
    asked = score if still else score - patience
    mean = _sureness(seen)
    if mean >= asked:
        return None
    reason = f"score {mean:.3f} below {asked:.3g}"
    if mean >= score - patience:
        reason += ", and it never moved nor shows the parts of a face"
    return reason


def _turned_away(seen: Seen) -> str | None:
    """A face that mostly shows its side has too few landmarks to be aligned by."""
    shares = np.array([frontality(landmarks) for landmarks in seen.landmarks])
    if shares.mean() >= PROFILE:
        return None
    return f"a profile in {int((shares < PROFILE).sum())} of {len(shares)} looks"


def _blurred(seen: Seen, detail: float) -> str | None:
    """By the sharper half of the looks: a face may be blurred while it moves."""
    known = np.sort([one for one in seen.detail if np.isfinite(one)])[::-1]
    if not len(known):
        return None
    sharp = float(known[: (len(known) + 1) // 2].mean())
    if sharp >= detail:
        return None
    return f"blurred: {sharp:.2f} of its contrast is detail, {detail:g} asked for"


def _no_features(seen: Seen, score: float, features: float) -> str | None:
    """The less sure the detector is, the more of a face's parts the parse must show."""
    shown, sure = _mean_features(seen), _sureness(seen)
    doubt = min(max((doubted_below(score) - sure) / RANGE, 0.0), 1.0)
    asked = min(LEAST_FEATURES, features) + features * doubt
    if shown >= asked:
        return None
    return f"no face by its parts: {shown:.2f} of them seen, {asked:.2f} asked for at its score"


def _sureness(seen: Seen) -> float:
    """The mean score of the better half of the looks."""
    best = np.sort(seen.scores)[::-1][: (len(seen.scores) + 1) // 2]
    return float(best.mean())


def _mean_features(seen: Seen) -> float:
    """The mean of what the doubtful looks show; all of it, where none is doubtful."""
    asked = [one for one in seen.features if np.isfinite(one)]
    return float(np.mean(asked)) if asked else 1.0


def _moved(seen: Seen) -> float:
    """How far it went from where it mostly was, in face sizes, one look in 20 left out."""
    boxes = np.array(seen.boxes, np.float64)
    middles = (boxes[:, :2] + boxes[:, 2:]) / 2
    size = float(np.median(np.sqrt(np.maximum((boxes[:, 2:] - boxes[:, :2]).prod(1), 1e-6))))
    away = np.hypot(*(middles - np.median(middles, 0)).T) / size
    return float(np.percentile(away, 95))
