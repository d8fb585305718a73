"""What a report is made of: an analysis, or an output and its sidecar, and the source."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from facepipe._system.files import is_there, sha256_of
from facepipe.configs.settings import LimitSettings, Settings
from facepipe.datatypes import CANVAS_FACE, Float32, Track
from facepipe.errors import InputError
from facepipe.faces.canvas import TEMPLATE
from facepipe.pipeline.analysis_file import read_analysis
from facepipe.pipeline.sidecar import REPORT_SUFFIX, Sidecar, TrackReport, sidecar_path
from facepipe.presentation.charts import Stretch
from facepipe.video.damage import describe_damage, places

#: Where a face stands in its box: the template's points from the box's corner, in its sizes.
_IN_BOX = (TEMPLATE - TEMPLATE.mean(0)) / CANVAS_FACE + (0.5, 0.55)


@dataclass(frozen=True, eq=False)
class Document:
    """All that was written of a source's faces, from an analysis or from a sidecar.

    Times are seconds by the source's clock, as its pts are. `output` is None for an analysis.
    `source` is None where the file was not found, or is another one.
    """

    path: Path
    tracks: tuple[Track, ...]
    source_name: str
    source_sha256: str
    frames: int
    width: int
    height: int
    source: Path | None
    tick: float = 0.0  # seconds of a tick of its pts
    begin: float = 0.0  # time of the first picture, as far as it is written
    cuts: tuple[float, ...] = ()
    cut_pts: tuple[int, ...] = ()
    damage: tuple[Stretch, ...] = ()
    copied: tuple[Stretch, ...] = ()
    unenhanced: tuple[Stretch, ...] = ()
    warnings: tuple[str, ...] = ()
    stream: int | None = None
    settings: Settings | None = None
    output: Path | None = None
    sidecar: Sidecar | None = None

    @property
    def earlier(self) -> Fraction:
        """Seconds by which all times of the output are earlier than the source's."""
        clock = self.sidecar.clock if self.sidecar else None
        return Fraction(clock.output_earlier_seconds) if clock else Fraction(0)


def read_document(
    path: Path, *, source: Path | None = None, limits: LimitSettings | None = None
) -> Document:
    """Read an analysis, a sidecar, or an output by the sidecar beside it.

    `source` None: it is looked for beside the file and in the current folder, by the name that is
    written. Raises InputError where there is no report, and for a `source` of another digest.
    """
    if not is_there(path):
        raise InputError(f"{path}: there is no such file")
    if path.name.endswith(REPORT_SUFFIX):
        return _of_sidecar(path, path.with_name(path.name[: -len(REPORT_SUFFIX)]), source)
    if is_there(sidecar_path(path)):
        return _of_sidecar(sidecar_path(path), path, source)
    if path.suffix.lower() != ".json":
        raise InputError(
            f"{path}: there is no report beside it ({sidecar_path(path).name}); name an analysis, "
            "or an output of facepipe that lies beside its report"
        )
    return _of_analysis(path, source, limits)


def _of_analysis(path: Path, source: Path | None, limits: LimitSettings | None) -> Document:
    analysis = read_analysis(path, limits)
    base = analysis.time_base
    name = analysis.source_name or (source.name if source else "")
    return Document(
        path=path,
        tracks=analysis.tracks,
        source_name=name,
        source_sha256=analysis.source_sha256,
        frames=analysis.frames,
        width=analysis.width,
        height=analysis.height,
        source=_found(source, name, path, analysis.source_sha256),
        tick=float(base),
        cuts=tuple(float(cut * base) for cut in analysis.cuts),
        cut_pts=analysis.cuts,
        damage=tuple(
            Stretch(float(one.first * base), float(one.last * base), one.what)
            for one in places(analysis.damage, base)
        ),
        warnings=(*analysis.warnings, *describe_damage(analysis.damage, base)),
        stream=analysis.stream,
    )


def _of_sidecar(path: Path, output: Path, source: Path | None) -> Document:
    sidecar = read_sidecar(path)
    there = output if is_there(output) and output.is_file() else None
    return Document(
        path=path,
        tracks=tuple(_track(one) for one in sidecar.tracks),
        source_name=sidecar.source.name,
        source_sha256=sidecar.source.sha256,
        frames=sidecar.source.frames,
        width=sidecar.source.width,
        height=sidecar.source.height,
        source=_found(source, sidecar.source.name, path, sidecar.source.sha256),
        tick=_tick(sidecar.tracks),
        begin=sidecar.clock.begins_at_seconds if sidecar.clock else 0.0,
        cuts=tuple(sidecar.cuts or ()),
        damage=tuple(Stretch(d.from_seconds, d.to_seconds, d.what) for d in sidecar.damage),
        copied=tuple(Stretch(c.from_seconds, c.to_seconds) for c in sidecar.copied),
        unenhanced=tuple(
            Stretch(p.from_seconds, p.to_seconds, p.reason) for p in sidecar.passed_through
        ),
        warnings=tuple(sidecar.warnings),
        stream=sidecar.source.stream,
        settings=sidecar.settings,
        output=there,
        sidecar=sidecar,
    )


def read_sidecar(path: Path) -> Sidecar:
    """Read the sidecar of an output. Raises InputError for one that is damaged."""
    try:
        return Sidecar.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise InputError(f"{path}: no valid report: {place}: {first['msg']}") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error


def _found(source: Path | None, name: str, beside: Path, sha256: str) -> Path | None:
    """The source's file. InputError for a named one that is missing or of another digest."""
    if source is not None:
        if not is_there(source) or not source.is_file():
            raise InputError(f"{source}: there is no such file")
        if sha256_of(source) != sha256:
            raise InputError(f"{source}: is another file than the source (sha256 differs)")
        return source
    for candidate in _candidates(name, beside):
        if is_there(candidate) and candidate.is_file() and sha256_of(candidate) == sha256:
            return candidate
    return None


def _candidates(name: str, beside: Path) -> Iterator[Path]:
    """Where a source of that name may lie; nowhere for a name that leads elsewhere."""
    if name and Path(name).name == name:
        yield beside.parent / name
        yield Path(name)


def _track(report: TrackReport) -> Track:
    """A track of a sidecar, which has boxes: the landmarks are those of a frontal face in each."""
    knots = sorted(report.knots, key=lambda knot: knot.pts)
    boxes = np.array([knot.box for knot in knots], np.float32)
    scores = [np.nan if knot.score is None else knot.score for knot in knots]
    return Track(
        number=report.number,
        pts=np.array([knot.pts for knot in knots], np.int64),
        boxes=boxes,
        landmarks=_frontal(boxes),
        scores=np.array(scores, np.float32),
        enhance=report.enhance,
        reason=report.reason,
    )


def _tick(tracks: Sequence[TrackReport]) -> float:
    """Seconds of a tick, by the longest track: its times and its pts say it."""
    known = [
        (one.to_seconds - one.from_seconds, one.knots[-1].pts - one.knots[0].pts)
        for one in tracks
        if len(one.knots) > 1
    ]
    seconds, ticks = max(known, default=(0.0, 0))
    return seconds / ticks if ticks else 0.0


def _frontal(boxes: Float32) -> Float32:
    sides = boxes[:, 2:] - boxes[:, :2]
    return np.asarray(boxes[:, None, :2] + _IN_BOX[None] * sides[:, None], np.float32)


def settings_lines(settings: Settings) -> Sequence[tuple[str, str, bool]]:
    """Each setting as (key, value, whether it is not the default), as TOML spells it."""
    lines = []
    default = dict(_flat(Settings().model_dump(mode="json")))
    for key, value in _flat(settings.model_dump(mode="json")):
        lines.append((key, json.dumps(value, ensure_ascii=False), value != default.get(key)))
    return lines


def _flat(values: dict[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
