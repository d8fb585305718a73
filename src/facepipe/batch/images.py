"""Pictures of a batch: in chunks through the executor, those of archives with their content."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import islice
from pathlib import Path

from facepipe._files import is_address
from facepipe.batch.archives import Archive, Limits, Member, opened
from facepipe.batch.ledger import Ledger, Row
from facepipe.batch.remote import fetch
from facepipe.batch.session import Desk, refused
from facepipe.errors import InputError, OutputError
from facepipe.pipeline.preflight import check_restorer
from facepipe.pipeline.stills import (
    Still,
    StillDone,
    StillsDone,
    StillsTask,
    enhance_stills,
    pass_stills_through,
)
from facepipe.workers.base import Outcome

log = logging.getLogger(__name__)

#: Pictures of a task, and bytes of those whose content travels with it.
_CHUNK, _CHUNK_BYTES = 64, 32 * 2**20


class Pictures:
    """The pictures that wait in a ledger."""

    def __init__(self, ledger: Ledger, desk: Desk) -> None:
        self._ledger, self._desk = ledger, desk
        self._model, _ = check_restorer(desk.settings, here=desk.executor.here)

    def work(self) -> None:
        """Enhance them all, page by page."""
        stills = self._stills()
        page = _CHUNK * max(4 * self._desk.executor.workers, 8)
        while some := list(islice(stills, page)):
            rows = {row.number: row for row, _ in some}
            tasks = [self._task(chunk) for chunk in _chunks([still for _, still in some])]
            self._enhance(tasks, rows)

    def _task(self, stills: Sequence[Still]) -> StillsTask:
        return StillsTask(
            tuple(stills),
            self._desk.folder,
            self._desk.settings,
            self._desk.batch.most_pixels,
            self._model,
        )

    def _enhance(self, tasks: Sequence[StillsTask], rows: dict[int, Row]) -> None:
        """Enhance the tasks' pictures; those of a task that fails are tried one by one."""
        alone: list[StillsTask] = []
        hopeless: list[StillsTask] = []
        for outcome in self._desk.executor.map(enhance_stills, tasks, progress=self._desk.count):
            task = tasks[outcome.number]
            if outcome.result is not None:
                done = outcome.result.stills
                for one in done:
                    if one.unwritten:
                        self._desk.raise_if_all_fail(OutputError(str(one.failed)))
                self._desk.settle([_settled(rows[one.number], one) for one in done])
                continue
            self._desk.raise_if_all_fail(outcome.error)
            if outcome.error is not None and refused(outcome.error):
                raise outcome.error
            if len(task.stills) > 1:
                alone += [self._task([still]) for still in task.stills]
            else:
                log.warning("picture given up: %s", outcome.error)
                hopeless.append(task)
                rows[task.stills[0].number] = replace(
                    rows[task.stills[0].number], reason=f"restoring failed: {outcome.error}"
                )
        if alone:
            self._enhance(alone, rows)
        for outcome in self._desk.executor.map(
            pass_stills_through, hopeless, progress=self._desk.count
        ):
            self._desk.settle([self._passed(hopeless[outcome.number], outcome, rows)])

    def _passed(self, task: StillsTask, outcome: Outcome[StillsDone], rows: dict[int, Row]) -> Row:
        row = rows[task.stills[0].number]
        if outcome.result is None:
            self._desk.raise_if_all_fail(outcome.error)
            return replace(row, state="failed", reason=f"{row.reason}; {outcome.error}")
        (done,) = outcome.result.stills
        return replace(_settled(row, done), state="passed", reason=row.reason)

    def _stills(self) -> Iterator[tuple[Row, Still]]:
        """The pictures that wait; those of archives and from elsewhere with their content."""
        with _Archives(self._desk.batch.limits) as archives:
            for row in self._ledger.waiting("picture"):
                if self._desk.stopped.is_set():
                    return
                still = Still(row.number, row.source, self._desk.folder / row.place)
                try:
                    if is_address(row.source):
                        still = replace(still, content=fetch(row.source))
                    elif row.member is not None:
                        content = archives.read(row.source, row.member)
                        name = f"{row.source}/{row.member}"
                        still = replace(still, source=name, content=content)
                except InputError as error:
                    self._desk.settle([replace(row, state="failed", reason=str(error))])
                    continue
                yield row, still


class _Archives:
    """Archives one after another, each read in the order of its listing."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._stack = ExitStack()
        self._source = ""
        self._archive: Archive | None = None
        self._members: Iterator[Member] = iter(())

    def __enter__(self) -> _Archives:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def read(self, source: str, name: str) -> bytes:
        """The content of a member that comes after the last one read of the same archive.

        Raises InputError where the archive or the member is damaged or gone.
        """
        if source != self._source:
            self._stack.close()
            self._source, self._archive, self._members = source, None, iter(())
            self._archive = self._stack.enter_context(opened(Path(source)))
            listed = self._archive.members(self._limits)
            self._members = (one for one in listed if isinstance(one, Member))
        for member in self._members:
            if member.name == name and self._archive is not None:
                return self._archive.read(member, self._limits)
        raise InputError(f"{source}: {name} is no longer in this archive")


def _settled(row: Row, done: StillDone) -> Row:
    state = "done" if done.faces else "passed"
    return replace(
        row,
        state="failed" if done.failed else state,
        reason=done.failed or done.passed_through or "",
        sha256=done.sha256,
        written=done.size,
        frames=int(done.failed is None),
        faces=done.faces,
        seconds=done.seconds,
    )


def _chunks(stills: Sequence[Still]) -> Iterator[list[Still]]:
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
