"""Videos of a batch: each thread takes one at a time, and all share the executor."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from facepipe._system.files import is_address
from facepipe.batch.event_log import log_item
from facepipe.batch.ledger import Row
from facepipe.batch.remote import downloaded
from facepipe.batch.session import BatchSession, seconds_since
from facepipe.errors import FacepipeError, WorkersLostError
from facepipe.pipeline.api import enhance
from facepipe.pipeline.passes import Event

log = logging.getLogger(__name__)


class VideoFeeder:
    """Feeds the waiting videos to several threads, each video to one of them."""

    def __init__(self, rows: Iterator[Row]) -> None:
        self._rows = rows
        self._lock = threading.Lock()

    def work(self, session: BatchSession) -> None:
        """Enhance one video after another until none waits."""
        while not session.stopped.is_set():
            with self._lock:
                row = next(self._rows, None)
            if row is None:
                return
            with log_item(row.number):
                session.finish([_enhance(row, session)])


def _enhance(row: Row, session: BatchSession) -> Row:
    """Enhance one video; its row with what became of it."""
    target = session.folder / row.place
    began = time.monotonic()
    counted = 0

    def count(event: Event) -> None:
        nonlocal counted
        if event.stage == "render":
            session.count(max(event.done - counted, 0))
            counted = max(counted, event.done)

    log.info("video begun", extra={"source": row.source})
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            source = Path(row.source)
            if is_address(row.source):
                source = stack.enter_context(downloaded(row.source, session.staging))
            summary = enhance(
                source,
                target,
                session.settings,
                executor=session.executor,
                overwrite=True,
                on_event=count,
            )
        written = target.stat().st_size
    except Exception as error:  # one video stops no other, whatever goes wrong
        session.raise_if_all_fail(error)
        known = isinstance(error, FacepipeError | OSError)
        log.warning("video failed: %s", error, exc_info=not known)
        reason = str(error) if known else f"{type(error).__name__}: {error}"
        state = "lost" if isinstance(error, WorkersLostError) else "failed"
        return replace(row, state=state, reason=reason, seconds=seconds_since(began))
    session.count(0, kept_spans=summary.resumed)
    log.info("video done", extra={"frames": summary.frames, "faces": summary.faces})
    return replace(
        row,
        state="lost" if summary.lost else "done" if summary.faces else "passed",
        reason="; ".join(summary.warnings) or ("" if summary.faces else "no face was enhanced"),
        sha256=summary.source_sha256,
        written=written,
        frames=summary.frames,
        faces=summary.faces,
        seconds=seconds_since(began),
    )
