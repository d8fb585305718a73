"""Acceptance filters: whether a track is a face that can be enhanced, and the reason if not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from facepipe.configs.settings import DetectSettings, LinkSettings
from facepipe.datatypes import CANVAS_FACE, FaceMeasurements, Float32, Float64, Track
from facepipe.faces.canvas import frontality

LEAST_DETECTIONS = 2  # one is too little, where its shot has more detection frames
# A face that is detected again and again may have a lower score: by PATIENCE after LONG detections.
PATIENCE, LONG = 0.1, 8
PROFILE = 0.25  # mean frontality under which a face cannot be aligned
# The detector is in doubt from DOUBT above the score that is asked for; RANGE below that, all of
# the part visibility of `link.features` is asked for. A thing that moves less than STILL sizes (by
# landmarks that are not smoothed) must show LIKELY of a face's parts to be given PATIENCE.
DOUBT, RANGE, LIKELY, STILL = 0.05, 0.25, 0.5, 0.15
LEAST_VISIBILITY = 0.03  # part visibility asked for above doubt, where it was measured


@dataclass(eq=False)
class Observations:
    """All detections of one face: K of each; `measurements` are of one face each."""

    boxes: list[Float32] = field(default_factory=list)  # (4,)
    landmarks: list[Float32] = field(default_factory=list)  # (5, 2)
    scores: list[float] = field(default_factory=list)
    measurements: list[FaceMeasurements] = field(default_factory=list)


def doubted_below(score: float) -> float:
    """The score below which part visibility is measured, where `score` is asked for."""
    return score + DOUBT


def refusal(
    track: Track,
    observations: Observations,
    frames: Sequence[int],
    time_base: float,
    *,
    detect: DetectSettings,
    link: LinkSettings,
    largest: float = CANVAS_FACE,
) -> str | None:
    """The reason why the track is not to be enhanced, None: it is.

    `largest` is the size of a face that fills the restorer's canvas, px of the frame. `frames` are
    the pts of its shot's detection frames, `time_base` is seconds a tick.
    """
    return (
        _wrong_size(track, detect.min_face, detect.max_face, largest)
        or _too_short(track, len(observations.scores), frames, link.min_seconds, time_base)
        or _too_weak(observations, detect.score)
        or _turned_away(observations)
        or _blurred(observations, link.detail)
        or _no_parts(observations, detect.score, link.features)
    )


def _wrong_size(
    track: Track, min_face: float, max_face: float | None, largest: float
) -> str | None:
    if track.size < min_face:
        return f"smaller than --min-face: {track.size:.1f} px of {min_face:g}"
    if max_face is not None and track.size > max_face:
        return f"larger than --max-face: {track.size:.1f} px of {max_face:g}"
    if max_face is None and track.size > largest:
        return f"larger than the canvas: {track.size:.1f} px, and it holds {largest:g}"
    return None


def _too_short(
    track: Track, count: int, frames: Sequence[int], min_seconds: float, time_base: float
) -> str | None:
    """The reason if a track is too short, or detected too seldom; None otherwise.

    Of the detection frames of its shot: a shot of one frame asks for one only. The time counts
    through which the face was followed before its first detection and after its last.
    """
    there = len(frames)
    if count < min(LEAST_DETECTIONS, there):
        return f"too short: seen in {count} of {there} looks"
    seconds = (track.last - track.first) * time_base
    most = (frames[-1] - frames[0]) * time_base
    if seconds < min(min_seconds, most):
        return f"too short: {seconds:.2f} s, {min_seconds:g} s asked for"
    return None


def _too_weak(observations: Observations, score: float) -> str | None:
    """The reason if a track scores too low, by the better half of its scores: faces turn away.

    A face that is detected often need not have so high a score. A thing that never moves and does
    not show the parts of a face either is no new evidence in each frame, and gets no patience.
    """
    often = (len(observations.scores) - LEAST_DETECTIONS) / (LONG - LEAST_DETECTIONS)
    patience = PATIENCE * min(max(often, 0.0), 1.0)
    still = _displacement(observations) < STILL and _mean_visibility(observations) < LIKELY
    asked = score if still else score - patience
    mean = _confidence(observations)
    if mean >= asked:
        return None
    reason = f"score {mean:.3f} below {asked:.3g}"
    if mean >= score - patience:
        reason += ", and it never moved nor shows the parts of a face"
    return reason


def _turned_away(observations: Observations) -> str | None:
    """The reason if a track is mostly in profile, where too few landmarks align it."""
    shares = np.array([frontality(landmarks) for landmarks in observations.landmarks])
    if shares.mean() >= PROFILE:
        return None
    return f"a profile in {int((shares < PROFILE).sum())} of {len(shares)} looks"


def _blurred(observations: Observations, sharpness: float) -> str | None:
    """The reason if the sharper half of the detections is blurred: faces blur while they move."""
    known = _known(one.sharpness for one in observations.measurements)
    if not len(known):
        return None
    sharp = _mean_of_better_half(known)
    if sharp >= sharpness:
        return None
    return f"blurred: {sharp:.2f} of its contrast is detail, {sharpness:g} asked for"


def _no_parts(observations: Observations, score: float, visibility: float) -> str | None:
    """The reason if too few parts of a face are visible: the lower the scores, the more must be."""
    shown = _mean_visibility(observations)
    doubt = min(max((doubted_below(score) - _confidence(observations)) / RANGE, 0.0), 1.0)
    asked = min(LEAST_VISIBILITY, visibility) + visibility * doubt
    if shown >= asked:
        return None
    return f"no face by its parts: {shown:.2f} of them seen, {asked:.2f} asked for at its score"


def _confidence(observations: Observations) -> float:
    """The mean score of the better half of the detections."""
    return _mean_of_better_half(np.asarray(observations.scores))


def _mean_of_better_half(values: Float64) -> float:
    return float(np.sort(values)[::-1][: (len(values) + 1) // 2].mean())


def _mean_visibility(observations: Observations) -> float:
    """The mean part visibility of the doubtful detections; 1 where none is doubtful."""
    known = _known(one.part_visibility for one in observations.measurements)
    return float(known.mean()) if len(known) else 1.0


def _known(values: Iterable[Float32 | None]) -> Float64:
    """(n,) what was measured, of a measurement that may be None or NaN."""
    measured = np.array([one[0] for one in values if one is not None], np.float64)
    return measured[np.isfinite(measured)]


def _displacement(observations: Observations) -> float:
    """Distance from its median place, in face sizes: the 95th percentile over its detections."""
    boxes = np.array(observations.boxes, np.float64)
    middles = (boxes[:, :2] + boxes[:, 2:]) / 2
    size = float(np.median(np.sqrt(np.maximum((boxes[:, 2:] - boxes[:, :2]).prod(1), 1e-6))))
    distances = np.hypot(*(middles - np.median(middles, 0)).T) / size
    return float(np.percentile(distances, 95))
