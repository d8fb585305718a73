"""facepipe's tracking against ByteTrack and OC-SORT, on the same detections of synthetic crowds.

    pip install trackers
    python benchmarks/quality/linking.py FACES.zip [--crowds 4] [--json OUT]

Faces are detected once in each crowd, in every fifth frame as usual. From these detections,
facepipe's `link` makes tracks, and so do ByteTrack and OC-SORT of the package `trackers` (2.6 was
tried); without it, facepipe alone is measured. Their tracks pass the same acceptance filters and
are interpolated linearly between detections.
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
from facepipe.evaluation.assets import read_faces, sample_backgrounds
from facepipe.evaluation.clips import write_video
from facepipe.evaluation.synthetic_crowd import Crowd, CrowdSettings, GroundTruth
from facepipe.evaluation.tracking_metrics import FramePrediction, measure_tracking
from facepipe.faces.tracking.acceptance import LEAST_DETECTIONS, LONG, PATIENCE
from facepipe.faces.tracking.link import link
from facepipe.pipeline.spans import anchors
from facepipe.pipeline.tasks import AnalyzeTask, analyze_span
from facepipe.video.probe import probe

#: Twenty faces of 14 to 40 px, 1.6 times as fast as usual.
SETTINGS = CrowdSettings(faces=20, frames=150, sizes=(14.0, 40.0), motion=1.6, noise=6.0, crf=28)
SCORE, SECONDS = 0.7, 0.25

Linker = Callable[[SpanFaces, VideoInfo], Sequence[Track]]


@dataclass(frozen=True)
class CrowdDetections:
    """The detections in one crowd, and its ground truth."""

    found: SpanFaces
    info: VideoInfo
    truths: list[GroundTruth]


def detect_crowd(faces: Path, seed: int) -> CrowdDetections:
    """Make a video of a crowd and detect its faces."""
    settings = replace(SETTINGS, seed=seed)
    crowd = Crowd(read_faces([faces], 2 * settings.faces), sample_backgrounds(), settings)
    with tempfile.TemporaryDirectory() as folder:
        video = Path(folder) / "crowd.mp4"
        write_video(crowd.noisy_frames(), video, rate=Fraction(settings.rate), crf=settings.crf)
        info = probe(video)
        span = Span(0, info.pts[0], info.pts[-1] + 1)
        starts = frozenset(anchors(info)) | {span.start}
        found = analyze_span(
            AnalyzeTask(info, span, starts, Settings().detect, beyond=0), ignore_progress
        )
    return CrowdDetections(
        found, info, [crowd.ground_truth(number) for number in range(settings.frames)]
    )


def ignore_progress(*_: Any) -> None:
    """Progress that nobody watches."""


def by_facepipe(found: SpanFaces, info: VideoInfo) -> Sequence[Track]:
    settings = Settings()
    return link(
        [found],
        detect=settings.detect.model_copy(update={"score": SCORE}),
        settings=settings.link.model_copy(update={"min_seconds": SECONDS}),
        info=info,
    )


def by_library(make: Callable[[], Any]) -> Linker:
    """Tracks by a tracker of the package `trackers`; `make` creates one for every shot."""
    import supervision

    def link_all(found: SpanFaces, info: VideoInfo) -> Sequence[Track]:
        shots: dict[int, list[FrameDetections]] = defaultdict(list)
        for detection in found.detections:
            shots[bisect_right(found.cuts, detection.pts)].append(detection)
        paths: dict[tuple[int, int], list[tuple[int, Faces]]] = defaultdict(list)
        for shot, detections in shots.items():
            tracker = make()
            for detection in detections:
                passed = supervision.Detections(
                    xyxy=detection.faces.boxes.astype(np.float64),
                    confidence=detection.faces.scores.astype(np.float64),
                    class_id=np.zeros(len(detection.faces), int),
                    data={"row": np.arange(len(detection.faces))},
                )
                if not len(detection.faces):
                    passed = supervision.Detections.empty()
                tracked = tracker.update(passed)
                for row in range(len(tracked)):
                    if tracked.tracker_id is not None and tracked.tracker_id[row] >= 0:
                        one = detection.faces.take(np.array([tracked.data["row"][row]], np.intp))
                        paths[shot, int(tracked.tracker_id[row])].append((detection.pts, one))
        tracks = [_track(number, path) for number, path in enumerate(paths.values(), 1)]
        return [track for track in tracks if _accepted(track, float(info.time_base))]

    return link_all


def _track(number: int, path: list[tuple[int, Faces]]) -> Track:
    return Track(
        number=number,
        pts=np.array([pts for pts, _ in path], np.int64),
        boxes=np.concatenate([face.boxes for _, face in path]),
        landmarks=np.concatenate([face.landmarks for _, face in path]),
        scores=np.concatenate([face.scores for _, face in path]),
    )


def _accepted(track: Track, base: float) -> bool:
    """The acceptance filters of `link`: length, and mean score of the better half."""
    count = len(track.pts)
    best = np.sort(track.scores)[::-1][: (count + 1) // 2].mean()
    least_score = SCORE - PATIENCE * min(
        max((count - LEAST_DETECTIONS) / (LONG - LEAST_DETECTIONS), 0), 1
    )
    return (
        count >= LEAST_DETECTIONS
        and (track.last - track.first) * base >= SECONDS
        and best >= least_score
    )


def measure(linker: Linker, crowds: Sequence[CrowdDetections]) -> dict[str, float]:
    """The metrics of one linker, summed or averaged over the crowds."""
    metrics = []
    for crowd in crowds:
        tracks = linker(crowd.found, crowd.info)
        predictions = [FramePrediction.of(tracks, pts) for pts in crowd.info.pts]
        metrics.append(measure_tracking(predictions, crowd.truths, SETTINGS.rate))
    return {
        "recall 12-24 px": float(np.mean([row.recall[1] or np.nan for row in metrics])),
        "recall 24-48 px": float(np.mean([row.recall[2] or np.nan for row in metrics])),
        "false positives": float(np.mean([row.false_positives for row in metrics])),
        "fragmentations": float(sum(row.fragmentations for row in metrics)),
        "identity switches": float(sum(row.identity_switches or 0 for row in metrics)),
        "jitter": float(np.mean([row.jitter or np.nan for row in metrics])),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("faces", type=Path, help="a folder or zip of aligned faces")
    parser.add_argument("--crowds", type=int, default=4)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    crowds = [detect_crowd(options.faces, seed) for seed in range(options.crowds)]
    linkers: dict[str, Linker] = {"facepipe": by_facepipe}
    try:
        from trackers import ByteTrackTracker, OCSORTTracker
    except ImportError:
        print("the package trackers is not installed: facepipe alone")
    else:
        options_of_both = {"lost_track_buffer": 5, "minimum_consecutive_frames": 1}
        linkers["ByteTrack"] = by_library(
            lambda: ByteTrackTracker(
                track_activation_threshold=0.5, minimum_iou_threshold=0.05, **options_of_both
            )
        )
        linkers["OC-SORT"] = by_library(
            lambda: OCSORTTracker(minimum_iou_threshold=0.1, **options_of_both)
        )
    metrics = {name: measure(linker, crowds) for name, linker in linkers.items()}
    print("| tracker | " + " | ".join(next(iter(metrics.values()))) + " |")
    print("|---" * (1 + len(next(iter(metrics.values())))) + "|")
    for name, row in metrics.items():
        print(f"| {name} | " + " | ".join(f"{value:.3g}" for value in row.values()) + " |")
    if options.json:
        options.json.write_text(json.dumps(metrics, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
