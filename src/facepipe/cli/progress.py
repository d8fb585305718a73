"""Progress of a run on stderr: a bar, or a line of JSON for each event."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, NoReturn

from facepipe.cli.options import ProgressKind

if TYPE_CHECKING:
    from facepipe.batch.runner import BatchEvent
    from facepipe.pipeline.passes import Event


def _resolved(kind: ProgressKind, quiet: bool) -> ProgressKind:
    if quiet:
        return ProgressKind.none
    if kind is ProgressKind.auto:
        return ProgressKind.bar if sys.stderr.isatty() else ProgressKind.none
    return kind


@contextmanager
def reporting(kind: ProgressKind, quiet: bool) -> Iterator[Callable[[Event], None] | None]:
    """Context with the callback for progress events; None where none are shown."""
    kind = _resolved(kind, quiet)
    if kind is ProgressKind.none:
        yield None
    elif kind is ProgressKind.jsonl:

        def line(event: Event) -> None:
            shown = {"stage": event.stage, "done": event.done, "total": event.total}
            print(json.dumps(shown), file=sys.stderr, flush=True)

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
    if kind is ProgressKind.none:
        yield None
    elif kind is ProgressKind.jsonl:
        last: list[BatchEvent] = []

        def line(event: BatchEvent) -> None:
            if last != [event]:
                last[:] = [event]
                print(json.dumps(asdict(event)), file=sys.stderr, flush=True)

        yield line
    else:
        from tqdm import tqdm

        with tqdm(desc="batch", unit=" items", file=sys.stderr, total=0) as bar:
            started: list[tuple[float, int]] = []

            def move(event: BatchEvent) -> None:
                now = time.monotonic()
                if not started:
                    started.append((now, event.frames))
                    bar.total, bar.initial, bar.n = event.of, event.items, event.items
                rate = (event.frames - started[0][1]) / max(now - started[0][0], 1e-3)
                bar.set_postfix_str(f"{rate:.0f} frames/s, {event.faces} faces", refresh=False)
                bar.update(event.items - bar.n)

            yield move
