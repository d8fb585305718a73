"""Watches folders: files that have come to rest are enhanced in rounds, one batch after another.

The ledger of the batch holds all rounds, so a watch that was ended goes on where it was.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from facepipe._system.files import move_file
from facepipe.batch.ledger import Ledger
from facepipe.batch.report import BatchSummary
from facepipe.batch.runner import OnBatchEvent, open_ledger, run_batch
from facepipe.batch.session import BatchSettings
from facepipe.configs.settings import Settings
from facepipe.errors import OutputError, UsageError
from facepipe.workers.base import Executor

#: Shortest and longest pause between two looks at the folders, seconds.
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
#: Suffixes that programs give files which they have not finished.
_UNFINISHED = (
    ".part", ".partial", ".crdownload", ".download", ".filepart", ".tmp", ".temp", ".aria2", ".!ut",
)  # fmt: skip
#: Size in bytes and time of the last change in ns: a file is at rest while they stay the same.
_State = tuple[int, int]


@dataclass(frozen=True)
class WatchSettings:
    """How folders are watched.

    A file is taken when it was the same for `settle` seconds. Sources that were enhanced, or had no
    face, are moved to `done_to`, those that failed to `failed_to`; None: they stay. What is there
    is not replaced: a source gets a number.
    """

    settle: float = 5.0
    done_to: Path | None = None
    failed_to: Path | None = None


@dataclass
class _Watched:
    """The watched folders, and what was seen in them and taken from them."""

    roots: tuple[Path, ...]
    excluded: frozenset[str]
    settle: float
    seen: dict[str, tuple[_State, float]] = field(default_factory=dict)
    taken: dict[str, _State] = field(default_factory=dict)

    def at_rest(self, now: float) -> dict[str, _State]:
        """The files that are at rest at `now` (of time.monotonic()) and were not taken yet."""
        unread: list[str] = []
        there = dict(chain.from_iterable(self._files(str(root), unread) for root in self.roots))
        self.taken = {
            path: state
            for path, state in self.taken.items()
            if path in there or _lies_below(path, unread)
        }
        known, self.seen = self.seen, {}
        rest: dict[str, _State] = {}
        for path, state in there.items():
            if self.taken.get(path) == state:
                continue
            before, since = known.get(path, (state, now))
            self.seen[path] = (state, since if before == state else now)
            if now - self.seen[path][1] >= self.settle:
                rest[path] = state
        return rest

    def _files(self, folder: str, unread: list[str]) -> Iterator[tuple[str, _State]]:
        """The files that may be taken one day; adds to `unread` what cannot be read just now."""
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.name.startswith(".") or entry.path in self.excluded:
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        yield from self._files(entry.path, unread)
                    elif not entry.name.lower().endswith(_UNFINISHED):
                        yield from _file(entry, unread)
        except OSError:
            unread.append(folder)


def _file(entry: os.DirEntry[str], unread: list[str]) -> Iterator[tuple[str, _State]]:
    """The entry, if it is a file that holds something; whoever made an empty one writes later."""
    try:
        state = _state_of(entry.path) if entry.is_file() else None
    except OSError:  # a link that leads to itself, a server that does not answer
        unread.append(entry.path)
        return
    if state is not None and state[0]:
        yield entry.path, state


def _lies_below(path: str, places: Sequence[str]) -> bool:
    """Whether a path is one of these places or lies below one."""
    return any(
        path == place or path.startswith(f"{place.rstrip(os.sep)}{os.sep}") for place in places
    )


def watch_batch(
    sources: Sequence[str],
    folder: Path,
    settings: Settings,
    executor: Executor,
    *,
    watch: WatchSettings,
    batch: BatchSettings | None = None,
    on_event: OnBatchEvent | None = None,
) -> Iterator[BatchSummary]:
    """Enhance what comes into the folders `sources`, without end; yields after each round.

    Files that come during a round wait for the next one. An item that failed is tried again when
    its file has changed, or by another call. Raises UsageError for sources that are no folders,
    and what `run_batch` raises.
    """
    watched = _Watched(_roots(sources), _excluded(folder, watch), watch.settle)
    _check_targets(watched.roots, watch)
    pause = min(max(watch.settle / 2, _SHORTEST_PAUSE), _LONGEST_PAUSE)
    roots = [str(root) for root in watched.roots]
    with ExitStack() as stack:  # what is wrong is said before a file comes
        open_ledger(
            roots, folder, settings, batch or BatchSettings(), stack, here=executor.here, only=()
        )
    while True:
        files = watched.at_rest(time.monotonic())
        if not files:
            time.sleep(pause)
            continue
        watched.taken |= files

        def move(ledger: Ledger, files: dict[str, _State] = files) -> None:
            _move_sources(ledger, files, watched.roots, watch)

        yield run_batch(
            roots,
            folder,
            settings,
            executor,
            batch=batch,
            on_event=on_event,
            only=files.keys(),
            finish=move,
        )


def _roots(sources: Sequence[str]) -> tuple[Path, ...]:
    for source in sources:
        if not Path(source).is_dir():
            raise UsageError(f"--watch takes folders of this machine, and {source} is none")
    return tuple(Path(source).resolve() for source in sources)


def _excluded(folder: Path, watch: WatchSettings) -> frozenset[str]:
    """The folders that are written to: what comes into them is not taken."""
    written = (folder, watch.done_to, watch.failed_to)
    return frozenset(os.path.realpath(one) for one in written if one is not None)


def _check_targets(roots: Sequence[Path], watch: WatchSettings) -> None:
    """Make the folders for sources. UsageError: one is watched itself; OutputError: cannot be."""
    for target in filter(None, (watch.done_to, watch.failed_to)):
        if target.resolve() in roots:
            raise UsageError(f"{target}: is watched, so sources cannot be moved there")
        try:
            target.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{target}: cannot be made ({error.strerror or error})") from error


def _move_sources(
    ledger: Ledger, files: dict[str, _State], roots: Sequence[Path], watch: WatchSettings
) -> None:
    """Move the sources that are over, unless they have changed, and note where they are now."""
    for source, state in files.items():
        states = {row.state for row in ledger.members(source)}
        if not states or states & {"waiting", "lost"}:
            continue
        target = watch.failed_to if "failed" in states else watch.done_to
        if target is None or _state_of(source) != state:
            continue
        root = next(one for one in roots if Path(source).is_relative_to(one))
        moved = move_file(Path(source), target / Path(source).relative_to(root))
        ledger.rename_source(source, str(moved.absolute()))


def _state_of(path: str) -> _State | None:
    """The state of a file; None: it is gone."""
    try:
        status = Path(path).stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns
