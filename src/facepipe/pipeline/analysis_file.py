"""analysis.json: the result of the analyze pass, for people to read, edit and render from."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import asdict, replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from facepipe._system.files import atomic_write
from facepipe.configs.settings import LimitSettings
from facepipe.datatypes import Analysis, Damage, Track
from facepipe.errors import InputError
from facepipe.pipeline.limits import check_tracks

FORMAT = "facepipe-analysis/1"
_Pts = Annotated[int, Field(ge=-(2**62), le=2**62)]
_Count = Annotated[int, Field(ge=0, le=2**31)]
_Number = Annotated[float, Field(allow_inf_nan=False, ge=-1e6, le=1e6)]
_Point = tuple[_Number, _Number]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Knot(_Model):
    pts: _Pts
    box: tuple[_Number, _Number, _Number, _Number]
    landmarks: tuple[_Point, _Point, _Point, _Point, _Point]
    score: float = Field(ge=0, le=1)


class _Track(_Model):
    number: _Count
    enhance: bool
    reason: str | None = None
    from_seconds: float
    to_seconds: float
    size_px: float
    knots: tuple[_Knot, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _rising(self) -> _Track:
        pts = [knot.pts for knot in self.knots]
        if any(a >= b for a, b in pairwise(pts)):
            raise ValueError("the knots' pts must rise")
        return self


class _Source(_Model):
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    frames: _Count
    width: int = Field(gt=0, le=2**31)
    height: int = Field(gt=0, le=2**31)
    time_base: str = Field(max_length=40)
    stream: _Count | None = None
    name: str | None = Field(None, max_length=1000)

    @field_validator("time_base")
    @classmethod
    def _fraction(cls, text: str) -> str:
        # No decimal point or exponent: 1e999999999 would be written out.
        if not re.fullmatch(r"0*[1-9][0-9]*(/0*[1-9][0-9]*)?", text, re.ASCII):
            raise ValueError("a time base is a positive fraction such as 1/30000")
        return text


class _Damage(_Model):
    first: _Pts
    last: _Pts
    frames: _Count
    what: str

    @model_validator(mode="after")
    def _in_order(self) -> _Damage:
        if self.first > self.last:
            raise ValueError("the first pts must not lie after the last")
        return self


class _File(_Model):
    format: Literal["facepipe-analysis/1"]
    source: _Source
    cuts: tuple[_Pts, ...] = ()
    warnings: tuple[str, ...] = ()
    damage: tuple[_Damage, ...] = ()
    holdings: dict[str, _Pts] = {}
    tracks: tuple[_Track, ...] = ()

    @model_validator(mode="after")
    def _numbered(self) -> _File:
        numbers = [track.number for track in self.tracks]
        if len(set(numbers)) < len(numbers):
            raise ValueError("two tracks have the same number")
        if any(a > b for a, b in pairwise(self.cuts)):
            raise ValueError("the cuts' pts must rise")
        return self


def write_analysis(analysis: Analysis, path: Path) -> None:
    """Write the analysis atomically, one knot a line. Raises OutputError as the disk refuses."""
    with atomic_write(path) as partial, partial.open("w", encoding="utf-8") as file:
        file.writelines(_lines(analysis))


def read_analysis(path: Path, limits: LimitSettings | None = None) -> Analysis:
    """Read and validate an analysis. Raises InputError that names the first fault."""
    limits = limits or LimitSettings()
    text = _read_text(path, limits)
    try:
        file = _File.model_validate_json(text)
        check_tracks(len(file.tracks), limits, str(path))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise InputError(f"{path}: no valid analysis: {place}: {first['msg']}") from error
    return Analysis(
        source_sha256=file.source.sha256,
        time_base=Fraction(file.source.time_base),
        frames=file.source.frames,
        width=file.source.width,
        height=file.source.height,
        tracks=tuple(_track(track) for track in file.tracks),
        cuts=file.cuts,
        warnings=file.warnings,
        damage=tuple(Damage(**one.model_dump()) for one in file.damage),
        stream=file.source.stream,
        holdings=tuple(sorted(file.holdings.items())),
        source_name=file.source.name or "",
    )


def rounded(analysis: Analysis) -> Analysis:
    """The analysis with the numbers that its file would have, as a run renders from these."""
    tracks = tuple(
        replace(
            track,
            boxes=np.array([_rounded(box) for box in track.boxes], np.float32),
            landmarks=np.array(
                [[_rounded(point) for point in points] for points in track.landmarks], np.float32
            ),
            scores=np.array([_rounded_score(score) for score in track.scores], np.float32),
        )
        for track in analysis.tracks
    )
    return replace(analysis, tracks=tracks)


def _read_text(path: Path, limits: LimitSettings) -> str:
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            raise InputError(f"{path}: this analysis is no regular file")
        most = limits.analysis_megabytes * 10**6
        if path.stat().st_size > most:
            raise InputError(
                f"{path}: {path.stat().st_size} bytes are more than the {most:.0f} that "
                "limits.analysis_megabytes allows; --set limits.analysis_megabytes=N lifts it"
            )
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such analysis file") from error
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: this analysis cannot be read ({error})") from error


def _track(track: _Track) -> Track:
    return Track(
        number=track.number,
        pts=np.array([knot.pts for knot in track.knots], np.int64),
        boxes=np.array([knot.box for knot in track.knots], np.float32),
        landmarks=np.array([knot.landmarks for knot in track.knots], np.float32),
        scores=np.array([knot.score for knot in track.knots], np.float32),
        enhance=track.enhance,
        reason=track.reason,
    )


def track_summary(track: Track, time_base: Fraction) -> dict[str, object]:
    """A track in one line: number, decision, reason, time and size."""
    return {
        "number": track.number,
        "enhance": track.enhance,
        "reason": track.reason,
        "from_seconds": round(float(track.first * time_base), 3),
        "to_seconds": round(float(track.last * time_base), 3),
        "size_px": round(track.size, 1),
    }


def _lines(analysis: Analysis) -> Iterator[str]:
    source: dict[str, object] = {
        "sha256": analysis.source_sha256,
        "frames": analysis.frames,
        "width": analysis.width,
        "height": analysis.height,
        "time_base": str(analysis.time_base),
    }
    if analysis.stream is not None:
        source["stream"] = analysis.stream
    if analysis.source_name:
        source["name"] = analysis.source_name
    yield f'{{\n"format": "{FORMAT}",\n"source": {json.dumps(source)},\n'
    yield f'"cuts": {json.dumps(analysis.cuts)},\n"warnings": {json.dumps(analysis.warnings)},\n'
    yield f'"damage": {json.dumps([asdict(one) for one in analysis.damage])},\n'
    if analysis.holdings:
        yield f'"holdings": {json.dumps(dict(analysis.holdings))},\n'
    yield '"tracks": ['
    for number, track in enumerate(analysis.tracks):
        head = json.dumps(track_summary(track, analysis.time_base))
        yield f'{"," if number else ""}\n{head[:-1]}, "knots": ['
        for k in range(len(track.pts)):
            knot = {
                "pts": int(track.pts[k]),
                "box": _rounded(track.boxes[k]),
                "landmarks": [_rounded(point) for point in track.landmarks[k]],
                "score": _rounded_score(track.scores[k]),
            }
            yield f"{',' if k else ''}\n  {json.dumps(knot)}"
        yield "\n]}"
    yield "\n]\n}\n"


def _rounded(values: np.ndarray) -> list[float]:
    return [round(float(value), 3) if math.isfinite(value) else 0.0 for value in values]


def _rounded_score(score: float) -> float:
    return round(float(score), 4)
