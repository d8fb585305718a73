"""A film whose truth is known: made small and coded, enhanced, and laid beside what it was.

The truth is a clip in which faces are large. It is reduced until they are as small as they are in
the footage that people bring, coded by x264, enhanced by the whole of facepipe, and measured inside
the faces' boxes.
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
from facepipe.evaluation.clips import Rgb, enlarged, read_film, reduced, write_film
from facepipe.evaluation.tables import cell, table
from facepipe.models.networks.stlpips import StLpips, find_stlpips_weights, load_stlpips
from facepipe.pipeline import api as run
from facepipe.pipeline.analysis_file import read_analysis
from facepipe.video.probe import probe

Box = tuple[int, int, int, int]
BICUBIC = "bicubic"
#: Side to which boxes are brought for ST-LPIPS, px, and how many frames apart: it is slow.
_SIDE, _EVERY = 128, 6
_NO_FACE = "no face that is large enough was found, so there is no truth to measure by"


@dataclass(frozen=True)
class FilmRow:
    """What stands in the boxes of the faces, means over all of them in all frames.

    `psnr` in dB over RGB and `gain_db` above bicubic's, higher is better; `st_lpips` and `flicker`
    lower: flicker is by how many code values a picture changes from frame to frame otherwise than
    the truth does. `st_lpips` is None where the optional package is not installed.
    """

    name: str
    psnr: float
    gain_db: float
    st_lpips: float | None
    flicker: float


@dataclass(frozen=True)
class FilmEvaluation:
    """The figures of all rows on one film; `boxes` were measured in each."""

    film: str
    face_px: float
    scale: int
    crf: int
    frames: int
    boxes: int
    rows: tuple[FilmRow, ...]

    def to_markdown(self) -> str:
        """The figures as a table, with what was measured above it."""
        lines = [
            f"`{self.film}`: faces of {self.face_px:g} px, crf {self.crf}, enlarged {self.scale} "
            f"times; {self.boxes} faces in {self.frames} frames.",
            "",
        ]
        rows = [
            [
                row.name,
                cell(row.psnr, ".2f"),
                cell(row.gain_db, "+.2f"),
                cell(row.st_lpips, ".4f"),
                cell(row.flicker, ".3f"),
            ]
            for row in self.rows
        ]
        headings = ["restorer", "PSNR", "gain dB", "ST-LPIPS", "flicker"]
        return "\n".join(lines + table(headings, rows)) + "\n"


def evaluate_film(
    source: Path,
    restorers: Sequence[str],
    settings: Settings,
    *,
    face_px: float = 24,
    crf: int = 28,
    frames: int = 90,
) -> FilmEvaluation:
    """Measure `restorers`, and bicubic enlargement before them, on the first `frames` of `source`.

    The film is reduced until the median face is `face_px` wide, and enhanced by `settings`, with
    their scale; it is measured at that size, or at the truth's own where that is smaller.
    Raises UsageError, InputError where no face is larger than that, and what `run.enhance` raises.
    """
    scale = settings.output.scale
    if BICUBIC in restorers:
        raise UsageError("bicubic is always measured, leave it out of the restorers")
    info = probe(source)
    stop = info.pts[frames] if frames < len(info.pts) else info.pts[-1] + 1
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tracks = _faces(source, info, stop, settings, folder)
        shown = list(read_film(source, stop=stop))
        ratio = face_px / float(np.median([track.size for track in tracks]))
        if ratio >= 1:
            raise InputError(f"{source}: {_NO_FACE} of {face_px:g} px")
        height, width = shown[0][1].shape[:2]
        small = (round(width * ratio / 2) * 2, round(height * ratio / 2) * 2)
        large = (small[0] * scale, small[1] * scale)
        # No larger than the truth is: what it does not show cannot be measured.
        size = large if large[0] < width else (width, height)
        low_film = folder / "low.mp4"
        rate = Fraction(info.frames_per_second).limit_denominator(1001)
        write_film((reduced(picture, small) for _, picture in shown), low_film, rate=rate, crf=crf)
        truth = [reduced(picture, size) for _, picture in shown]
        boxes = [_boxes(tracks, pts, size[0] / width, size) for pts, _ in shown]
        metric = find_stlpips_weights()
        perceptual = None if metric is None else load_stlpips(metric)
        low = [enlarged(picture, large) for _, picture in read_film(low_film)]
        low = [reduced(picture, size) for picture in low]
        rows = [_row(BICUBIC, low, truth, boxes, perceptual, 0.0)]
        for restorer in restorers:
            restore = settings.restore.model_copy(update={"restorer": restorer})
            output = settings.output.model_copy(update={"crf": 8.0})
            chosen = settings.model_copy(update={"restore": restore, "output": output})
            target = folder / f"{len(rows)}.mp4"
            run.enhance(low_film, target, chosen)
            film = [reduced(picture, size) for _, picture in read_film(target)]
            rows.append(_row(restorer, film, truth, boxes, perceptual, rows[0].psnr))
    count = sum(map(len, boxes))
    return FilmEvaluation(source.name, face_px, scale, crf, len(truth), count, tuple(rows))


def _faces(
    source: Path, info: VideoInfo, stop: int, settings: Settings, folder: Path
) -> tuple[Track, ...]:
    """The tracks of real faces, however large."""
    detect = settings.detect.model_copy(update={"max_face": 1e6})
    seconds = float((stop - info.pts[0]) * info.time_base)
    output = settings.output.model_copy(update={"end": seconds, "start": None})
    looked = settings.model_copy(update={"detect": detect, "output": output})
    run.analyze(source, folder / "truth.json", looked)
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


def _row(
    name: str,
    film: Sequence[Rgb],
    truth: Sequence[Rgb],
    boxes: Sequence[Sequence[Box]],
    perceptual: StLpips | None,
    base: float,
) -> FilmRow:
    if len(film) != len(truth):
        raise InputError(f"{name}: {len(film)} frames came back of {len(truth)}")
    psnrs, distances, flickers = [], [], []
    for number, found in enumerate(boxes):
        for x0, y0, x1, y1 in found:
            place = np.s_[y0:y1, x0:x1]
            one, other = film[number][place].astype(float), truth[number][place].astype(float)
            error = max(float(np.square(one - other).mean()), 1e-9)
            psnrs.append(10 * np.log10(255**2 / error))
            if perceptual is not None and number % _EVERY == 0:
                with torch.inference_mode():
                    pair = [_planes(picture[number][place]) for picture in (film, truth)]
                    distances.append(float(perceptual(*pair)))
            if number:
                step = one - film[number - 1][place]
                true_step = other - truth[number - 1][place]
                flickers.append(float(np.abs(step - true_step).mean()))
    psnr = float(np.mean(psnrs))
    return FilmRow(
        name,
        psnr,
        psnr - base if base else 0.0,
        float(np.mean(distances)) if distances else None,
        float(np.mean(flickers)) if flickers else 0.0,
    )


def _planes(picture: Rgb) -> torch.Tensor:
    large = enlarged(picture, (_SIDE, _SIDE))
    return torch.from_numpy(large).permute(2, 0, 1)[None].float() / 255
