"""The session of a batch: what its threads share, and the queue of their results."""

from __future__ import annotations

import queue
import shutil
import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

from facepipe.batch.archives import Limits
from facepipe.batch.ledger import WRITTEN, Row
from facepipe.batch.proof_log import item_entry
from facepipe.batch.remote import upload
from facepipe.configs.settings import Settings
from facepipe.errors import FacepipeError, NoWorkersError, OutputError, WorkerError
from facepipe.images.still import MAX_PIXELS
from facepipe.marking.chain import ChainLog
from facepipe.marking.manifest import manifest_path
from facepipe.pipeline.sidecar import sidecar_path
from facepipe.workers.base import Executor

#: Free bytes below which a failed write means that the disk is full, for every item.
_FULL = 16 * 2**20


@dataclass(frozen=True)
class BatchSettings:
    """Settings of a whole batch, beyond those of each item.

    Results are delivered to `address`; None: they stay in the batch's folder. With `pack`, archives
    come out as archives, otherwise as folders of their names. Images of more than `max_pixels` are
    refused.
    """

    address: str | None = None
    pack: bool = False
    overwrite: bool = False
    max_pixels: int = MAX_PIXELS
    limits: Limits = field(default_factory=Limits)


#: Folder of the batch's own files within its output folder.
FOLDER = ".facepipe-batch"
#: Folder of the results of archive members until they are packed.
MEMBERS = f"{FOLDER}/members"


class BatchSession:
    """State that all threads of a batch share: settings, the executor, progress, and results."""

    def __init__(
        self,
        folder: Path,
        settings: Settings,
        batch: BatchSettings,
        executor: Executor,
        log: ChainLog,
    ) -> None:
        self._log = log
        self.folder, self.settings, self.batch, self.executor = folder, settings, batch, executor
        self.stopped = threading.Event()
        self.frames = 0
        self.kept_spans = 0
        self._results: queue.Queue[list[Row]] = queue.Queue()
        self._lock = threading.Lock()

    @property
    def staging(self) -> Path:
        """Folder of temporary copies of remote sources."""
        return self.folder / FOLDER / "fetched"

    def finish(self, rows: list[Row]) -> None:
        """Deliver the results of finished items, log them, then queue their rows for the ledger."""
        entries = [item_entry(row, self.folder) for row in rows]
        rows = [self._deliver(row) for row in rows]
        pairs = zip(entries, rows, strict=True)
        self._log.append(one | {"state": row.state, "reason": row.reason} for one, row in pairs)
        self._results.put(rows)

    def _deliver(self, row: Row) -> Row:
        """Deliver an item's result and its sidecar; where that fails, so does the item."""
        if row.state not in WRITTEN or (row.member is not None and self.batch.pack):
            return row
        target = self.folder / row.place
        try:
            self.deliver_file(target)
            for beside in (sidecar_path(target), manifest_path(target)):
                self.deliver_file(beside)
        except OutputError as error:
            return replace(row, state="failed", reason=str(error))
        return row

    def deliver_file(self, path: Path, *, keep: bool = False) -> None:
        """Deliver a file of the batch's folder to its address, where both exist."""
        if self.batch.address is not None and path.is_file():
            place = path.relative_to(self.folder).as_posix()
            upload(path, f"{self.batch.address.rstrip('/')}/{place}", keep=keep)

    def finished(self, seconds: float) -> list[Row]:
        """The next rows in the queue; none where none comes within `seconds`."""
        try:
            return self._results.get(timeout=seconds)
        except queue.Empty:
            return []

    def count(self, frames: int, *, kept_spans: int = 0) -> None:
        """Add frames that are done, and spans that an earlier run had done."""
        with self._lock:
            self.frames += frames
            self.kept_spans += kept_spans

    def stop(self) -> None:
        """Start nothing more, and end the tasks that are running."""
        self.stopped.set()
        self.executor.stop()

    def raise_if_all_fail(self, error: BaseException | None) -> None:
        """Raise what every other item would meet too: the batch is stopped, or the disk is full."""
        if self.stopped.is_set():
            raise NoWorkersError("the batch was stopped")
        if isinstance(error, NoWorkersError):
            raise error
        if isinstance(error, OutputError | OSError) and self._free() < _FULL:
            raise OutputError(f"{self.folder}: the disk is full ({error})")

    def _free(self) -> int:
        return shutil.disk_usage(self.folder).free


def refused(error: BaseException | None) -> bool:
    """Whether facepipe refused a task because of its settings, not of its item."""
    return isinstance(error, FacepipeError) and not isinstance(error, WorkerError)


def seconds_since(began: float) -> float:
    """Seconds since `began` (of time.monotonic()), to the millisecond."""
    return round(time.monotonic() - began, 3)
