"""The desk of a batch: where threads bring what they have done, and learn that they are to stop."""

from __future__ import annotations

import queue
import shutil
import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

from facepipe.batch.archives import Limits
from facepipe.batch.ledger import Row
from facepipe.batch.remote import deliver
from facepipe.configs.settings import Settings
from facepipe.errors import FacepipeError, OutputError, WorkerError
from facepipe.images.picture import MOST_PIXELS
from facepipe.pipeline.sidecar import sidecar_path
from facepipe.workers.base import Executor

#: Free bytes under which a refused write means that the disk is full, for all items alike.
_FULL = 16 * 2**20


@dataclass(frozen=True)
class BatchSettings:
    """What a batch asks beyond what is asked of each item.

    `address` is where results are delivered, None: they stay in the batch's folder. `pack` has
    archives come out as archives, else their pictures stand in folders of their names.
    """

    address: str | None = None
    pack: bool = False
    overwrite: bool = False
    most_pixels: int = MOST_PIXELS
    limits: Limits = field(default_factory=Limits)


#: Folder of the batch's own things within its folder.
FOLDER = ".facepipe-batch"
#: Where members of archives lie until they are packed.
MEMBERS = f"{FOLDER}/members"


class Desk:
    """What all threads of a batch share: settings, the executor, and what they have done."""

    def __init__(
        self, folder: Path, settings: Settings, batch: BatchSettings, executor: Executor
    ) -> None:
        self.folder, self.settings, self.batch, self.executor = folder, settings, batch, executor
        self.stopped = threading.Event()
        self.frames = 0
        self.kept_spans = 0
        self._results: queue.Queue[list[Row]] = queue.Queue()
        self._lock = threading.Lock()

    @property
    def staging(self) -> Path:
        """Where copies of what lies elsewhere are kept for a while."""
        return self.folder / FOLDER / "fetched"

    def settle(self, rows: list[Row]) -> None:
        """Bring what became of items; their results are delivered first."""
        self._results.put([self.deliver(row) for row in rows])

    def deliver(self, row: Row) -> Row:
        """Bring an item's result and its report to where the batch's results go."""
        if row.state not in ("done", "passed") or (row.member is not None and self.batch.pack):
            return row
        target = self.folder / row.place
        try:
            self.deliver_file(target)
            self.deliver_file(sidecar_path(target))
        except OutputError as error:
            return replace(row, state="failed", reason=str(error))
        return row

    def deliver_file(self, path: Path, *, keep: bool = False) -> None:
        """Bring a file of the batch's folder, if it is there, to where results go."""
        if self.batch.address is not None and path.is_file():
            place = path.relative_to(self.folder).as_posix()
            deliver(path, f"{self.batch.address.rstrip('/')}/{place}", keep=keep)

    def settled(self, seconds: float) -> list[Row]:
        """The next that were brought, none where nothing comes for so long."""
        try:
            return self._results.get(timeout=seconds)
        except queue.Empty:
            return []

    def count(self, frames: int, *, kept_spans: int = 0) -> None:
        """Tell of frames that are done, and of spans that an earlier run had done."""
        with self._lock:
            self.frames += frames
            self.kept_spans += kept_spans

    def stop(self) -> None:
        """Have nothing more begun, and give up what is running."""
        self.stopped.set()
        self.executor.close()

    def raise_if_all_fail(self, error: BaseException | None) -> None:
        """Raise what no other item would fare better with: the batch is stopped, the disk full."""
        if self.stopped.is_set():
            raise WorkerError("the batch was stopped")
        if isinstance(error, OutputError | OSError) and self._free() < _FULL:
            raise OutputError(f"{self.folder}: the disk is full ({error})")

    def _free(self) -> int:
        return shutil.disk_usage(self.folder).free


def refused(error: BaseException | None) -> bool:
    """Whether facepipe itself refuses a task, for what it was asked and not for its item."""
    return isinstance(error, FacepipeError) and not isinstance(error, WorkerError)


def since(began: float) -> float:
    """Seconds of a monotonic clock, to the millisecond."""
    return round(time.monotonic() - began, 3)
