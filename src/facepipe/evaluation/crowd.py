"""The whole of facepipe among a crowd whose places are known: found, followed, restored."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from facepipe.configs.settings import Settings
from facepipe.datatypes import Analysis, Faces, Float32, Track
from facepipe.errors import InputError, UsageError
from facepipe.evaluation.clips import Rgb, enlarged, read_film, write_film
from facepipe.evaluation.synthetic_crowd import BOX, Crowd, Shown
from facepipe.evaluation.tables import cell, table
from facepipe.evaluation.tracking_metrics import EDGES, Following, Looked, measure_following
from facepipe.faces.canvas import CANVAS_FACE, frame_px_per_canvas_px, resampled
from facepipe.faces.detection.finder import find_faces
from facepipe.faces.restoration.paste import scaled
from facepipe.models.detectors import create_detector
from facepipe.models.networks.stlpips import StLpips, find_stlpips_weights, load_stlpips
from facepipe.pipeline import api as run
from facepipe.pipeline.analysis_file import read_analysis, write_analysis
from facepipe.video.probe import probe

BICUBIC, ALONE = "bicubic", "each frame alone"
#: The least score at which a single frame's face is written down.
_FLOOR = 0.3
#: Frame px per canvas px from which a face is large enough as it is.
_LARGE = 0.85
#: Share of a face that must be seen, so that its picture counts.
_WHOLE = 0.95
_EVERY = 6  # frames from one ST-LPIPS to the next: it is slow
_FACE = np.s_[int(BOX[1]) : int(BOX[3]), int(BOX[0]) : int(BOX[2])]
_CRF = 8.0  # of what is measured, so that its own coding does not count


@dataclass(frozen=True)
class FollowingRow:
    """A way to find faces, and how well it does."""

    name: str
    following: Following


@dataclass(frozen=True)
class PictureRow:
    """What stands on the canvases of the true faces, means over all of them in all frames.

    `psnr` in dB, higher is better; `st_lpips` (None where its package is missing) and `flicker`,
    lower: by how many code values a face changes from frame to frame, once its true motion is taken
    out, more than it truly does.
    """

    name: str
    psnr: float
    st_lpips: float | None
    flicker: float


@dataclass(frozen=True)
class CrowdEvaluation:
    """The figures of all rows on one crowd; `faces` canvases were measured in each."""

    frames: int
    faces: int
    scale: int
    following: tuple[FollowingRow, ...]
    pictures: tuple[PictureRow, ...]

    def to_markdown(self) -> str:
        """Two tables: found and followed, and what the faces look like."""
        names = [f"{low:g}-{high:g} px" for low, high in pairwise(EDGES)]
        names.append(f"{EDGES[-1]:g} px and more")
        lines = [f"{self.frames} frames of a crowd, {self.faces} faces in all.", ""]
        lines += table(
            ["found", *names, "false faces", "breaks", "switches", "jitter", "offset"],
            [
                [
                    row.name,
                    *(cell(share, ".3f") for share in row.following.recall),
                    cell(row.following.false, ".3f"),
                    cell(row.following.breaks, "d"),
                    cell(row.following.switches, "d"),
                    cell(row.following.jitter, ".2f"),
                    cell(row.following.offset, ".2f"),
                ]
                for row in self.following
            ],
        )
        lines += ["", f"Enlarged {self.scale} times:", ""]
        lines += table(
            ["restored", "PSNR", "ST-LPIPS", "flicker"],
            [
                [
                    row.name,
                    cell(row.psnr, ".2f"),
                    cell(row.st_lpips, ".4f"),
                    cell(row.flicker, ".3f"),
                ]
                for row in self.pictures
            ],
        )
        return "\n".join(lines) + "\n"


def evaluate_crowd(crowd: Crowd, settings: Settings, restorers: Sequence[str]) -> CrowdEvaluation:
    """Film the crowd, let facepipe find, follow and restore its faces, and measure all of it.

    Beside it stand what single frames give: faces found in each frame alone, at as many false ones
    as the tracks have, and each restored alone. Raises UsageError, InputError where not one face
    was to be measured, and what `run.enhance` raises.
    """
    if BICUBIC in restorers or ALONE in restorers:
        raise UsageError(f"{BICUBIC} and {ALONE} are always measured, leave them out")
    plan = crowd.plan
    scale = settings.output.scale
    shown = [crowd.shown(number) for number in range(plan.frames)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        low = folder / "low.mp4"
        write_film(crowd.film(), low, rate=Fraction(plan.rate), crf=plan.crf)
        run.analyze(low, folder / "analysis.json", settings)
        analysis = read_analysis(folder / "analysis.json")
        pts = probe(low).pts
        tracks = [Looked.of(analysis.tracks, at) for at in pts]
        singles = list(_singles(low, settings))
        following = [
            FollowingRow("tracks", measure_following(tracks, shown, plan.rate)),
        ]
        equal = _at_equal_falsehood(singles, shown, following[0].following.false, plan.rate)
        following.insert(0, FollowingRow("single frames", equal))
        write_analysis(
            _frame_by_frame(analysis, singles, pts, settings.detect.score), folder / "alone.json"
        )
        output = settings.output.model_copy(update={"crf": _CRF})
        films = {ALONE: (restorers[0], folder / "alone.json")}
        films |= {restorer: (restorer, folder / "analysis.json") for restorer in restorers}
        made: dict[str, Path] = {}
        for number, (row, (restorer, found)) in enumerate(films.items()):
            restore = settings.restore.model_copy(update={"restorer": restorer})
            chosen = settings.model_copy(update={"restore": restore, "output": output})
            made[row] = folder / f"{number}.mp4"
            run.render(low, found, made[row], chosen)
        meters = {name: _Meter() for name in (BICUBIC, *made)}
        readers = [read_film(path) for path in made.values()]
        weights = find_stlpips_weights()
        perceptual = None if weights is None else load_stlpips(weights)
        for number, frames in enumerate(zip(read_film(low), *readers, strict=True)):
            truth = crowd.draw(number, scale)
            size = (truth.shape[1], truth.shape[0])
            pictures = [enlarged(frames[0][1], size), *(picture for _, picture in frames[1:])]
            metric = perceptual if number % _EVERY == 0 else None
            for who, place in _to_measure(shown[number]):
                to_picture = scaled(place, scale)
                true = resampled(truth, to_picture)
                for meter, picture in zip(meters.values(), pictures, strict=True):
                    meter.add(number, who, resampled(picture, to_picture), true, metric)
    count = len(meters[BICUBIC].psnrs)
    if not count:
        raise InputError("not one face of the crowd is small and to be seen")
    rows = tuple(meter.row(name) for name, meter in meters.items())
    return CrowdEvaluation(plan.frames, count, scale, tuple(following), rows)


class _Meter:
    """Adds up what stands on the canvases of one film."""

    def __init__(self) -> None:
        self.psnrs: list[float] = []
        self._distances: list[float] = []
        self._flickers: list[float] = []
        self._before: dict[int, tuple[int, Float32, Float32]] = {}

    def add(self, number: int, who: int, canvas: Rgb, true: Rgb, metric: StLpips | None) -> None:
        face, true_face = canvas[_FACE].astype(np.float32), true[_FACE].astype(np.float32)
        error = max(float(np.square(face - true_face).mean()), 1e-9)
        self.psnrs.append(float(10 * np.log10(255**2 / error)))
        if metric is not None:
            with torch.inference_mode():
                self._distances.append(float(metric(_planes(canvas), _planes(true))))
        before = self._before.get(who)
        if before is not None and before[0] == number - 1:
            changed = np.abs(face - before[1]).mean() - np.abs(true_face - before[2]).mean()
            self._flickers.append(float(changed))
        self._before[who] = number, face, true_face

    def row(self, name: str) -> PictureRow:
        return PictureRow(
            name,
            float(np.mean(self.psnrs)),
            float(np.mean(self._distances)) if self._distances else None,
            float(np.mean(self._flickers)) if self._flickers else 0.0,
        )


def _to_measure(shown: Shown) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """Who is wholly to be seen and small enough, and where."""
    for who, to_frame, seen in zip(shown.who, shown.to_frame, shown.seen, strict=True):
        if seen >= _WHOLE and frame_px_per_canvas_px(to_frame) < _LARGE:
            yield int(who), to_frame


def _planes(canvas: Rgb) -> torch.Tensor:
    return torch.from_numpy(canvas).permute(2, 0, 1)[None].float() / 255


def _singles(film: Path, settings: Settings) -> Iterator[Faces]:
    """What is found in each frame of the film by itself, of a size that is enhanced."""
    detect = settings.detect
    detector = create_detector(detect.detector, pack=detect.pack, threads=1)
    for _, picture in read_film(film):
        bgr = np.ascontiguousarray(picture[..., ::-1])
        yield find_faces(
            bgr,
            detector,
            score=_FLOOR,
            min_face=detect.min_face,
            max_face=detect.max_face or CANVAS_FACE,
            enlarge=detect.enlarge,
        )


def _at_equal_falsehood(
    singles: Sequence[Faces], shown: Sequence[Shown], false: float, rate: float
) -> Following:
    """Single frames at the lowest score at which no more of their faces are false."""
    low, high = _FLOOR, 1.0
    best: Following | None = None
    while high - low > 0.005:
        score = (low + high) / 2
        looked = [Looked(faces.take(faces.scores >= score)) for faces in singles]
        measured = measure_following(looked, shown, rate)
        if measured.false <= false:
            best, high = measured, score
        else:
            low = score
    return best or measure_following([Looked(Faces.none()) for _ in singles], shown, rate)


def _frame_by_frame(
    analysis: Analysis, singles: Sequence[Faces], pts: Sequence[int], score: float
) -> Analysis:
    """An analysis in which every face of every frame is a track of its own."""
    tracks: list[Track] = []
    for at, faces in zip(pts, singles, strict=True):
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
