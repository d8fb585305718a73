"""Sightings become tracks: one face followed through the whole film, and judged.

Works on all sightings of the film at once, sorted by pts, so the result does not depend on how the
film was cut or in which order its spans came back.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from facepipe.configs.settings import DetectSettings, LinkSettings
from facepipe.datatypes import Faces, Float64, FrameDetections, SpanFaces, Track, VideoInfo
from facepipe.faces.detection.appearance import unlike
from facepipe.faces.tracking.acceptance import Seen, refusal
from facepipe.faces.tracking.motion import Knots, Way, carried, moved_box
from facepipe.models.detectors.boxes import overlaps

WEAK = 0.2  # how far below the asked score a sighting may still carry a track on
REACH, SPEED, FARTHEST = 0.5, 5.0, 2.5  # face sizes a face may be off: at once, per second, at most
GROWTH = 0.45  # logarithm of the size ratio of what is expected and what is seen, at most
UNSHAPED = 0.35  # mean distance of two landmark shapes, in face sizes, at most
# Code values by which the looks of one face hardly differ and of two often do; more counts no more,
# as light may change; and the share in which a look renews what a path looks like.
STRANGE, MOST_STRANGE, RENEWED = 20.0, 1.5, 0.3
REFUSED = 1e6


@dataclass(eq=False)
class _Path:
    """A face being followed: its sightings so far."""

    shot: int
    pts: list[int] = field(default_factory=list)
    seen: Seen = field(default_factory=Seen)
    ways: list[Way] = field(default_factory=list)
    print: NDArray[np.float32] | None = None  # (P,) what it has looked like of late

    def add(self, look: FrameDetections, number: int) -> None:
        """Take face `number` of the look, and the way it went after it."""
        self.pts.append(look.pts)
        self.seen.boxes.append(look.faces.boxes[number])
        self.seen.landmarks.append(look.faces.landmarks[number])
        self.seen.scores.append(float(look.faces.scores[number]))
        for told, kept in ((look.features, self.seen.features), (look.detail, self.seen.detail)):
            kept.append(math.nan if told is None else float(told[number]))
        moves = [(move.pts, move.maps[number]) for move in look.moves]
        self.ways.append([(pts, one) for pts, one in moves if np.isfinite(one).all()])
        if look.prints is not None:
            seen = look.prints[number]
            before = seen if self.print is None else self.print
            self.print = np.asarray(before + RENEWED * (seen - before), np.float32)

    def expected(self, pts: int) -> NDArray[np.float32]:
        """(4,) where the box would be: as it was followed, else by its last motion, fading."""
        box = self.seen.boxes[-1]
        for at, moved in self.ways[-1]:
            if at == pts:
                return np.asarray(moved_box(box.astype(np.float64), moved), np.float32)
        if len(self.pts) < 2:
            return box
        step = self.pts[-1] - self.pts[-2]
        ahead = min((pts - self.pts[-1]) / step, 2.0)
        moved = (box - self.seen.boxes[-2]).reshape(2, 2).mean(0) * np.float32(ahead)
        return np.asarray(box + np.tile(moved, 2), np.float32)


def link(
    spans: Sequence[SpanFaces],
    *,
    detect: DetectSettings,
    settings: LinkSettings,
    info: VideoInfo,
) -> tuple[Track, ...]:
    """Every face of the film as a track, by first pts; those not to be enhanced say why (`gates`).

    A face unseen for up to `gap_seconds`, or for one look, is still the same.
    """
    cuts = sorted({cut for span in spans for cut in span.cuts})
    looks = _looks(spans)
    base = float(info.time_base)
    times = np.array([look.pts for look in looks], np.float64) * base
    step = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
    # One look may miss a face whatever the gap allowed: hence two steps and a little.
    patience = max(settings.gap_seconds, 2.1 * step)
    paths = _follow(looks, cuts, detect.score - WEAK, patience, base)
    looks_in_shot: dict[int, list[int]] = {}
    for look in looks:
        looks_in_shot.setdefault(bisect_right(cuts, look.pts), []).append(look.pts)
    tracks: list[Track] = []
    for number, path in enumerate(sorted(paths, key=_order), 1):
        track = _track(number, path, base)
        looks_there = looks_in_shot[path.shot]
        reason = refusal(track, path.seen, looks_there, base, detect=detect, link=settings)
        tracks.append(replace(track, enhance=reason is None, reason=reason))
    return tuple(tracks)


def _looks(spans: Iterable[SpanFaces]) -> list[FrameDetections]:
    """One sighting for each pts, by rising pts: where two spans saw a frame, its owner's."""
    chosen: dict[int, tuple[bool, FrameDetections]] = {}
    for span in sorted(spans, key=lambda span: (span.span.start, span.span.stop)):
        for detected in span.detections:
            owned = span.span.start <= detected.pts < span.span.stop
            if detected.pts not in chosen or (owned and not chosen[detected.pts][0]):
                chosen[detected.pts] = (owned, detected)
    return [chosen[pts][1] for pts in sorted(chosen)]


def _follow(
    looks: Sequence[FrameDetections],
    cuts: Sequence[int],
    floor: float,
    patience: float,
    base: float,
) -> list[_Path]:
    """Assign each look's faces to the paths that are open, or open new ones; never over a cut."""
    done: list[_Path] = []
    live: list[_Path] = []
    for look in looks:
        shot = bisect_right(cuts, look.pts)
        stays = [p.shot == shot and (look.pts - p.pts[-1]) * base <= patience for p in live]
        done += [path for path, stay in zip(live, stays, strict=True) if not stay]
        live = [path for path, stay in zip(live, stays, strict=True) if stay]
        likely = np.nonzero(look.faces.scores >= floor)[0]
        free = set(likely.tolist())
        if live and free:
            faces = look.faces.take(likely)
            cost = np.array([_costs(path, look.pts, faces, base) for path in live])
            if look.prints is not None:
                cost += np.array([_strangeness(path, look.prints[likely]) for path in live])
            # SciPy takes longer to import than a film without faces to link.
            from scipy.optimize import linear_sum_assignment

            for one, other in zip(*linear_sum_assignment(cost), strict=True):
                if cost[one, other] < REFUSED:
                    live[one].add(look, int(likely[other]))
                    free.discard(int(likely[other]))
        for number in sorted(free):
            path = _Path(shot)
            path.add(look, number)
            live.append(path)
    return done + live


def _costs(path: _Path, pts: int, faces: Faces, base: float) -> Float64:
    """(N,) how unlike the path each face is; REFUSED where it cannot be the same."""
    box = path.expected(pts).astype(np.float64)
    boxes = faces.boxes.astype(np.float64)
    sides, own = boxes[:, 2:] - boxes[:, :2], box[2:] - box[:2]
    size = np.sqrt(np.maximum(sides.prod(1), 1e-6))
    before = float(np.sqrt(max(own.prod(), 1e-6)))
    between = np.sqrt(size * before)
    offset = (boxes[:, :2] + boxes[:, 2:] - box[:2] - box[2:]) / 2
    distance = np.hypot(offset[:, 0], offset[:, 1]) / between
    growth = np.abs(np.log(size / before))
    shape = np.linalg.norm(
        _shape(faces.landmarks) - _shape(path.seen.landmarks[-1][None]), axis=2
    ).mean(1)
    share = overlaps(box[None].astype(np.float32), faces.boxes)[0]
    reach = min(REACH + SPEED * (pts - path.pts[-1]) * base, FARTHEST)
    cost = distance / 2 + (1 - share) + growth + shape
    possible = (distance <= reach) & (growth <= GROWTH) & (shape <= UNSHAPED)
    return np.where(possible, cost, REFUSED)


def _strangeness(path: _Path, prints: NDArray[np.float32]) -> Float64:
    """(N,) how unlike the path each face looks, as a part of its cost."""
    if path.print is None:
        return np.zeros(len(prints))
    share = unlike(path.print, prints).astype(np.float64) / STRANGE
    return np.minimum(share, MOST_STRANGE)


def _shape(landmarks: NDArray[np.float32]) -> Float64:
    """(N, 5, 2) landmarks about their middle, in sizes: some 3.5 times their spread."""
    middle = landmarks.astype(np.float64) - landmarks.mean(1, keepdims=True)
    size = 3.5 * np.sqrt((middle**2).sum(2).mean(1))
    return np.asarray(middle / np.maximum(size, 1e-6)[:, None, None], np.float64)


def _order(path: _Path) -> tuple[float, ...]:
    return path.pts[0], *map(float, path.seen.boxes[0]), path.pts[-1]


def _track(number: int, path: _Path, base: float) -> Track:
    """The path with its jitter smoothed away, not judged yet."""
    seen = Knots(
        np.array(path.pts, np.int64),
        np.array(path.seen.boxes, np.float64),
        np.array(path.seen.landmarks, np.float64),
        np.array(path.seen.scores),
    )
    knots = carried(seen, path.ways, base)
    return Track(
        number,
        knots.pts,
        knots.boxes.astype(np.float32),
        knots.landmarks.astype(np.float32),
        knots.scores.astype(np.float32),
    )
