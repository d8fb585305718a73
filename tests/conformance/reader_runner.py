"""Show source and result of a case to other programs, and hold what they see against each other."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from conformance.cases import Case
from conformance.reader_cases import number_of, times_of
from conformance.readers import installed
from conformance.readers.base import Facts, Reader, ReaderError, Shown
from conformance.readers.photographs import SUFFIXES
from conformance.runner import Cell, Row
from facepipe import enhance
from facepipe.configs.settings import load_settings
from facepipe.errors import FacepipeError
from facepipe.pipeline.sidecar import sidecar_path
from facepipe.workers.local import LocalExecutor

#: How far a frame may be off, as a mean of 255: the faces are restored, and frames encoded anew.
_LOSS = 8.0
#: By how much times may differ that readers tell, in seconds: less than a frame.
_LATE = 0.03
_SECONDS = re.compile(r"(-?[\d.]+) s")
_AT_MOST = "at most: "


@dataclass(frozen=True)
class Seen:
    """What a reader sees of a video; `refused`: why it does not open it."""

    facts: Facts
    frames: Sequence[Shown | None] | None
    complaints: Sequence[str]
    refused: str = ""


def run(case: Case, folder: Path) -> Row:
    """Make the video in `folder`, enhance it there, and ask every reader that is installed."""
    source = case.make(folder / f"in{case.suffix}")
    target = folder / f"out{case.written}"
    settings = load_settings(assignments=["workers=1", *case.settings])
    try:
        summary = enhance(source, target, settings, executor=LocalExecutor(1))
    except FacepipeError as error:
        return Row(case, "fail", str(error).replace(f"{folder}/", ""))
    if not summary.faces:
        return Row(case, "fail", "no face was enhanced")
    times = [] if case.suffix in SUFFIXES else times_of(source, _copied(target))
    cells = {}
    with ThreadPoolExecutor(2) as both:
        for reader in installed():
            if case.suffix in reader.suffixes and case.written in reader.suffixes:
                asked = [both.submit(look, reader, path, times) for path in (source, target)]
                before, after = (one.result() for one in asked)
                cells[reader.name] = compared(before, after, times)
    verdict = "fail" if any(cell.verdict == "fail" for cell in cells.values()) else "pass"
    return Row(case, verdict, cells=cells, warnings=summary.warnings)


def _copied(target: Path) -> list[tuple[float, float]]:
    told = json.loads(sidecar_path(target).read_text(encoding="utf-8"))
    return [(part["from_seconds"], part["to_seconds"]) for part in told["copied"]]


def look(reader: Reader, path: Path, times: Sequence[float]) -> Seen:
    """All that a reader sees of a file."""
    try:
        return Seen(reader.facts(path), reader.frames(path, times), reader.complaints(path))
    except ReaderError as error:
        return Seen({}, None, (), str(error) or "it fails")


def compared(source: Seen, result: Seen, times: Sequence[float]) -> Cell:
    """Whether a reader sees the same in both; "-": it does not open the source."""
    if source.refused:
        return Cell("-", f"does not open the source: {source.refused}")
    if result.refused:
        return Cell("fail", f"does not open the result: {result.refused}")
    said = [
        *_frame_words(source.frames or (), result.frames or (), times),
        *fact_words(source.facts, result.facts),
        *complaint_words(source.complaints, result.complaints),
    ]
    return Cell("fail", "; ".join(said)) if said else Cell("pass")


def _frame_words(
    source: Sequence[Shown | None], result: Sequence[Shown | None], times: Sequence[float]
) -> Iterator[str]:
    """Where the result shows another frame than the source does."""
    if not times:  # a photograph
        yield from filter(None, map(_image_words, source, result))
        return
    others = []
    for time, one, other in zip(times, source, result, strict=False):
        if one is None:
            continue
        wanted = number_of(one)
        got = None if other is None else number_of(other)
        if got != wanted:
            others.append(f"{time:.3f} s: {'nothing' if got is None else got} for {wanted}")
        elif other is not None and one.shape == other.shape:
            off = float(np.abs(one.astype(int) - other).mean())
            if off > _LOSS:
                others.append(f"{time:.3f} s: off by {off:.0f}")
    if others:
        yield f"another frame after {len(others)} of {len(times)} seeks ({', '.join(others[:4])})"


def _image_words(one: Shown | None, other: Shown | None) -> str:
    if one is None or other is None or one.shape != other.shape:
        return "the image has another shape"
    off = float(np.abs(one.astype(int) - other).mean())
    return f"the image is off by {off:.0f}" if off > _LOSS else ""


def fact_words(source: Facts, result: Facts) -> Iterator[str]:
    """Facts that differ; what is said of the result alone is none of them."""
    for key, value in source.items():
        other = result.get(key)
        if other != value and not _is_near(key, value, other):
            yield f"{key}: {other} for {value}"


def _is_near(key: str, value: str, other: str | None) -> bool:
    if other is None:
        return False
    if key.startswith(_AT_MOST):
        return float(other) <= float(value) + _LATE
    times = _SECONDS.fullmatch(value), _SECONDS.fullmatch(other)
    if times[0] and times[1]:
        return abs(float(times[0][1]) - float(times[1][1])) <= _LATE
    return False


def complaint_words(source: Iterable[str], result: Iterable[str]) -> Iterator[str]:
    """What a reader finds wrong with the result alone, whatever the numbers in it."""
    known = {re.sub(r"\d+", "#", line) for line in source}
    for line in result:
        if re.sub(r"\d+", "#", line) not in known:
            yield f"says {line!r}"


def names_of(rows: Iterable[Row]) -> Sequence[str]:
    """The readers that some of the rows were shown to."""
    seen: Mapping[str, None] = dict.fromkeys(name for row in rows for name in row.cells)
    return list(seen)
