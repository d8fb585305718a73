"""Faces that are not upright: a camera that hangs upside down, a video that nobody turned.

The detector sees upright faces. Where it finds none of which it is sure, a few frames are searched
the other ways up, and the video once more, that way up of which it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2

from facepipe.configs.settings import DetectSettings, Settings
from facepipe.datatypes import Analysis, Span, Track, VideoInfo
from facepipe.datatypes.stages import staged
from facepipe.pipeline.passes import Run, analyze_pass, link_tracks, slim_info
from facepipe.pipeline.spans import anchors
from facepipe.pipeline.stage_report import run_tasks
from facepipe.pipeline.tasks import Progress, search
from facepipe.video import decode

#: Mean score from which on a face is sure to be one, the way up that it was found.
SURE_SCORE = 0.85
#: Frames that are searched the other ways up, and in how many of them a sure face must be.
FRAMES, LEAST_FRAMES = 8, 2
#: The other ways up, in degrees counter-clockwise; the likeliest first.
TURNS = (180, 90, 270)


@dataclass(frozen=True)
class TurnTask:
    """Search the frames at `pts` every way up."""

    info: VideoInfo
    pts: tuple[int, ...]
    settings: DetectSettings

    @property
    def output_folder(self) -> None:
        """It writes nothing."""
        return

    def for_remote(self, address: Callable[[str], str], folder: Path) -> TurnTask:  # noqa: ARG002
        """The same for a machine that reads the source at its address."""
        return replace(self, info=replace(self.info, path=address(self.info.path)))


def analyze_video(run: Run) -> Analysis:
    """Find and follow the faces of a run's video, whichever way up they are."""
    turn = run.job.turn
    if turn is None:
        found = link_tracks(run, analyze_pass(run))
        if run.settings.detect.turned != "auto" or shows_sure_face(found.tracks):
            return found
        turn = _likeliest_turn(run)
        if turn == 0:
            return found
        run.job.keep_turn(turn)
    found = link_tracks(run, analyze_pass(replace(run, settings=_turned(run.settings, turn))))
    return replace(found, warnings=(*found.warnings, found_turned(turn)))


def shows_sure_face(tracks: Sequence[Track]) -> bool:
    """Whether a track to be enhanced is surely a face, the way up that it was found."""
    return sure_scores(tracks) > 0


def sure_scores(tracks: Sequence[Track]) -> float:
    """The sum of the mean scores of tracks to be enhanced that are surely faces."""
    means = [float(track.scores.mean()) for track in tracks if track.enhance]
    return sum(mean for mean in means if mean >= SURE_SCORE)


def found_turned(turn: int) -> str:
    """The warning that faces were found another way up."""
    return (
        f"no upright face was found: faces were looked for as they are when the picture is turned "
        f"by {turn} degrees counter-clockwise; --turned 0 looks for upright ones alone"
    )


def search_turned(task: TurnTask, progress: Progress) -> tuple[tuple[int, float, int], ...]:
    """Every way up: degrees, the sum of the scores of sure faces, and the frames that have one.

    `progress` counts frames, each way up.
    """
    cv2.setNumThreads(1)
    sums, counts = dict.fromkeys((0, *TURNS), 0.0), dict.fromkeys((0, *TURNS), 0)
    for number, pts in enumerate(task.pts):
        span = Span(number, pts, pts + 1)
        for frame in staged("decode", decode(task.info, span)):
            for turn in sums:
                found = search(
                    [frame],
                    span,
                    anchors=frozenset({pts}),
                    settings=task.settings.model_copy(update={"turned": turn}),
                    rotation=task.info.rotation,
                )
                scores = [s for one in found.detections for s in one.faces.scores.tolist()]
                sure = [score for score in scores if score >= SURE_SCORE]
                sums[turn] += sum(sure)
                counts[turn] += bool(sure)
                progress(1)
    return tuple((turn, sums[turn], counts[turn]) for turn in sums)


def _likeliest_turn(run: Run) -> int:
    """The way up, in degrees, that shows the surest faces in a few frames; 0: none other does."""
    info, spans = run.plan.info, run.plan.spans
    pts = _tried_pts(info, spans[0].start, spans[-1].stop)
    task = TurnTask(slim_info(info), pts, run.settings.detect)
    (outcome,) = run_tasks(run.executor, search_turned, [task], progress=lambda _: None)
    if outcome.result is None:  # what fails every way up has failed upright, and was reported
        return 0
    found = {turn: (total, count) for turn, total, count in outcome.result}
    best = max(TURNS, key=lambda turn: found[turn][0])
    total, count = found[best]
    enough = count >= min(LEAST_FRAMES, len(pts))
    return best if enough and total > 2 * found[0][0] else 0


def _tried_pts(info: VideoInfo, start: int, stop: int) -> tuple[int, ...]:
    """The pts of a few frames all over a part of the video, keyframes if there are enough."""
    possible = [pts for pts in anchors(info) if start <= pts < stop]
    step = max(len(possible) / FRAMES, 1)
    pts = tuple(possible[int(k * step)] for k in range(min(FRAMES, len(possible))))
    if len(pts) >= LEAST_FRAMES:
        return pts
    inside = [one for one in info.pts if start <= one < stop]  # a short video with one keyframe
    return tuple(sorted({inside[0], inside[len(inside) // 2], inside[-1]}))


def _turned(settings: Settings, turn: int) -> Settings:
    detect = settings.detect.model_copy(update={"turned": turn})
    return settings.model_copy(update={"detect": detect})
