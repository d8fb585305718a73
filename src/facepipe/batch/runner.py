"""A batch, driven: films by their spans, pictures in chunks, all through one executor.

What is done is in the ledger before anything else is begun, so a driver that is killed goes on
where it was. One item that fails stops no other.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from filelock import FileLock, Timeout

from facepipe import __version__
from facepipe.batch.event_log import journal
from facepipe.batch.images import Pictures
from facepipe.batch.ledger import Count, Ledger
from facepipe.batch.remote import check_address
from facepipe.batch.repack import REPORTS, pack
from facepipe.batch.report import BatchSummary, write_reports
from facepipe.batch.session import FOLDER, MEMBERS, BatchSettings, Desk
from facepipe.batch.sources import Item, Skipped, items
from facepipe.batch.videos import Films
from facepipe.configs.settings import Settings
from facepipe.errors import OutputError, UsageError
from facepipe.pipeline.checkpoint import settings_mark
from facepipe.pipeline.preflight import check_restorer
from facepipe.workers.base import Executor

_POLL_SECONDS = 0.2


@dataclass(frozen=True)
class BatchEvent:
    """How far a batch has come. `frames` counts pictures too, and frames while films are read."""

    items: int
    of: int
    frames: int
    faces: int


OnBatchEvent = Callable[[BatchEvent], None]


def open_ledger(
    sources: Sequence[str],
    folder: Path,
    settings: Settings,
    batch: BatchSettings,
    stack: ExitStack,
    *,
    here: bool = True,
) -> Ledger:
    """The ledger of this output folder with all items of this run, closed with `stack`.

    Raises UsageError where the folder holds a batch with other settings, OutputError where another
    run is at work there or the disk refuses, InputError for sources that do not exist.
    """
    job = folder / FOLDER
    try:
        job.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot write there ({error.strerror or error})") from error
    lock = FileLock(job / "lock", timeout=0)
    try:
        stack.enter_context(lock)
    except Timeout as error:
        raise OutputError(f"{folder}: another batch of facepipe is at work there") from error
    ledger = Ledger(job / "ledger.sqlite")
    stack.callback(ledger.close)
    model, _ = check_restorer(settings, here=here)
    shape = "packed" if batch.pack else "unpacked"
    mark = settings_mark(settings, (__version__, shape, *(model.sha256 if model else ())))
    before = ledger.about("mark")
    if before not in (None, mark):
        if not batch.overwrite:
            raise UsageError(
                f"{folder}: holds a batch of other settings or another version; --overwrite "
                "begins it anew, another folder keeps both"
            )
        ledger.begin_anew()
    ledger.note("mark", mark)
    skipped: list[Skipped] = []

    def taken() -> Iterator[Item]:
        for found in items(sources, batch.limits, but=folder):
            if isinstance(found, Item):
                yield _within(found, folder, batch)
            else:
                skipped.append(found)

    if batch.address is not None:
        check_address(batch.address)
    ledger.plan(
        taken(),
        None if batch.address else folder,
        overwrite=batch.overwrite,
    )
    ledger.skip(skipped)
    return ledger


def _within(item: Item, folder: Path, batch: BatchSettings) -> Item:
    """The item in its place; members that are to be packed wait among the batch's own things."""
    if item.member is None or not batch.pack:
        return item
    archive = folder / item.place.removesuffix(f"/{item.member}")
    reports = archive.with_name(f"{archive.name}{REPORTS}")
    if archive.exists() and not (batch.overwrite or reports.exists()):
        raise OutputError(f"{archive}: exists already; --overwrite replaces it")
    return replace(item, place=f"{MEMBERS}/{item.place}")


def run_batch(
    sources: Sequence[str],
    folder: Path,
    settings: Settings,
    executor: Executor,
    *,
    batch: BatchSettings | None = None,
    on_event: OnBatchEvent | None = None,
) -> BatchSummary:
    """Enhance every film and picture of `sources` into `folder`; what is done stays done.

    Reports of all items lie beside the results. Raises what `open_ledger` raises, and OutputError
    where the disk is full; items that fail are counted, not raised.
    """
    batch = batch or BatchSettings()
    began = time.monotonic()
    with ExitStack() as stack:
        ledger = open_ledger(sources, folder, settings, batch, stack, here=executor.here)
        before = ledger.count()
        waiting = before["waiting"].items if "waiting" in before else 0
        stack.enter_context(journal(folder / FOLDER / "journal.jsonl"))
        desk = Desk(folder, settings, batch, executor)
        total = sum(count.items for count in before.values())
        _work(ledger, desk, total, waiting, on_event)
        if batch.pack:
            pack(ledger, desk)
        summary = BatchSummary(
            folder=folder,
            counts=ledger.count(),
            worked_on=waiting,
            kept=total - waiting,
            kept_spans=desk.kept_spans,
            skipped=sum(1 for _ in ledger.skipped()),
            seconds=time.monotonic() - began,
        )
        for path in write_reports(ledger, summary):
            desk.deliver_file(path, keep=True)
        return summary


def _work(
    ledger: Ledger, desk: Desk, total: int, waiting: int, on_event: OnBatchEvent | None
) -> None:
    """Have threads work on all that waits, and keep what they bring; none is left at the end."""
    films = Films(ledger.waiting("film", largest_first=True))
    there = ledger.count(kind="film").get("waiting", Count(0, 0, 0, 0)).items
    # One more than workers, so that none waits while a film's parts are joined.
    count = min(desk.executor.workers + 1, there)
    threads = ThreadPoolExecutor(count + 1, thread_name_prefix="facepipe")
    feeds = [threads.submit(films.work, desk) for _ in range(count)]
    feeds.append(threads.submit(Pictures(ledger, desk).work))
    settled = faces = 0
    try:
        while settled < waiting:
            if on_event:
                on_event(BatchEvent(total - waiting + settled, total, desk.frames, faces))
            over = _all_done(feeds)
            rows = desk.settled(_POLL_SECONDS)
            if over and not rows:
                break
            ledger.settle(rows)
            settled += len(rows)
            faces += sum(row.faces for row in rows)
        if on_event:
            on_event(BatchEvent(total - waiting + settled, total, desk.frames, faces))
    except BaseException:
        desk.stop()
        raise
    finally:
        threads.shutdown(wait=True)


def _all_done(feeds: Sequence[Future[None]]) -> bool:
    """Whether no thread is at work any more; raises what one of them raised."""
    for feed in feeds:
        if feed.done() and (error := feed.exception()):
            raise error
    return all(feed.done() for feed in feeds)
