"""Images of a batch: fed to the executor in chunks, with their content where it is remote."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import islice
from pathlib import Path

from facepipe._system.files import check_written, date_of, is_address
from facepipe.batch.archives import Archive, Limits, Member, open_archive
from facepipe.batch.ledger import Ledger, Row
from facepipe.batch.remote import download
from facepipe.batch.session import BatchSession, refused
from facepipe.errors import InputError, OutputError, WorkersLostError
from facepipe.pipeline.preflight import check_restorer
from facepipe.pipeline.stills import (
    Still,
    StillResult,
    StillsResult,
    StillsTask,
    enhance_stills,
    pass_stills_through,
)
from facepipe.workers.base import Outcome, TaskFunction

log = logging.getLogger(__name__)

#: Most images of a task, and most bytes of the contents that travel with it.
_CHUNK, _CHUNK_BYTES = 64, 32 * 2**20


class ImageFeeder:
    """Feeds the waiting images of a ledger to the executor."""

    def __init__(self, ledger: Ledger, session: BatchSession) -> None:
        self._ledger, self._session = ledger, session
        self._model, _ = check_restorer(session.settings, here=session.executor.here)

    def work(self) -> None:
        """Enhance all waiting images, page by page."""
        stills = self._stills()
        while some := list(islice(stills, self._page())):
            rows = {row.number: row for row, _ in some}
            tasks = [self._task(chunk) for chunk in _chunks([still for _, still in some])]
            self._enhance(tasks, rows)

    def _page(self) -> int:
        """How many images are taken at once, for as many workers as there are now."""
        return _CHUNK * max(4 * self._session.executor.workers, 8)

    def _task(self, stills: Sequence[Still]) -> StillsTask:
        return StillsTask(
            tuple(stills),
            self._session.folder,
            self._session.settings,
            self._session.batch.max_pixels,
            self._model,
        )

    def _enhance(self, tasks: Sequence[StillsTask], rows: dict[int, Row]) -> None:
        """Enhance the tasks' images; those of a task that fails are tried one by one."""
        single: list[StillsTask] = []
        failed: list[StillsTask] = []
        for outcome in self._map(enhance_stills, tasks):
            task = tasks[outcome.number]
            if outcome.result is not None:
                self._finish(outcome.result, rows)
                continue
            self._session.raise_if_all_fail(outcome.error)
            if outcome.error is not None and refused(outcome.error):
                raise outcome.error
            if len(task.stills) > 1:
                single += [self._task([still]) for still in task.stills]
                continue
            log.warning("image given up: %s", outcome.error)
            number = task.stills[0].number
            state = "lost" if isinstance(outcome.error, WorkersLostError) else "passed"
            reason = f"restoring failed: {outcome.error}"
            rows[number] = replace(rows[number], state=state, reason=reason)
            failed.append(task)
        if single:
            self._enhance(single, rows)
        for outcome in self._map(pass_stills_through, failed):
            row = rows[failed[outcome.number].stills[0].number]
            self._session.finish([self._passed(row, outcome)])

    def _map(
        self,
        function: TaskFunction[StillsTask, StillsResult],
        tasks: Sequence[StillsTask],
    ) -> Iterator[Outcome[StillsResult]]:
        targets = {still.number: still.target for task in tasks for still in task.stills}

        def check(result: StillsResult, thorough: bool) -> None:
            for still in result.stills:
                if still.failed is None:
                    sha256 = still.written_sha256 if thorough else None
                    check_written(targets[still.number], still.size, sha256)

        return self._session.executor.map(
            function, tasks, progress=self._session.count, check=check
        )

    def _finish(self, result: StillsResult, rows: dict[int, Row]) -> None:
        """Finish the images of a task; raises OutputError where the disk is full."""
        for still in result.stills:
            if still.unwritten:
                self._session.raise_if_all_fail(OutputError(str(still.failed)))
        self._session.finish([_finished(rows[still.number], still) for still in result.stills])

    def _passed(self, row: Row, outcome: Outcome[StillsResult]) -> Row:
        """The row of an image that was copied unchanged, or could not even be copied."""
        if outcome.result is None:
            self._session.raise_if_all_fail(outcome.error)
            return replace(row, state="failed", reason=f"{row.reason}; {outcome.error}")
        (copied,) = outcome.result.stills
        return replace(_finished(row, copied), state=row.state, reason=row.reason)

    def _stills(self) -> Iterator[tuple[Row, Still]]:
        """The waiting images; those in archives and at addresses with their content."""
        with _ArchiveReader(self._session.batch.limits) as archives:
            for row in self._ledger.waiting("image"):
                if self._session.stopped.is_set():
                    return
                still = Still(row.number, row.source, self._session.folder / row.place)
                try:
                    if is_address(row.source):
                        still = replace(still, content=download(row.source))
                    elif row.member is not None:
                        content, date = archives.read(row.source, row.member)
                        name = f"{row.source}/{row.member}"
                        still = replace(still, source=name, content=content, modified_ns=date)
                    else:
                        still = replace(still, modified_ns=date_of(Path(row.source)))
                except InputError as error:
                    self._session.finish([replace(row, state="failed", reason=str(error))])
                    continue
                if self._session.settings.output.dates == "now":
                    still = replace(still, modified_ns=None)
                yield row, still


class _ArchiveReader:
    """Reader of archives one after another, each in the order of its listing."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._stack = ExitStack()
        self._source = ""
        self._archive: Archive | None = None
        self._members: Iterator[Member] = iter(())

    def __enter__(self) -> _ArchiveReader:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def read(self, source: str, name: str) -> tuple[bytes, int | None]:
        """The content of a member that comes after the last one read of the same archive.

        And its date in nanoseconds since 1970, None where the archive has none.

        Raises InputError where the archive or the member is damaged or gone.
        """
        if source != self._source:
            self._stack.close()
            self._source, self._archive, self._members = source, None, iter(())
            self._archive = self._stack.enter_context(open_archive(Path(source)))
            listed = self._archive.members(self._limits)
            self._members = (one for one in listed if isinstance(one, Member))
        for member in self._members:
            if member.name == name and self._archive is not None:
                dated = None if member.modified is None else round(member.modified * 1e9)
                return self._archive.read(member, self._limits), dated
        raise InputError(f"{source}: {name} is no longer in this archive")


def _finished(row: Row, done: StillResult) -> Row:
    """The row with what became of its image."""
    state = "done" if done.faces else "passed"
    return replace(
        row,
        state="failed" if done.failed else state,
        reason=done.failed or "; ".join(filter(None, (done.passed_through, *done.notes))),
        sha256=done.sha256,
        written=done.size,
        frames=int(done.failed is None),
        faces=done.faces,
        seconds=done.seconds,
    )


def _chunks(stills: Sequence[Still]) -> Iterator[list[Still]]:
    """Split images into the contents of tasks, by number and by bytes."""
    chunk: list[Still] = []
    size = 0
    for still in stills:
        content = len(still.content or b"")
        if chunk and (len(chunk) == _CHUNK or size + content > _CHUNK_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(still)
        size += content
    if chunk:
        yield chunk
