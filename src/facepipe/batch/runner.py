"""Runs a batch: videos by their spans and images in chunks, all through one executor.

Results are in the ledger before more work is started, so a batch that is killed is resumed where it
was. An item that fails stops no other.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path, PurePosixPath

from facepipe import __version__
from facepipe._system.files import remove_partials
from facepipe._system.locks import locked_folder
from facepipe.batch.archives.names import ARCHIVE_SUFFIXES, without_archive_suffix
from facepipe.batch.event_log import event_log
from facepipe.batch.images import ImageFeeder
from facepipe.batch.ledger import FORMAT, Count, Ledger, Row
from facepipe.batch.proof_log import LOG, begin_entry
from facepipe.batch.remote import check_address
from facepipe.batch.repack import REPORTS, pack
from facepipe.batch.report import BatchSummary, write_reports
from facepipe.batch.session import FOLDER, MEMBERS, BatchSession, BatchSettings
from facepipe.batch.sources import UNREAD, Item, Skipped, find_items
from facepipe.batch.videos import VideoFeeder
from facepipe.configs.settings import Purpose, Settings
from facepipe.errors import InputError, OutputExistsError, UsageError
from facepipe.marking.chain import ChainLog
from facepipe.pipeline.checkpoint import settings_mark
from facepipe.pipeline.fitness import cleared, trial
from facepipe.pipeline.preflight import check_restorer
from facepipe.pipeline.signing import signed_with
from facepipe.video.encoders.purposes import suffix_for
from facepipe.workers.base import Executor

_POLL_SECONDS = 0.2


@dataclass(frozen=True)
class BatchEvent:
    """Progress of a batch. `frames` counts images too, and those of videos as they are rendered.

    `finished` are the items that ended since the event before.
    """

    items: int
    of: int
    frames: int
    faces: int
    finished: tuple[Row, ...] = ()


OnBatchEvent = Callable[[BatchEvent], None]


def open_ledger(
    sources: Sequence[str],
    folder: Path,
    settings: Settings,
    batch: BatchSettings,
    stack: ExitStack,
    *,
    here: bool = True,
    only: Collection[str] | None = None,
) -> Ledger:
    """Open the output folder's ledger with all items of this run; `stack` closes it.

    With `only`, those files are a round of a run that goes on: see `find_items`, `Ledger.plan`.
    Raises UsageError where the folder holds a batch with other settings, OutputError where another
    run is at work there or the disk refuses, InputError for sources that do not exist or hold
    nothing to enhance. Where it raises, it leaves no folder behind that it made.
    """
    ledger, fresh = _locked_ledger(folder, stack)
    model, _ = check_restorer(settings, here=here)
    shape = "packed" if batch.pack else "unpacked"
    signed = signed_with(settings.sign)
    made_with = (__version__, FORMAT, shape, *(model.sha256 if model else ()), *signed)
    mark = settings_mark(settings, made_with)
    _set_mark(ledger, mark, folder, overwrite=batch.overwrite)
    if batch.address is not None:
        check_address(batch.address)
    skipped: list[Skipped] = []

    def new_items() -> Iterator[Item]:
        for found in find_items(sources, batch.limits, exclude=folder, only=only):
            if isinstance(found, Item):
                yield _placed(found, folder, batch, settings.output.purpose)
            else:
                skipped.append(found)

    root = None if batch.address else folder
    goes_on = only is not None
    ledger.plan(new_items(), root, overwrite=batch.overwrite, goes_on=goes_on)
    ledger.skip(skipped)
    unread = any(one.reason.startswith(UNREAD) for one in skipped)
    if not (goes_on or unread or ledger.count()):
        raise InputError(
            f"{', '.join(sources)}: no video and no photograph is there"
            + (f"; {len(skipped)} files were skipped: {skipped[0].reason}" if skipped else "")
        )
    fresh.is_kept = True
    return ledger


def _set_mark(ledger: Ledger, mark: str, folder: Path, *, overwrite: bool) -> None:
    """Note with what settings a batch is made. UsageError where it was begun with others."""
    if ledger.note("mark") not in (None, mark):
        if not overwrite:
            raise UsageError(
                f"{folder}: holds a batch of other settings or another version; --overwrite "
                "begins it anew, another folder keeps both"
            )
        ledger.clear()
    ledger.set_note("mark", mark)


def _locked_ledger(folder: Path, stack: ExitStack) -> tuple[Ledger, _Fresh]:
    """The ledger of an output folder, which no other run may use until `stack` closes."""
    job = folder / FOLDER
    fresh = _Fresh(job)
    busy = f"{folder}: another batch of facepipe is at work there"
    stack.enter_context(locked_folder(job, busy, parents=True))
    stack.callback(fresh.close)  # only whoever holds the lock removes the folder
    ledger = Ledger(job / "ledger.sqlite")
    stack.callback(ledger.close)
    return ledger, fresh


def _placed(item: Item, folder: Path, batch: BatchSettings, purpose: Purpose | None) -> Item:
    """The item with its place; members that are to be packed go to the batch's own folder.

    Others go to a folder named as the archive is without its suffix. A video's place has a suffix
    that suits its purpose.
    """
    if item.kind == "video":
        place = PurePosixPath(item.place)
        suffix = suffix_for(purpose, place.suffix)
        item = replace(item, place=str(place.with_suffix(suffix)))
    if item.member is None:
        return item
    if not batch.pack:
        return replace(item, place=_unpacked(item.source, item.place, item.member))
    archive = folder / item.place.removesuffix(f"/{item.member}")
    reports = archive.with_name(f"{archive.name}{REPORTS}")
    if archive.exists() and not (batch.overwrite or reports.exists()):
        raise OutputExistsError(f"{archive}: exists already; --overwrite replaces it")
    return replace(item, place=f"{MEMBERS}/{item.place}")


def _unpacked(source: str, place: str, member: str) -> str:
    """The place of an archive's member: in "old" for old.zip, where nothing else is called so."""
    name = without_archive_suffix(place.removesuffix(f"/{member}"))
    own = without_archive_suffix(source)
    others = (path for path in _same_names(own) if path.absolute() != Path(source))
    is_alone = bool(PurePosixPath(name).name) and next(others, None) is None
    return f"{name}/{member}" if is_alone else place


@cache
def _same_names(name: str) -> tuple[Path, ...]:
    """What lies there under a name, or under that of an archive of the same name."""
    paths = (Path(f"{name}{suffix}") for suffix in ("", *ARCHIVE_SUFFIXES))
    return tuple(path for path in paths if path.exists())


class _Fresh:
    """A working folder that is made now: it is removed where the batch is refused."""

    def __init__(self, folder: Path) -> None:
        self._made = [path for path in (folder, *folder.parents) if not path.exists()]
        self.is_kept = False

    def close(self) -> None:
        """Remove what was made, unless it is kept; folders above it only if they are empty."""
        if self.is_kept or not self._made:
            return
        shutil.rmtree(self._made[0], ignore_errors=True)
        with suppress(OSError):
            for above in self._made[1:]:
                above.rmdir()


def run_batch(
    sources: Sequence[str],
    folder: Path,
    settings: Settings,
    executor: Executor,
    *,
    batch: BatchSettings | None = None,
    on_event: OnBatchEvent | None = None,
    only: Collection[str] | None = None,
    finish: Callable[[Ledger], None] | None = None,
) -> BatchSummary:
    """Enhance every video and image of `sources` into `folder`; finished ones are not done again.

    With `only`, those files are a round of a run that goes on; `finish` is called when it is over.
    Writes reports on all items to `folder`. Raises what `open_ledger` raises, and OutputError where
    the disk is full; items that fail are counted, not raised.
    """
    batch = batch or BatchSettings()
    began = time.monotonic()
    with ExitStack() as stack:
        here = executor.here
        ledger = open_ledger(sources, folder, settings, batch, stack, here=here, only=only)
        before = ledger.count()
        waiting = before["waiting"].items if "waiting" in before else 0
        stack.enter_context(event_log(folder / FOLDER / "journal.jsonl"))
        log = stack.enter_context(ChainLog(folder / LOG))
        session = BatchSession(folder, settings, batch, executor, log)
        if waiting:
            log.append([begin_entry(settings)])
            for place, names in ledger.waiting_places():
                remove_partials(folder / place, names)
            stack.enter_context(_workers(ledger, session))
        total = sum(count.items for count in before.values())
        _work(ledger, session, total, waiting, on_event)
        if batch.pack:
            pack(ledger, session)
        if finish:
            finish(ledger)
        reasons = [reason for _, reason in ledger.skipped()]
        summary = BatchSummary(
            folder=folder,
            counts=ledger.count(),
            worked_on=waiting,
            kept=total - waiting,
            kept_spans=session.kept_spans,
            skipped=len(reasons),
            unread=sum(reason.startswith(UNREAD) for reason in reasons),
            seconds=time.monotonic() - began,
            log_entries=log.entries,
            log_sha256=log.head,
        )
        for path in (*write_reports(ledger, summary), folder / LOG):
            session.deliver_file(path, keep=True)
        return summary


@contextmanager
def _workers(ledger: Ledger, session: BatchSession) -> Iterator[None]:
    """Get the workers; those of other machines show first that they can do this batch."""
    executor = session.executor
    if executor.here:
        executor.start()
        yield
        return
    job = session.folder / FOLDER
    with cleared(job):
        shared = job if executor.shared else None
        executor.start(trial(session.settings, ledger.samples(), shared))
        yield


def _work(
    ledger: Ledger, session: BatchSession, total: int, waiting: int, on_event: OnBatchEvent | None
) -> None:
    """Work on all waiting items in threads, and record their results; ends all threads."""
    videos = VideoFeeder(ledger.waiting("video", largest_first=True))
    waiting_videos = ledger.count(kind="video").get("waiting", Count(0, 0, 0, 0)).items
    threads = ThreadPoolExecutor(waiting_videos + 1, thread_name_prefix="facepipe")
    feeders = [threads.submit(ImageFeeder(ledger, session).work)]
    finished = faces = 0
    rows: list[Row] = []
    try:
        while finished < waiting:
            if on_event:
                done = total - waiting + finished
                on_event(BatchEvent(done, total, session.frames, faces, tuple(rows)))
            # One more than workers, so that none is idle while a video's parts are joined. A
            # cluster may grow meanwhile.
            while len(feeders) - 1 < min(session.executor.workers + 1, waiting_videos):
                feeders.append(threads.submit(videos.work, session))
            over = _all_done(feeders)
            rows = session.finished(_POLL_SECONDS)
            if over and not rows:
                break
            ledger.record(rows)
            finished += len(rows)
            faces += sum(row.faces for row in rows)
        if on_event:
            done = total - waiting + finished
            on_event(BatchEvent(done, total, session.frames, faces, tuple(rows)))
    except BaseException:
        session.stop()
        raise
    finally:
        threads.shutdown(wait=True)


def _all_done(feeders: Sequence[Future[None]]) -> bool:
    """Whether all threads have ended; raises what one of them raised."""
    for feeder in feeders:
        if feeder.done() and (error := feeder.exception()):
            raise error
    return all(feeder.done() for feeder in feeders)
