"""Evaluation of the whole program on a synthetic crowd: detection, tracking and image quality."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from facepipe.configs.settings import Settings
from facepipe.datatypes import CANVAS_FACE, Analysis, Faces, Float32, Track
from facepipe.errors import InputError, UsageError
from facepipe.evaluation.clips import CLIP_SUFFIX, Rgb, read_video, upscale, write_video
from facepipe.evaluation.synthetic_crowd import BOX, Crowd, GroundTruth
from facepipe.evaluation.tables import format_cell, markdown_table
from facepipe.evaluation.tracking_metrics import (
    SIZE_EDGES,
    FramePrediction,
    TrackingMetrics,
    measure_tracking,
)
from facepipe.faces.canvas import frame_px_per_canvas_px, resampled
from facepipe.faces.detection.finder import find_faces
from facepipe.faces.restoration.paste import scaled
from facepipe.models.detectors import create_detector
from facepipe.models.networks.stlpips import StLpips, load_installed_stlpips
from facepipe.pipeline import api
from facepipe.pipeline.analysis_file import read_analysis, write_analysis
from facepipe.video.probe import probe

BICUBIC, FRAME_BY_FRAME = "bicubic", "frame by frame"
#: Least score of a detection in a single frame.
_MIN_SCORE = 0.3
#: Frame px per canvas px from which a face is too large to be measured.
_LARGE = 0.85
#: Least visible share of a face whose image is measured.
_UNOCCLUDED = 0.95
_ST_LPIPS_STEP = 6  # frames from one ST-LPIPS to the next: it is slow
_FACE = np.s_[int(BOX[1]) : int(BOX[3]), int(BOX[0]) : int(BOX[2])]
_CRF = 8.0  # of the results, so that their own coding does not count


@dataclass(frozen=True)
class TrackingRow:
    """One way to detect faces, and its metrics."""

    name: str
    metrics: TrackingMetrics


@dataclass(frozen=True)
class QualityRow:
    """Image quality on the canvases of the true faces, the mean over all faces in all frames.

    `psnr` in dB, higher is better; lower is better for `st_lpips` (None where its package is
    missing) and `flicker`: the mean absolute change of a motion-compensated face from frame to
    frame, in code values, less that of the ground truth.
    """

    name: str
    psnr: float
    st_lpips: float | None
    flicker: float


@dataclass(frozen=True)
class CrowdEvaluation:
    """Metrics of all rows on one crowd; `faces` canvases were measured for each."""

    frames: int
    faces: int
    scale: int
    tracking: tuple[TrackingRow, ...]
    quality: tuple[QualityRow, ...]

    def to_markdown(self) -> str:
        """Two Markdown tables: tracking, and image quality."""
        sizes = [f"{low:g}-{high:g} px" for low, high in pairwise(SIZE_EDGES)]
        sizes.append(f"{SIZE_EDGES[-1]:g} px and more")
        lines = [f"{self.frames} frames of a crowd, {self.faces} faces in all. Recall by size:", ""]
        lines += markdown_table(
            [
                *("detected by", *sizes, "false positives"),
                *("fragmentations", "identity switches", "jitter", "offset"),
            ],
            [
                [
                    row.name,
                    *(format_cell(share, ".3f") for share in row.metrics.recall),
                    format_cell(row.metrics.false_positives, ".3f"),
                    format_cell(row.metrics.fragmentations, "d"),
                    format_cell(row.metrics.identity_switches, "d"),
                    format_cell(row.metrics.jitter, ".2f"),
                    format_cell(row.metrics.offset, ".2f"),
                ]
                for row in self.tracking
            ],
        )
        lines += ["", f"Enlarged {self.scale} times:", ""]
        lines += markdown_table(
            ["restorer", "PSNR", "ST-LPIPS", "flicker"],
            [
                [
                    row.name,
                    format_cell(row.psnr, ".2f"),
                    format_cell(row.st_lpips, ".4f"),
                    format_cell(row.flicker, ".3f"),
                ]
                for row in self.quality
            ],
        )
        return "\n".join(lines) + "\n"


def evaluate_crowd(crowd: Crowd, settings: Settings, restorers: Sequence[str]) -> CrowdEvaluation:
    """Analyze and render a video of the crowd, and measure tracks and images.

    For comparison there are faces detected in each single frame, at as many false positives as the
    tracks have, and each of these restored frame by frame by the first restorer. Raises UsageError,
    InputError where no face can be measured, and the errors of `enhance`.
    """
    if BICUBIC in restorers or FRAME_BY_FRAME in restorers:
        raise UsageError(f"{BICUBIC} and {FRAME_BY_FRAME} are always measured, leave them out")
    truths = [crowd.ground_truth(number) for number in range(crowd.settings.frames)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        video = folder / f"low{CLIP_SUFFIX}"
        rate = Fraction(crowd.settings.rate)
        write_video(crowd.noisy_frames(), video, rate=rate, crf=crowd.settings.crf)
        tracked, untracked = folder / "analysis.json", folder / "frame-by-frame.json"
        api.analyze(video, tracked, settings)
        analysis, pts = read_analysis(tracked), probe(video).pts
        detections = list(_detect_per_frame(video, settings))
        tracking = _tracking_rows(analysis, detections, pts, truths, crowd.settings.rate)
        single = _tracks_of_one_frame(analysis, detections, pts, settings.detect.score)
        write_analysis(single, untracked)
        runs = {FRAME_BY_FRAME: (restorers[0], untracked)}
        runs |= {restorer: (restorer, tracked) for restorer in restorers}
        results = {
            row: _render(video, found, folder / f"{number}{CLIP_SUFFIX}", settings, restorer)
            for number, (row, (restorer, found)) in enumerate(runs.items())
        }
        faces, quality = _quality_rows(crowd, truths, settings.output.scale, video, results)
    return CrowdEvaluation(crowd.settings.frames, faces, settings.output.scale, tracking, quality)


def _tracking_rows(
    analysis: Analysis,
    detections: Sequence[Faces],
    pts: Sequence[int],
    truths: Sequence[GroundTruth],
    rate: float,
) -> tuple[TrackingRow, ...]:
    """Metrics of single frames, at equal false positives, and of tracks."""
    predictions = [FramePrediction.of(analysis.tracks, at) for at in pts]
    tracks = measure_tracking(predictions, truths, rate)
    single = _at_equal_false_positives(detections, truths, tracks.false_positives, rate)
    return TrackingRow("single frames", single), TrackingRow("tracks", tracks)


def _render(video: Path, analysis: Path, target: Path, settings: Settings, restorer: str) -> Path:
    """Render by one restorer at high quality; gives `target`."""
    restore = settings.restore.model_copy(update={"restorer": restorer})
    output = settings.output.model_copy(update={"crf": _CRF})
    chosen = settings.model_copy(update={"restore": restore, "output": output})
    api.render(video, analysis, target, chosen)
    return target


def _quality_rows(
    crowd: Crowd,
    truths: Sequence[GroundTruth],
    scale: int,
    video: Path,
    results: Mapping[str, Path],
) -> tuple[int, tuple[QualityRow, ...]]:
    """The number of faces measured, and image quality of bicubic upscaling and of all results."""
    scores = {name: _Scores() for name in (BICUBIC, *results)}
    readers = [read_video(path) for path in results.values()]
    st_lpips = load_installed_stlpips()
    for number, frames in enumerate(zip(read_video(video), *readers, strict=True)):
        truth = crowd.draw(number, scale)
        size = (truth.shape[1], truth.shape[0])
        images = [upscale(frames[0][1], size), *(image for _, image in frames[1:])]
        metric = st_lpips if number % _ST_LPIPS_STEP == 0 else None
        for identity, to_frame in _measurable(truths[number]):
            to_image = scaled(to_frame, scale)
            true = resampled(truth, to_image)
            for score, image in zip(scores.values(), images, strict=True):
                score.add(number, identity, resampled(image, to_image), true, metric)
    faces = len(scores[BICUBIC].psnrs)
    if not faces:
        raise InputError("no face of the crowd is small and unoccluded")
    return faces, tuple(score.row(name) for name, score in scores.items())


class _Scores:
    """Image metrics of one result, collected face by face."""

    def __init__(self) -> None:
        self.psnrs: list[float] = []
        self._distances: list[float] = []
        self._flickers: list[float] = []
        self._previous: dict[int, tuple[int, Float32, Float32]] = {}

    def add(
        self, number: int, identity: int, canvas: Rgb, true: Rgb, metric: StLpips | None
    ) -> None:
        """Measure a canvas of frame `number` against the true one."""
        face, true_face = canvas[_FACE].astype(np.float32), true[_FACE].astype(np.float32)
        error = max(float(np.square(face - true_face).mean()), 1e-9)
        self.psnrs.append(float(10 * np.log10(255**2 / error)))
        if metric is not None:
            with torch.inference_mode():
                self._distances.append(float(metric(_planes(canvas), _planes(true))))
        previous = self._previous.get(identity)
        if previous is not None and previous[0] == number - 1:
            changed = np.abs(face - previous[1]).mean() - np.abs(true_face - previous[2]).mean()
            self._flickers.append(float(changed))
        self._previous[identity] = number, face, true_face

    def row(self, name: str) -> QualityRow:
        """The means over all faces."""
        return QualityRow(
            name,
            float(np.mean(self.psnrs)),
            float(np.mean(self._distances)) if self._distances else None,
            float(np.mean(self._flickers)) if self._flickers else 0.0,
        )


def _measurable(truth: GroundTruth) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """Identity and place of each face that is unoccluded and small enough."""
    faces = zip(truth.identities, truth.to_frame, truth.visibility, strict=True)
    for identity, to_frame, visibility in faces:
        if visibility >= _UNOCCLUDED and frame_px_per_canvas_px(to_frame) < _LARGE:
            yield int(identity), to_frame


def _planes(canvas: Rgb) -> torch.Tensor:
    return torch.from_numpy(canvas).permute(2, 0, 1)[None].float() / 255


def _detect_per_frame(video: Path, settings: Settings) -> Iterator[Faces]:
    """Detect faces in each single frame, of the sizes that are enhanced."""
    detect = settings.detect
    detector = create_detector(detect.detector, pack=detect.pack, threads=1)
    for _, image in read_video(video):
        bgr = np.ascontiguousarray(image[..., ::-1])
        yield find_faces(
            bgr,
            detector,
            score=_MIN_SCORE,
            min_face=detect.min_face,
            max_face=detect.max_face or CANVAS_FACE,
            enlarge=detect.enlarge,
        )


def _at_equal_false_positives(
    detections: Sequence[Faces],
    truths: Sequence[GroundTruth],
    false_positives: float,
    rate: float,
) -> TrackingMetrics:
    """Metrics of single frames at the lowest score with at most so many false positives."""
    low, high = _MIN_SCORE, 1.0
    best: TrackingMetrics | None = None
    while high - low > 0.005:
        score = (low + high) / 2
        predictions = [FramePrediction(faces.take(faces.scores >= score)) for faces in detections]
        measured = measure_tracking(predictions, truths, rate)
        if measured.false_positives <= false_positives:
            best, high = measured, score
        else:
            low = score
    nothing = [FramePrediction(Faces.none()) for _ in detections]
    return best or measure_tracking(nothing, truths, rate)


def _tracks_of_one_frame(
    analysis: Analysis, detections: Sequence[Faces], pts: Sequence[int], score: float
) -> Analysis:
    """An analysis in which each detection of each frame is a track of its own."""
    tracks: list[Track] = []
    for at, faces in zip(pts, detections, strict=True):
        for number in np.nonzero(faces.scores >= score)[0]:
            one = faces.take(np.array([number]))
            when = np.array([at], np.int64)
            tracks.append(
                Track(
                    number=len(tracks) + 1,
                    pts=when,
                    boxes=one.boxes,
                    landmarks=one.landmarks,
                    scores=one.scores,
                )
            )
    return replace(analysis, tracks=tuple(tracks))
