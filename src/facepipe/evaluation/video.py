"""Evaluation of the whole program on videos of large faces: degraded, enhanced, and compared.

The ground truth is a clip in which faces are large. It is downscaled until they are as small as in
typical footage, coded by x264, enhanced by facepipe, and measured inside the boxes of the faces.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch

from facepipe.configs.settings import Settings
from facepipe.datatypes import Track, VideoInfo
from facepipe.errors import InputError, UsageError
from facepipe.evaluation.clips import CLIP_SUFFIX, Rgb, downscale, read_video, upscale, write_video
from facepipe.evaluation.tables import format_cell, markdown_table
from facepipe.models.networks.stlpips import StLpips, load_installed_stlpips
from facepipe.pipeline import api
from facepipe.pipeline.analysis_file import read_analysis
from facepipe.video.probe import probe

Box = tuple[int, int, int, int]
BICUBIC = "bicubic"
#: Side to which boxes are resized for ST-LPIPS, px, and frames from one ST-LPIPS to the next.
_SIDE, _ST_LPIPS_STEP = 128, 6
_CRF = 8.0  # of the results, so that their own coding does not count
_NO_FACE = "no face that is large enough was found, so there is no ground truth"


@dataclass(frozen=True)
class VideoRow:
    """Image quality in the boxes of the faces, the mean over all boxes in all frames.

    `psnr` in dB over RGB and `gain_db`, that less the PSNR of bicubic, higher is better; lower is
    better for `st_lpips` (None where its package is missing) and `flicker`: the mean absolute
    difference between the change from frame to frame and that of the ground truth, in code values.
    """

    name: str
    psnr: float
    gain_db: float
    st_lpips: float | None
    flicker: float


@dataclass(frozen=True)
class VideoEvaluation:
    """Metrics of all rows on one video; `boxes` were measured for each."""

    video: str
    face_px: float
    scale: int
    crf: int
    frames: int
    boxes: int
    rows: tuple[VideoRow, ...]

    def to_markdown(self) -> str:
        """The metrics as a Markdown table, with what was measured above it."""
        lines = [
            f"`{self.video}`: faces of {self.face_px:g} px, crf {self.crf}, enlarged {self.scale} "
            f"times; {self.boxes} faces in {self.frames} frames.",
            "",
        ]
        rows = [
            [
                row.name,
                format_cell(row.psnr, ".2f"),
                format_cell(row.gain_db, "+.2f"),
                format_cell(row.st_lpips, ".4f"),
                format_cell(row.flicker, ".3f"),
            ]
            for row in self.rows
        ]
        headings = ["restorer", "PSNR", "gain dB", "ST-LPIPS", "flicker"]
        return "\n".join(lines + markdown_table(headings, rows)) + "\n"


@dataclass(frozen=True, eq=False)
class _GroundTruth:
    """The frames of the clip at the size that is measured, and the boxes of the faces in each."""

    frames: list[Rgb]
    boxes: list[list[Box]]

    @staticmethod
    def of(
        clip: Sequence[tuple[int, Rgb]], tracks: Sequence[Track], size: tuple[int, int]
    ) -> _GroundTruth:
        """The clip, images by pts, at `size` (width, height)."""
        ratio = size[0] / clip[0][1].shape[1]
        return _GroundTruth(
            [downscale(image, size) for _, image in clip],
            [_boxes(tracks, pts, ratio, size) for pts, _ in clip],
        )


def evaluate_video(
    source: Path,
    restorers: Sequence[str],
    settings: Settings,
    *,
    face_px: float = 24,
    crf: int = 28,
    frames: int = 90,
) -> VideoEvaluation:
    """Measure `restorers`, and bicubic upscaling before them, on the first `frames` of `source`.

    The clip is downscaled until the median face is `face_px` wide, and enhanced by `settings` at
    their scale. It is measured at that size, or at its own where that is smaller.
    Raises UsageError, InputError where no face is larger than that, and the errors of `enhance`.
    """
    scale = settings.output.scale
    if BICUBIC in restorers:
        raise UsageError("bicubic is always measured, leave it out of the restorers")
    info = probe(source)
    stop = info.pts[frames] if frames < len(info.pts) else info.pts[-1] + 1
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tracks = _find_tracks(source, info, stop, settings, folder)
        ratio = face_px / float(np.median([track.size for track in tracks]))
        if ratio >= 1:
            raise InputError(f"{source}: {_NO_FACE} of {face_px:g} px")
        clip = list(read_video(source, stop=stop))
        height, width = clip[0][1].shape[:2]
        small = (round(width * ratio / 2) * 2, round(height * ratio / 2) * 2)
        large = (small[0] * scale, small[1] * scale)
        low = folder / f"low{CLIP_SUFFIX}"
        rate = Fraction(info.frames_per_second).limit_denominator(1001)
        write_video((downscale(image, small) for _, image in clip), low, rate=rate, crf=crf)
        # No larger than the clip: detail that it lacks cannot be measured.
        size = large if large[0] < width else (width, height)
        truth = _GroundTruth.of(clip, tracks, size)
        st_lpips = load_installed_stlpips()
        bicubic = [downscale(upscale(image, large), size) for _, image in read_video(low)]
        rows = [_measure(BICUBIC, bicubic, truth, st_lpips, None)]
        for restorer in restorers:
            target = folder / f"{len(rows)}{CLIP_SUFFIX}"
            api.enhance(low, target, _with_restorer(settings, restorer))
            restored = [downscale(image, size) for _, image in read_video(target)]
            rows.append(_measure(restorer, restored, truth, st_lpips, rows[0].psnr))
    count = sum(map(len, truth.boxes))
    return VideoEvaluation(source.name, face_px, scale, crf, len(clip), count, tuple(rows))


def _with_restorer(settings: Settings, restorer: str) -> Settings:
    restore = settings.restore.model_copy(update={"restorer": restorer})
    output = settings.output.model_copy(update={"crf": _CRF})
    return settings.model_copy(update={"restore": restore, "output": output})


def _find_tracks(
    source: Path, info: VideoInfo, stop: int, settings: Settings, folder: Path
) -> tuple[Track, ...]:
    """The accepted tracks before pts `stop`, of faces of any size."""
    detect = settings.detect.model_copy(update={"max_face": 1e6})
    seconds = float((stop - info.pts[0]) * info.time_base)
    output = settings.output.model_copy(update={"end": seconds, "start": None})
    chosen = settings.model_copy(update={"detect": detect, "output": output})
    api.analyze(source, folder / "truth.json", chosen)
    tracks = tuple(t for t in read_analysis(folder / "truth.json").tracks if t.enhance)
    if not tracks:
        raise InputError(f"{source}: {_NO_FACE}")
    return tracks


def _boxes(tracks: Sequence[Track], pts: int, ratio: float, size: tuple[int, int]) -> list[Box]:
    boxes = []
    for track in tracks:
        if track.covers(pts):
            x0, y0, x1, y1 = np.rint(track.box_at(pts) * ratio).astype(int).tolist()
            box = (max(x0, 0), max(y0, 0), min(x1, size[0]), min(y1, size[1]))
            if box[2] - box[0] >= 8 and box[3] - box[1] >= 8:
                boxes.append(box)
    return boxes


def _measure(
    name: str,
    frames: Sequence[Rgb],
    truth: _GroundTruth,
    metric: StLpips | None,
    bicubic_psnr: float | None,
) -> VideoRow:
    if len(frames) != len(truth.frames):
        raise InputError(f"{name}: {len(frames)} frames came back of {len(truth.frames)}")
    psnrs, distances, flickers = [], [], []
    for number, boxes in enumerate(truth.boxes):
        for x0, y0, x1, y1 in boxes:
            inside = np.s_[y0:y1, x0:x1]
            face = frames[number][inside].astype(float)
            true_face = truth.frames[number][inside].astype(float)
            error = max(float(np.square(face - true_face).mean()), 1e-9)
            psnrs.append(10 * np.log10(255**2 / error))
            if metric is not None and number % _ST_LPIPS_STEP == 0:
                with torch.inference_mode():
                    planes = _planes(frames[number][inside])
                    true_planes = _planes(truth.frames[number][inside])
                    distances.append(float(metric(planes, true_planes)))
            if number:
                change = face - frames[number - 1][inside]
                true_change = true_face - truth.frames[number - 1][inside]
                flickers.append(float(np.abs(change - true_change).mean()))
    psnr = float(np.mean(psnrs))
    return VideoRow(
        name,
        psnr,
        0.0 if bicubic_psnr is None else psnr - bicubic_psnr,
        float(np.mean(distances)) if distances else None,
        float(np.mean(flickers)) if flickers else 0.0,
    )


def _planes(image: Rgb) -> torch.Tensor:
    resized = upscale(image, (_SIDE, _SIDE))
    return torch.from_numpy(resized).permute(2, 0, 1)[None].float() / 255
