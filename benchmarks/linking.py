"""facepipe's linking beside a tracker library's, on the same sightings of drawn crowds.

    pip install trackers
    python benchmarks/linking.py FACES.zip [--crowds 4] [--json OUT]

Crowds that walk before each other are filmed and searched once, every fifth frame as always. From
what was seen, facepipe's `link` makes tracks, and so do ByteTrack and OC-SORT as the package
`trackers` (2.6 was tried) has them; without it, facepipe stands alone. Their tracks are judged by
the same gates and drawn as straight lines between what they have seen.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from facepipe.configs.settings import Settings
from facepipe.datatypes import Faces, FrameDetections, Span, SpanFaces, Track, VideoInfo
from facepipe.evaluation.assets import installed_photographs, read_faces
from facepipe.evaluation.clips import write_film
from facepipe.evaluation.synthetic_crowd import Crowd, Plan, Shown
from facepipe.evaluation.tracking_metrics import Looked, measure_following
from facepipe.faces.tracking.acceptance import LEAST_DETECTIONS, LONG, PATIENCE
from facepipe.faces.tracking.link import link
from facepipe.pipeline.spans import anchors
from facepipe.pipeline.tasks import AnalyzeTask, analyze_span
from facepipe.video.probe import probe

#: Twenty people of 14 to 40 px who walk half as fast again as usual.
PLAN = Plan(faces=20, frames=150, sizes=(14.0, 40.0), motion=1.6, noise=6.0, crf=28)
SCORE, SECONDS = 0.7, 0.25

Linker = Callable[[SpanFaces, VideoInfo], Sequence[Track]]


@dataclass(frozen=True)
class Seen:
    """One crowd: what was seen of it, and what there was to be seen."""

    found: SpanFaces
    info: VideoInfo
    shown: list[Shown]


def see(faces: Path, seed: int) -> Seen:
    """Film a crowd and search it."""
    plan = replace(PLAN, seed=seed)
    crowd = Crowd(read_faces([faces], 2 * plan.faces), installed_photographs(), plan)
    with tempfile.TemporaryDirectory() as folder:
        film = Path(folder) / "crowd.mp4"
        write_film(crowd.film(), film, rate=Fraction(plan.rate), crf=plan.crf)
        info = probe(film)
        span = Span(0, info.pts[0], info.pts[-1] + 1)
        starts = frozenset(anchors(info)) | {span.start}
        found = analyze_span(
            AnalyzeTask(info, span, starts, Settings().detect, beyond=0), nobody_watches
        )
    return Seen(found, info, [crowd.shown(number) for number in range(plan.frames)])


def nobody_watches(*_: Any) -> None:
    """The progress of a search is not shown."""


def ours(found: SpanFaces, info: VideoInfo) -> Sequence[Track]:
    settings = Settings()
    return link(
        [found],
        detect=settings.detect.model_copy(update={"score": SCORE}),
        settings=settings.link.model_copy(update={"min_seconds": SECONDS}),
        info=info,
    )


def theirs(make: Callable[[], Any]) -> Linker:
    """Tracks by a tracker of the package `trackers`, which `make` makes anew for every shot."""
    import supervision

    def linked(found: SpanFaces, info: VideoInfo) -> Sequence[Track]:
        shots: dict[int, list[FrameDetections]] = defaultdict(list)
        for look in found.detections:
            shots[bisect_right(found.cuts, look.pts)].append(look)
        paths: dict[tuple[int, int], list[tuple[int, Faces]]] = defaultdict(list)
        for shot, looks in shots.items():
            tracker = make()
            for look in looks:
                told = supervision.Detections(
                    xyxy=look.faces.boxes.astype(np.float64),
                    confidence=look.faces.scores.astype(np.float64),
                    class_id=np.zeros(len(look.faces), int),
                    data={"row": np.arange(len(look.faces))},
                )
                if not len(look.faces):
                    told = supervision.Detections.empty()
                tracked = tracker.update(told)
                for row in range(len(tracked)):
                    if tracked.tracker_id is not None and tracked.tracker_id[row] >= 0:
                        one = look.faces.take(np.array([tracked.data["row"][row]], np.intp))
                        paths[shot, int(tracked.tracker_id[row])].append((look.pts, one))
        tracks = [_track(number, path) for number, path in enumerate(paths.values(), 1)]
        return [track for track in tracks if _stands(track, float(info.time_base))]

    return linked


def _track(number: int, path: list[tuple[int, Faces]]) -> Track:
    return Track(
        number=number,
        pts=np.array([pts for pts, _ in path], np.int64),
        boxes=np.concatenate([face.boxes for _, face in path]),
        landmarks=np.concatenate([face.landmarks for _, face in path]),
        scores=np.concatenate([face.scores for _, face in path]),
    )


def _stands(track: Track, base: float) -> bool:
    """The acceptance filters of `link`: long enough, and its better half sure enough."""
    seen = len(track.pts)
    best = np.sort(track.scores)[::-1][: (seen + 1) // 2].mean()
    often = (seen - LEAST_DETECTIONS) / (LONG - LEAST_DETECTIONS)
    asked = SCORE - PATIENCE * min(max(often, 0), 1)
    lasts = (track.last - track.first) * base >= SECONDS
    return seen >= LEAST_DETECTIONS and lasts and best >= asked


def measure(linker: Linker, crowds: Sequence[Seen]) -> dict[str, float]:
    """The figures of one way to link, summed or in the mean over the crowds."""
    rows = []
    for seen in crowds:
        tracks = linker(seen.found, seen.info)
        looked = [Looked.of(tracks, pts) for pts in seen.info.pts]
        rows.append(measure_following(looked, seen.shown, PLAN.rate))
    return {
        "recall 12-24 px": float(np.mean([row.recall[1] or np.nan for row in rows])),
        "recall 24-48 px": float(np.mean([row.recall[2] or np.nan for row in rows])),
        "false faces": float(np.mean([row.false for row in rows])),
        "breaks": float(sum(row.breaks for row in rows)),
        "switches": float(sum(row.switches or 0 for row in rows)),
        "jitter": float(np.mean([row.jitter or np.nan for row in rows])),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("faces", type=Path, help="a folder or zip of aligned faces")
    parser.add_argument("--crowds", type=int, default=4)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    crowds = [see(options.faces, seed) for seed in range(options.crowds)]
    linkers: dict[str, Linker] = {"facepipe": ours}
    try:
        from trackers import ByteTrackTracker, OCSORTTracker
    except ImportError:
        print("the package trackers is not installed: facepipe alone")
    else:
        looks = {"lost_track_buffer": 5, "minimum_consecutive_frames": 1}
        linkers["ByteTrack"] = theirs(
            lambda: ByteTrackTracker(
                track_activation_threshold=0.5, minimum_iou_threshold=0.05, **looks
            )
        )
        linkers["OC-SORT"] = theirs(lambda: OCSORTTracker(minimum_iou_threshold=0.1, **looks))
    rows = {name: measure(linker, crowds) for name, linker in linkers.items()}
    print("| linked by | " + " | ".join(next(iter(rows.values()))) + " |")
    print("|---" * (1 + len(next(iter(rows.values())))) + "|")
    for name, row in rows.items():
        print(f"| {name} | " + " | ".join(f"{value:.3g}" for value in row.values()) + " |")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
