"""How far a run has come, told on stderr: a bar, or a line of JSON an event."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

from facepipe.options import ProgressKind

if TYPE_CHECKING:
    from facepipe.run import Event


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
