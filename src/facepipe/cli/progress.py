"""Progress of a run on stderr: a bar, or a line of JSON for each event."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

from facepipe.cli.machine import note_stage
from facepipe.cli.options import ProgressKind
from facepipe.contract.events import event_line

if TYPE_CHECKING:
    from facepipe.batch.ledger import Row
    from facepipe.batch.runner import BatchEvent
    from facepipe.pipeline.passes import Event


def _resolved(kind: ProgressKind, quiet: bool) -> ProgressKind:
    if quiet:
        return ProgressKind.none
    if kind is ProgressKind.auto:
        return ProgressKind.bar if sys.stderr.isatty() else ProgressKind.none
    return kind


@contextmanager
def reporting(kind: ProgressKind, quiet: bool) -> Iterator[Callable[[Event], None]]:
    """Context with the callback for progress events, which are shown as `kind` says."""
    with _shown(_resolved(kind, quiet)) as show:

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
    else:
        from tqdm import tqdm

        bars: dict[str, tqdm[NoReturn]] = {}

        def move(event: Event) -> None:
            if event.stage not in bars:
                bars[event.stage] = tqdm(
                    total=event.total, desc=event.stage, unit=" frames", file=sys.stderr
                )
            bars[event.stage].update(event.done - bars[event.stage].n)

        try:
            yield move
        finally:
            for bar in bars.values():
                bar.close()


@contextmanager
def batch_reporting(
    kind: ProgressKind, quiet: bool
) -> Iterator[Callable[[BatchEvent], None] | None]:
    """Yield what a batch calls with each event; None where nothing is to be shown."""
    kind = _resolved(kind, quiet)
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
    else:
        from tqdm import tqdm

        with tqdm(desc="batch", unit=" items", file=sys.stderr, total=0) as bar:
            started: list[tuple[float, int]] = []

            def move(event: BatchEvent) -> None:
                now = time.monotonic()
                if not started:
                    started.append((now, event.frames))
                    bar.initial, bar.n = event.items, event.items
                bar.total = event.of  # a watch has ever more
                rate = (event.frames - started[0][1]) / max(now - started[0][0], 1e-3)
                bar.set_postfix_str(f"{rate:.0f} frames/s, {event.faces} faces", refresh=False)
                bar.update(event.items - bar.n)

            yield move


def _item(row: Row) -> dict[str, object]:
    """The fields of the event that says what became of an item of a batch."""
    from facepipe.batch.report import entry

    found = entry(row)
    names = ("source", "state", "reason", "frames", "faces", "seconds")
    told = {name: found[name] for name in names}
    return told | {"member": found["member"] or None, "output": found["output"] or None}
