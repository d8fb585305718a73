"""Films of a batch: each in its turn, its spans through the executor that all share."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from facepipe._files import is_address
from facepipe.batch.event_log import item
from facepipe.batch.ledger import Row
from facepipe.batch.remote import fetched
from facepipe.batch.session import Desk, since
from facepipe.errors import FacepipeError
from facepipe.pipeline.api import enhance
from facepipe.pipeline.passes import Event

log = logging.getLogger(__name__)


class Films:
    """The films that wait, for several threads, each film to one of them."""

    def __init__(self, rows: Iterator[Row]) -> None:
        self._rows = rows
        self._lock = threading.Lock()

    def work(self, desk: Desk) -> None:
        """Take one film after another until there is none."""
        while not desk.stopped.is_set():
            with self._lock:
                row = next(self._rows, None)
            if row is None:
                return
            with item(row.number):
                desk.settle([_enhanced(row, desk)])


def _enhanced(row: Row, desk: Desk) -> Row:
    target = desk.folder / row.place
    began = time.monotonic()
    seen = 0

    def told(event: Event) -> None:
        nonlocal seen
        if event.stage == "render":
            desk.count(max(event.done - seen, 0))
            seen = max(seen, event.done)

    log.info("film begun", extra={"source": row.source})
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            source = Path(row.source)
            if is_address(row.source):
                source = stack.enter_context(fetched(row.source, desk.staging))
            made = enhance(
                source,
                target,
                desk.settings,
                executor=desk.executor,
                overwrite=True,
                on_event=told,
            )
        written = target.stat().st_size
    except Exception as error:  # one film stops no other, whatever it brings to light
        desk.raise_if_all_fail(error)
        known = isinstance(error, FacepipeError | OSError)
        log.warning("film failed: %s", error, exc_info=not known)
        reason = str(error) if known else f"{type(error).__name__}: {error}"
        return replace(row, state="failed", reason=reason, seconds=since(began))
    desk.count(0, kept_spans=made.resumed)
    log.info("film done", extra={"frames": made.frames, "faces": made.faces})
    return replace(
        row,
        state="done" if made.faces else "passed",
        reason="; ".join(made.warnings) or ("" if made.faces else "no face was enhanced"),
        sha256=made.source_sha256,
        written=written,
        frames=made.frames,
        faces=made.faces,
        seconds=since(began),
    )
