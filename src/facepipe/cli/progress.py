"""Progress of a run on stderr: a bar on a terminal, lines elsewhere, or JSON for programs."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from facepipe.cli.machine import note_stage
from facepipe.cli.options import ProgressKind
from facepipe.contract.events import event_line

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from facepipe.batch.ledger import Row
    from facepipe.batch.runner import BatchEvent
    from facepipe.pipeline.passes import Event

#: Seconds before the first line where there is no terminal, and between two of them.
FIRST_LINE, NEXT_LINE = 10.0, 30.0
#: Seconds before a rate and a time are told, which are wild at first.
_SETTLING = 2.0


def resolved(kind: ProgressKind, quiet: bool) -> ProgressKind:
    """How progress is shown: `auto` is a bar on a terminal and lines elsewhere."""
    if quiet:
        return ProgressKind.none
    if kind is ProgressKind.auto:
        return ProgressKind.bar if sys.stderr.isatty() else ProgressKind.lines
    return kind


@contextmanager
def reporting(kind: ProgressKind, quiet: bool) -> Iterator[Callable[[Event], None]]:
    """Context with the callback for progress events, which are shown as `kind` says."""
    with _shown(resolved(kind, quiet)) as show:

        def take(event: Event) -> None:
            over = event.done >= event.total and event.stage in _WRITTEN_AFTER
            note_stage("write" if over else event.stage)
            show(event)

        yield take


#: Stages after which the output is put together.
_WRITTEN_AFTER = ("render", "compare")


@contextmanager
def _shown(kind: ProgressKind) -> Iterator[Callable[[Event], None]]:
    """Context with the callback that shows progress events."""
    if kind is ProgressKind.none:
        yield lambda _: None
    elif kind is ProgressKind.jsonl:

        def line(event: Event) -> None:
            fields = {"stage": event.stage, "done": event.done, "total": event.total}
            print(event_line("progress", fields), file=sys.stderr, flush=True)

        yield line
    elif kind is ProgressKind.lines:
        lines = Lines()
        yield lambda event: lines.tell(
            event.stage, event.done, event.total, "frames", _faces_words(event.faces)
        )
    else:
        with _bars() as bars:
            yield lambda event: bars.move(
                event.stage, event.done, event.total, "frames", _faces_words(event.faces)
            )


@contextmanager
def batch_reporting(
    kind: ProgressKind, quiet: bool
) -> Iterator[Callable[[BatchEvent], None] | None]:
    """Yield what a batch calls with each event; None where nothing is to be shown."""
    kind = resolved(kind, quiet)
    note_stage("batch")
    if kind is ProgressKind.none:
        yield None
    elif kind is ProgressKind.jsonl:
        last: list[dict[str, int]] = []

        def line(event: BatchEvent) -> None:
            for row in event.finished:
                print(event_line("item", _item(row)), file=sys.stderr, flush=True)
            counts = {name: getattr(event, name) for name in ("items", "of", "frames", "faces")}
            if last != [counts]:
                last[:] = [counts]
                print(event_line("batch", counts), file=sys.stderr, flush=True)

        yield line
    elif kind is ProgressKind.lines:
        lines, frames = Lines(), Pace()
        yield lambda event: lines.tell(
            "batch", event.items, event.of, "items", _batch_words(event, frames)
        )
    else:
        frames = Pace()
        with _bars() as bars:
            yield lambda event: bars.move(
                "batch", event.items, event.of, "items", _batch_words(event, frames)
            )


class Pace:
    """How fast something is done, from the first report on: its mean converges, and jumps never."""

    def __init__(self) -> None:
        self._begun: tuple[float, int] | None = None

    def rate(self, done: int) -> float:
        """How many are done in a second; 0 while that is not known."""
        now = time.monotonic()
        if self._begun is None:
            self._begun = now, done
        seconds = now - self._begun[0]
        return (done - self._begun[1]) / seconds if seconds >= _SETTLING else 0.0

    def words(self, done: int, total: int, noun: str) -> str:
        """The rate, and the time that is left at it; empty while neither is known."""
        rate = self.rate(done)
        if rate <= 0:
            return ""
        told = f"{rate:.0f}" if rate >= 10 else f"{rate:.1f}"
        return f"{told} {noun}/s, {duration((total - done) / rate)} left"


class Lines:
    """Progress as lines of text, few of them: none at all of what is done in seconds."""

    def __init__(self) -> None:
        self._paces: dict[str, Pace] = {}
        self._next = time.monotonic() + FIRST_LINE

    def tell(self, stage: str, done: int, total: int, noun: str, more: str) -> None:
        """Print a line where it is time for one."""
        pace = self._paces.setdefault(stage, Pace())
        words = pace.words(done, total, noun)
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + NEXT_LINE
        share = 100 * done // max(total, 1)
        parts = (f"{stage}: {share} %, {done} of {total} {noun}", words, more)
        print(", ".join(filter(None, parts)), file=sys.stderr, flush=True)


class _Bars:
    """A bar for each stage, drawn by rich."""

    def __init__(self, drawn: Progress) -> None:
        self._drawn = drawn
        self._tasks: dict[str, TaskID] = {}
        self._paces: dict[str, Pace] = {}

    def move(self, stage: str, done: int, total: int, noun: str, more: str) -> None:
        """Move the bar of a stage, and make it where there is none yet."""
        if stage not in self._tasks:
            self._tasks[stage] = self._drawn.add_task(stage, total=total, words="")
            self._paces[stage] = Pace()
        pace = self._paces[stage].words(done, total, noun) if done < total else ""
        words = ", ".join(filter(None, (f"{done} of {total} {noun}", pace, more)))
        self._drawn.update(self._tasks[stage], completed=done, total=total, words=words)


@contextmanager
def _bars() -> Iterator[_Bars]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (
        TextColumn("{task.description}: {task.percentage:>3.0f}%", markup=False),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[words]}", markup=False),
    )
    with Progress(*columns, console=Console(stderr=True)) as drawn:
        yield _Bars(drawn)


def duration(seconds: float) -> str:
    """A length of time in words: "40 s", "3 min", "2 h 10 min"."""
    whole = max(round(seconds), 1)
    if whole < 90:
        return f"{whole} s"
    minutes = round(whole / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def _faces_words(faces: int) -> str:
    return f"{faces} faces so far" if faces else ""


def _batch_words(event: BatchEvent, frames: Pace) -> str:
    rate = frames.rate(event.frames)
    speed = f" ({rate:.0f}/s)" if rate else ""
    return f"{event.frames} frames{speed}, {event.faces} faces"


def _item(row: Row) -> dict[str, object]:
    """The fields of the event that says what became of an item of a batch."""
    from facepipe.batch.report import entry

    found = entry(row)
    names = ("source", "state", "reason", "frames", "faces", "seconds")
    told = {name: found[name] for name in names}
    return told | {"member": found["member"] or None, "output": found["output"] or None}
