"""Show source and result of a case to other programs, and hold what they see against each other."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from conformance.cases import Case
from conformance.reader_cases import BUSY, KNOWN, number_of, times_of
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
_NUMBER = re.compile(r"\d+(\.\d+)?")
_AT_MOST = "at most: "
_GENERAL = re.compile(r"^(duration|rate|size)$|tag |(Duration|FrameRate|Width|Height|rate|size)$")
#: Frames by which a reader may shift a whole video; the source's first frame may be late in it.
_MOST_SHIFTED = 4


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
                asked = [
                    both.submit(look, reader, path, [t for t, _ in times])
                    for path in (source, target)
                ]
                cell = compared(
                    asked[0].result(),
                    asked[1].result(),
                    times,
                    near=reader.near,
                    same_container=case.suffix == case.written,
                )
                cells[reader.name] = with_known(cell, case.name, reader.name)
    verdicts = {cell.verdict for cell in cells.values()}
    verdict = next((one for one in ("fail", "limit") if one in verdicts), "pass")
    return Row(case, verdict, cells=cells, warnings=summary.warnings)


def with_known(cell: Cell, case: str, reader: str) -> Cell:
    """A cell that fails by known differences alone, of `KNOWN` or `BUSY`, is a limit."""
    known = [words for words in (KNOWN.get((case, reader)), BUSY.get(reader)) if words]
    if cell.verdict != "fail":
        return cell
    unknown = [
        said for said in cell.words.split("; ") if not any(re.match(words, said) for words in known)
    ]
    return Cell("fail" if unknown else "limit", cell.words)


def _copied(target: Path) -> list[tuple[float, float]]:
    told = json.loads(sidecar_path(target).read_text(encoding="utf-8"))
    return [(part["from_seconds"], part["to_seconds"]) for part in told["copied"]]


def look(reader: Reader, path: Path, times: Sequence[float]) -> Seen:
    """All that a reader sees of a file."""
    try:
        return Seen(reader.facts(path), reader.frames(path, times), reader.complaints(path))
    except ReaderError as error:
        return Seen({}, None, (), str(error).replace(str(path), path.name) or "it fails")


def compared(
    source: Seen,
    result: Seen,
    times: Sequence[tuple[float, int]],
    *,
    near: int = 0,
    same_container: bool = True,
) -> Cell:
    """Whether a reader sees the same in both; "-": it does not open the source.

    `times` are places and the frames that lie there, `near` the frames that may lie between.
    """
    if source.refused:
        return Cell("-", f"does not open the source: {source.refused}")
    if result.refused:
        return Cell("fail", f"does not open the result: {result.refused}")
    said = [
        *_frame_words(source.frames or (), result.frames or (), times, near),
        *fact_words(source.facts if same_container else _common(source, result), result.facts),
        *complaint_words(source.complaints, result.complaints),
    ]
    return Cell("fail", "; ".join(said)) if said else Cell("pass")


def _frame_words(
    source: Sequence[Shown | None],
    result: Sequence[Shown | None],
    times: Sequence[tuple[float, int]],
    near: int,
) -> Iterator[str]:
    """Where the result shows another frame than the source does, by more than `near` frames.

    Where a reader shows a frame of the source that is not there, it is no judge of the result.
    """
    if not times:  # a photograph
        yield from filter(None, map(_image_words, source, result))
        return
    shown = [None if one is None else number_of(one) for one in source]
    judged = _judged(shown, [frame for _, frame in times])
    others = []
    for (time, _), wanted, is_judged, one, other in zip(
        times, shown, judged, source, result, strict=False
    ):
        if not is_judged or wanted is None or one is None:
            continue
        got = None if other is None else number_of(other)
        if got is None or abs(got - wanted) > near:
            others.append(f"{time:.3f} s: {'nothing' if got is None else got} for {wanted}")
        elif got == wanted and other is not None and (off := _off(one, other)) > _LOSS:
            others.append(f"{time:.3f} s: off by {off:.0f}")
    if others:
        yield f"another frame after {len(others)} of {sum(judged)} seeks ({', '.join(others[:4])})"


def _judged(shown: Sequence[int | None], frames: Sequence[int]) -> list[bool]:
    """Where the source's frame is right, but for a shift that is the same everywhere."""
    shifts = [
        None if one is None else one - wanted for one, wanted in zip(shown, frames, strict=False)
    ]
    counts = Counter(shift for shift in shifts if shift is not None and abs(shift) <= _MOST_SHIFTED)
    usual = counts.most_common(1)[0][0] if counts else None
    return [shift is not None and shift == usual for shift in shifts]


def _off(one: Shown, other: Shown) -> float:
    """By how much two frames differ, as a mean of 255; readers may pad what they show."""
    height, width = (min(pair) for pair in zip(one.shape, other.shape, strict=True))
    return float(np.abs(one[:height, :width].astype(int) - other[:height, :width]).mean())


def _image_words(one: Shown | None, other: Shown | None) -> str:
    if one is None or other is None or one.shape != other.shape:
        return "the image has another shape"
    off = _off(one, other)
    return f"the image is off by {off:.0f}" if off > _LOSS else ""


def _common(source: Seen, result: Seen) -> Facts:
    """Facts that do not depend on the container, where both have them."""
    return {k: v for k, v in source.facts.items() if _GENERAL.search(k) and k in result.facts}


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
    if "rate" in key.lower() and all(map(_NUMBER.fullmatch, (value, other))):
        return math.isclose(float(value), float(other), rel_tol=1e-4)
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
