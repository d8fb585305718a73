"""The ledger of a batch: its items and what became of them, in SQLite.

A kill at any moment loses no result. An item is recognised by its path, size and time; where these
differ, by the hash of its content.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import chain, groupby, islice
from pathlib import Path, PurePosixPath

from facepipe._system.files import is_address, sha256_of
from facepipe.batch.ledger_file import opened
from facepipe.batch.sources import Item, Skipped
from facepipe.errors import OutputError, OutputExistsError
from facepipe.pipeline.sidecar import REPORT_SUFFIX

#: Name and version of the ledger's contents: batches of other ones are not resumed.
FORMAT = "facepipe-ledger/2"
_FORGET_SKIPPED = "DELETE FROM skipped"
_FORGET_WAITING = "UPDATE items SET seen = 0 WHERE state = 'waiting'"
_SET_ASIDE = "UPDATE items SET source = source || '#' || ?"
#: States of items whose results are there.
WRITTEN = ("done", "passed", "lost")
#: Rows that are read or written at once.
_PAGE = 2000
#: Sources that are looked at for samples, how many are taken, and the parts of a path that stand
#: for a disk or what is like it: `/`, `nas`, `footage`, `2026`.
_MOST_SEEN, _MOST_SAMPLES, _ROOT_PARTS = 100_000, 32, 4
#: The run, the time of the file in ns, and the item's number.
_Seen = tuple[int, int, int]


@dataclass(frozen=True)
class _Round:
    """What `plan` was called with, and the number of the run."""

    run: int
    root: Path | None
    overwrite: bool
    goes_on: bool

    @property
    def spares_files(self) -> bool:
        """Whether a place that holds a file is left alone."""
        return self.goes_on and not self.overwrite


@dataclass(frozen=True)
class Row:
    """An item of the ledger and what became of it.

    `kind` is "video" or "image". `state` is waiting, done (enhanced), passed (no face to enhance,
    or written unchanged), lost (written, but not all enhanced, as workers were lost: it is done
    again) or failed, and `reason` says why. `written` is the result's size in bytes.
    """

    number: int
    source: str
    member: str | None
    kind: str
    place: str
    size: int
    state: str
    reason: str
    sha256: str
    written: int
    frames: int
    faces: int
    seconds: float


@dataclass(frozen=True)
class Count:
    """Number of items in one state, and their totals."""

    items: int
    size: int
    frames: int
    faces: int


class Ledger:
    """The rows of one batch; safe to use from several threads. Creates `path` if it is missing.

    Raises OutputError where the disk refuses or the file is no ledger.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        try:
            self._rows = opened(path)
        except sqlite3.Error as error:
            raise OutputError(f"{path}: this batch's ledger cannot be used ({error})") from error

    def close(self) -> None:
        """Close the file."""
        self._rows.close()

    def note(self, name: str) -> str | None:
        """The note of that name; None: there is none."""
        found = self._rows.execute("SELECT value FROM about WHERE name = ?", (name,)).fetchone()
        return None if found is None else str(found[0])

    def set_note(self, name: str, value: str) -> None:
        """Keep `value` as the note `name`."""
        with self._transaction():
            self._rows.execute("INSERT OR REPLACE INTO about VALUES (?, ?)", (name, value))

    def clear(self) -> None:
        """Delete every item and note."""
        self._rows.executescript("DELETE FROM items; DELETE FROM skipped; DELETE FROM about;")

    def plan(
        self, items: Iterable[Item], root: Path | None, *, overwrite: bool, goes_on: bool = False
    ) -> None:
        """Add the items of this run: new ones wait; changed, failed and lost ones wait again.

        Results lie under `root`; None: at an address, where they are not checked. Places that two
        items would share get a number. Raises OutputError where a new item's place holds a file
        already, unless that is to be overwritten.
        With `goes_on` it is a further round of the same run, whose other items stay in it, but for
        those that wait. A place that holds a file is left alone, and a lost result was fetched.
        """
        run = self._run() + 1 if not goes_on else max(self._run(), 1)
        add = partial(self._add, _Round(run, root, overwrite, goes_on))
        with self._transaction():
            self._rows.execute(_FORGET_WAITING if goes_on else _FORGET_SKIPPED)
        remaining = iter(items)
        while some := list(islice(remaining, _PAGE)):
            with self._transaction():
                unchanged = [add(item) for item in some]
                self._rows.executemany(
                    "UPDATE items SET seen = ?, modified = ? WHERE number = ?",
                    [one for one in unchanged if one is not None],
                )
        self.set_note("run", str(run))

    def skip(self, skipped: Iterable[Skipped]) -> None:
        """Note what was found and is no item."""
        told = [(one.source, one.reason) for one in skipped]
        with self._transaction():
            self._rows.executemany("DELETE FROM skipped WHERE source = ? AND reason = ?", told)
            self._rows.executemany("INSERT INTO skipped VALUES (?, ?)", told)

    def rename_source(self, source: str, moved: str) -> None:
        """Note that a source was moved; another file may have its name from now on.

        Where a file that has gone had the name `moved`, its items are set aside: `a.mp4#7`.
        """
        first = "SELECT MIN(number) FROM items WHERE source = ?"
        with self._transaction():
            (number,) = self._rows.execute(first, (moved,)).fetchone()
            self._rows.execute(f"{_SET_ASIDE} WHERE source = ?", (number, moved))
            self._rows.execute("UPDATE items SET source = ? WHERE source = ?", (moved, source))

    def _add(self, now: _Round, item: Item) -> _Seen | None:
        """Add an item. A finished one that is unchanged is returned, to be updated with others."""
        known = self._rows.execute(
            "SELECT number, size, modified, state, place, written, sha256 FROM items"
            " WHERE source = ? AND member = ?",
            (item.source, item.member or ""),
        ).fetchone()
        if known is None:
            self._insert(now, item)
            return None
        number, size, modified, state, place, written, sha256 = known
        if state in WRITTEN and not _is_same(item, size, modified, sha256):
            if now.spares_files:  # another file; what became of the old one stays known
                self._rows.execute(f"{_SET_ASIDE} WHERE number = ?", (number, number))
                self._insert(now, item)
                return None
        elif state in ("done", "passed") and self._is_there(now, item, place, written):
            return now.run, item.modified, number
        self._rows.execute(
            "UPDATE items SET seen = ?, size = ?, modified = ?, state = 'waiting',"
            " reason = '', written = 0, frames = 0, faces = 0, seconds = 0 WHERE number = ?",
            (now.run, item.size, item.modified, number),
        )
        return None

    def _insert(self, now: _Round, item: Item) -> None:
        """Add a new item."""
        place = self._free_place(item.place, now.root if now.spares_files else None)
        if now.root:
            _check_place(f"{now.root}/{place}", item, now.overwrite)
        self._rows.execute(
            "INSERT INTO items (source, member, kind, place, size, modified, seen)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (item.source, item.member or "", item.kind, place, item.size, item.modified, now.run),
        )

    def _is_there(self, now: _Round, item: Item, place: str, written: int) -> bool:
        """Whether an item's result is there, was fetched, or was packed into its archive."""
        if now.goes_on or now.root is None or _size(f"{now.root}/{place}") == written:
            return True
        return item.member is not None and self.packed(item.source)

    def _free_place(self, wanted: str, root: Path | None) -> str:
        """The place, or the next number that no item has, and no file below `root` if given."""
        place, count, taken = wanted, 1, "SELECT 1 FROM items WHERE place = ?"
        while (root and _size(f"{root}/{place}") >= 0) or self._rows.execute(
            taken, (place,)
        ).fetchone():
            count += 1
            path = PurePosixPath(wanted)
            place = str(path.with_name(f"{path.stem}~{count}{path.suffix}"))
        return place

    def waiting(self, kind: str, *, largest_first: bool = False) -> Iterator[Row]:
        """The items of one kind that wait in this run; others may be finished meanwhile."""
        order = "size DESC, number" if largest_first else "number"
        after: tuple[int, int] = (2**62, -1) if largest_first else (0, -1)
        where = "(size, -number) < (?, -?)" if largest_first else "(? >= 0 AND number > ?)"
        while True:
            rows = self._select(
                f"kind = ? AND state = 'waiting' AND {where} ORDER BY {order} LIMIT {_PAGE}",
                (kind, *after),
            )
            yield from rows
            if len(rows) < _PAGE:
                return
            after = (rows[-1].size, rows[-1].number)

    def waiting_places(self) -> Iterator[tuple[str, set[str]]]:
        """The folders in which results and reports are to be made, with their names there."""
        for folder, rows in groupby(self._places(), key=lambda place: place.rpartition("/")[0]):
            names = {place.rpartition("/")[2] for place in rows}
            yield folder, names | {f"{name}{REPORT_SUFFIX}" for name in names}

    def _places(self) -> Iterator[str]:
        """The places of the items that wait, by name."""
        after = ""
        while True:
            with self._lock:
                found = self._rows.execute(
                    "SELECT place FROM items WHERE seen = ? AND state = 'waiting' AND place > ?"
                    f" ORDER BY place LIMIT {_PAGE}",
                    (self._run(), after),
                ).fetchall()
            yield from (place for (place,) in found)
            if len(found) < _PAGE:
                return
            (after,) = found[-1]

    def samples(self) -> list[str]:
        """Some sources that wait, from as many folders and disks as possible; no addresses."""
        found: dict[tuple[object, ...], str] = {}
        seen: set[str] = set()
        for row in islice(chain(self.waiting("video"), self.waiting("image")), _MOST_SEEN):
            folder = os.path.dirname(row.source)  # noqa: PTH120 (a hundred thousand times)
            if folder in seen or row.member is not None or is_address(row.source):
                continue
            seen.add(folder)
            with suppress(OSError):
                device = os.stat(folder).st_dev  # noqa: PTH116
                found.setdefault((device, *Path(folder).parts[:_ROOT_PARTS]), row.source)
        return list(found.values())[:_MOST_SAMPLES]

    def rows(self) -> Iterator[Row]:
        """All items of this run by their number."""
        after = -1
        while rows := self._select(f"number > ? ORDER BY number LIMIT {_PAGE}", (after,)):
            yield from rows
            after = rows[-1].number

    def skipped(self) -> Iterator[tuple[str, str]]:
        """What is no item, and why."""
        yield from self._rows.execute("SELECT source, reason FROM skipped").fetchall()

    def archives(self) -> list[str]:
        """The archives of this run of whose members none waits."""
        found = self._rows.execute(
            "SELECT source FROM items WHERE seen = ? AND member != '' GROUP BY source"
            " HAVING SUM(state = 'waiting') = 0 ORDER BY MIN(number)",
            (self._run(),),
        )
        return [source for (source,) in found.fetchall()]

    def members(self, source: str) -> Iterator[Row]:
        """The items of this run in one archive."""
        yield from self._select("source = ? ORDER BY number", (source,))

    def packed(self, source: str) -> bool:
        """Whether this archive was packed, and has not changed since."""
        return self.note(f"packed {source}") == _packing_mark(source)

    def note_packed(self, source: str) -> None:
        """Note that this archive was packed."""
        self.set_note(f"packed {source}", _packing_mark(source))

    def record(self, rows: Iterable[Row]) -> None:
        """Write what became of these items, all or none."""
        with self._transaction():
            self._rows.executemany(
                "UPDATE items SET state = ?, reason = ?, sha256 = ?, written = ?, frames = ?,"
                " faces = ?, seconds = ? WHERE number = ?",
                [
                    (r.state, r.reason, r.sha256, r.written, r.frames, r.faces, r.seconds, r.number)
                    for r in rows
                ],
            )

    def count(self, *, kind: str | None = None) -> dict[str, Count]:
        """Counts of this run's items by state, of one kind or of all."""
        found = self._rows.execute(
            "SELECT state, COUNT(*), SUM(size), SUM(frames), SUM(faces) FROM items"
            " WHERE seen = ? AND kind LIKE ? GROUP BY state",
            (self._run(), kind or "%"),
        )
        return {state: Count(*numbers) for state, *numbers in found}

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Commit what the block writes, or roll it back."""
        with self._lock:
            try:
                self._rows.execute("BEGIN")
                yield
                self._rows.execute("COMMIT")
            except BaseException as error:
                with suppress(sqlite3.Error):
                    self._rows.execute("ROLLBACK")
                if isinstance(error, sqlite3.Error):
                    raise OutputError(f"this batch's ledger cannot be written ({error})") from error
                raise

    def _run(self) -> int:
        return int(self.note("run") or 0)

    def _select(self, condition: str, values: tuple[object, ...]) -> list[Row]:
        with self._lock:
            found = self._rows.execute(
                "SELECT number, source, member, kind, place, size, state, reason, sha256, written,"
                f" frames, faces, seconds FROM items WHERE seen = ? AND {condition}",
                (self._run(), *values),
            ).fetchall()
        return [
            Row(number, source, member or None, kind, place, *rest)
            for number, source, member, kind, place, *rest in found
        ]


def _check_place(target: str, item: Item, overwrite: bool) -> None:
    if _size(target) < 0:
        return
    with suppress(FileNotFoundError):  # a source that has just gone cannot be written to
        if not is_address(item.source) and Path(target).samefile(item.source):
            raise OutputError(f"{target}: is the source itself; write to another folder")
    if not overwrite:
        raise OutputExistsError(f"{target}: exists already; --overwrite replaces it")


def _packing_mark(source: str) -> str:
    status = Path(source).stat()
    return f"{status.st_size} {status.st_mtime_ns}"


def _is_same(item: Item, size: int, modified: int, sha256: str) -> bool:
    """Whether a file is as it was; one with a new time is read, but no remote one."""
    if size != item.size or modified == item.modified:
        return size == item.size
    if not sha256 or item.member is not None or is_address(item.source):
        return False
    return sha256_of(Path(item.source)) == sha256


def _size(path: str) -> int:
    with suppress(OSError):
        return os.stat(path).st_size  # noqa: PTH116 (a million times)
    return -1
