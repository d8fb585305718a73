"""How far a run has come, told on stderr: a bar, or a line of JSON an event."""

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


@contextmanager
def reporting(kind: ProgressKind, quiet: bool) -> Iterator[Callable[[Event], None] | None]:
    """What a run calls to tell of its progress on stderr; None where nothing is to be told."""
    if kind is ProgressKind.auto:
        kind = ProgressKind.bar if sys.stderr.isatty() else ProgressKind.none
    if quiet or kind is ProgressKind.none:
        yield None
    elif kind is ProgressKind.jsonl:

        def line(event: Event) -> None:
            told = {"stage": event.stage, "done": event.done, "total": event.total}
            print(json.dumps(told), file=sys.stderr, flush=True)

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
    """What a batch calls to tell of its progress on stderr; None where nothing is to be told."""
    if kind is ProgressKind.auto:
        kind = ProgressKind.bar if sys.stderr.isatty() else ProgressKind.none
    if quiet or kind is ProgressKind.none:
        yield None
    elif kind is ProgressKind.jsonl:
        said: list[BatchEvent] = []

        def line(event: BatchEvent) -> None:
            if said != [event]:
                said[:] = [event]
                print(json.dumps(asdict(event)), file=sys.stderr, flush=True)

        yield line
    else:
        from tqdm import tqdm

        with tqdm(desc="batch", unit=" items", file=sys.stderr, total=0) as bar:
            began: list[tuple[float, int]] = []

            def move(event: BatchEvent) -> None:
                now = time.monotonic()
                if not began:
                    began.append((now, event.frames))
                    bar.total, bar.initial, bar.n = event.of, event.items, event.items
                rate = (event.frames - began[0][1]) / max(now - began[0][0], 1e-3)
                bar.set_postfix_str(f"{rate:.0f} frames/s, {event.faces} faces", refresh=False)
                bar.update(event.items - bar.n)

            yield move
