"""Run one case through the real program, and hold what came out against what went in."""

from __future__ import annotations

import gc
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from av import FFmpegError

from conformance.cases import Case
from conformance.properties import PROPERTIES, Terms
from conformance.readings import from_zero, with_room
from conformance.witness import Programs, look
from facepipe import enhance
from facepipe.configs.settings import load_settings
from facepipe.errors import FacepipeError
from facepipe.pipeline.passes import Event
from facepipe.pipeline.sidecar import sidecar_path
from facepipe.video.sources import describe
from facepipe.workers.local import LocalExecutor


@dataclass(frozen=True)
class Cell:
    """One property of one case: "pass", "limit" with the program's words, "fail" with ours, "-"."""

    verdict: str
    words: str = ""


@dataclass(frozen=True)
class Row:
    """A case, and what became of each property; `words` where there was no video to compare."""

    case: Case
    verdict: str  # "pass", "limit", "fail" or "skip"
    words: str = ""
    cells: Mapping[str, Cell] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @property
    def failures(self) -> list[str]:
        """All that differs and was not announced."""
        own = [self.words] if self.verdict == "fail" and self.words else []
        return own + [f"{n}: {c.words}" for n, c in self.cells.items() if c.verdict == "fail"]


def run(case: Case, folder: Path) -> Row:
    """Make the video in `folder`, enhance it there, and compare."""
    if case.lacks:
        return Row(case, "skip", f"{case.lacks} is not installed")
    _leave_modules_alone()
    try:
        source = case.make(folder / f"in{case.suffix}")
    except FFmpegError as error:
        return Row(case, "fail", f"the video cannot be made: {describe(error)}")
    like = case.like(folder / f"like{case.suffix}") if case.like is not None else source
    programs = Programs(like, play=False)
    target = folder / f"out{case.written}"
    base = ["workers=1", f"output.scale={case.scale}"]
    settings = load_settings(assignments=[*base, *case.settings])
    begun: list[Event] = []
    try:
        summary = enhance(
            source, target, settings, executor=LocalExecutor(1), on_event=begun.append
        )
    except FacepipeError as error:
        programs.end()
        words = str(error).replace(f"{folder}/", "")
        if begun:
            words = f"refused after the work began: {words}"
        if target.exists():
            words = f"left a target behind: {words}"
        announced = case.refusal is not None and words.startswith(case.refusal)
        return Row(case, "limit" if announced else "fail", words)
    row = _with_words(compare(case, programs, target, summary.faces, summary.warnings))
    return _with_copies(row, target) if case.copied else row


@cache
def _leave_modules_alone() -> None:
    """Keep the collector, which the program calls after each span, from what is there for good."""
    gc.collect()
    gc.freeze()


def _with_words(row: Row) -> Row:
    """With whether the program told what the case says that it tells."""
    words = row.case.tells
    if words is None:
        return row
    told = any(words in warning for warning in row.warnings)
    cells = {**row.cells, "told": Cell("pass") if told else Cell("fail", f"no word of {words!r}")}
    return replace(row, cells=cells, verdict=_verdict(cells.values()))


def _with_copies(row: Row, target: Path) -> Row:
    told = json.loads(sidecar_path(target).read_text(encoding="utf-8"))
    copied, frames = sum(part["frames"] for part in told["copied"]), told["output"]["frames"]
    right = copied == frames if row.case.copied == "all" else 0 < copied < frames
    cell = Cell("pass") if right else Cell("fail", f"{copied} of {frames} pictures were copied")
    cells = {**row.cells, "copied": cell}
    return replace(row, cells=cells, verdict=_verdict(cells.values()))


def compare(
    case: Case, source: Programs, target: Path, faces: int, warnings: tuple[str, ...]
) -> Row:
    """Hold two videos against each other, property by property."""
    begun = Programs(target, play=True)
    before = from_zero(look(source.path, source), target)
    try:
        after = look(target, begun)
    except (LookupError, FFmpegError) as error:
        begun.end()
        return Row(case, "fail", f"the target cannot be read: {error}")
    before = with_room(before, after)
    named = any(one.startswith(("output.codec=", "output.purpose=")) for one in case.settings)
    terms = Terms(case.scale, case.loss, named)
    cells = {}
    for name, same in PROPERTIES.items():
        said = same(before, after, terms)
        announced = next((w for w in warnings if case.limits.get(name, "\n") in w), None)
        if said is None:
            lost = name in case.shows
            cells[name] = Cell("fail", "the video does not show it") if lost else Cell("-")
        elif not said:
            cells[name] = Cell("pass")
        elif announced is not None:
            cells[name] = Cell("limit", announced)
        else:
            cells[name] = Cell("fail", said)
    if case.faces:
        cells["faces"] = Cell("pass") if faces else Cell("fail", "no face was enhanced")
    return Row(case, _verdict(cells.values()), cells=cells, warnings=warnings)


def _verdict(cells: Iterable[Cell]) -> str:
    verdicts = {cell.verdict for cell in cells}
    return next((v for v in ("fail", "limit") if v in verdicts), "pass")
