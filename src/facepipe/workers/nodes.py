"""Nodes of a cluster as the driver knows them: what they have room for, and how they have done."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

#: Failures after which a node gets no more tasks.
_MOST_FAILURES = 2
#: Workers that a node may lose one after another without a task done between.
_MOST_LOSSES = 8
#: Seconds after which a node that was set aside is tried again, quietly.
RETRY_SECONDS = 600.0


@dataclass(frozen=True)
class Node:
    """A node that is there: its `name` for people, `address` and `port` of its raylet."""

    id: str
    name: str
    address: str
    port: int
    resources: Mapping[str, float]

    def room(self, needed: Mapping[str, float]) -> int:
        """How many workers that need so much of each resource it holds when nothing else runs."""
        rooms = (self.resources.get(name, 0) / each for name, each in needed.items() if each)
        return min(int(room + 1e-6) for room in rooms)


@dataclass
class _Record:
    """How a node has done."""

    name: str
    failures: list[str] = field(default_factory=list)
    losses: int = 0  # workers, since the last task done
    aside_since: float | None = None  # of time.monotonic()
    retried: bool = False  # it may show again that it is fit
    remarks: set[str] = field(default_factory=set)


class NodeRecords:
    """How the nodes have done; safe to use from several threads.

    `notify` is given a line for people when a node fails and when it is set aside.
    """

    def __init__(self, notify: Callable[[str], None]) -> None:
        self._notify = notify
        self._records: dict[str, _Record] = {}
        self._lock = threading.Lock()

    def meet(self, nodes: Iterable[Node]) -> None:
        """Note the names of nodes."""
        with self._lock:
            for node in nodes:
                self._records.setdefault(node.id, _Record(node.name)).name = node.name

    def failed(self, node: str, reason: str) -> None:
        """Count a failure that is the node's for sure; the second sets it aside."""
        with self._lock:
            record = self._record(node)
            record.failures.append(reason)
            enough = len(record.failures) >= _MOST_FAILURES or record.retried
            line = self._set_aside(record, reason) if enough else None
            if line is None and record.aside_since is None:
                line = f"node {record.name}: {reason}; once more, and it is set aside"
        if line:
            self._notify(line)

    def lost(self, node: str, reason: str) -> None:
        """Count a lost worker; many without a task done between set the node aside."""
        with self._lock:
            record = self._record(node)
            record.losses += 1
            line = None
            if record.losses >= _MOST_LOSSES:
                line = self._set_aside(record, f"{record.losses} workers in a row: {reason}")
        if line:
            self._notify(line)

    def done(self, node: str) -> None:
        """Note that a task was done there."""
        with self._lock:
            self._record(node).losses = 0

    def fit(self, node: str) -> None:
        """Note that a worker there passed its trial: one that was set aside is used again."""
        with self._lock:
            record = self._record(node)
            again = record.aside_since is not None
            record.aside_since = None
        if again:
            self._notify(f"node {record.name} is fit again and gets tasks")

    def remark(self, node: str, remark: str) -> None:
        """Say something of a node, once."""
        with self._lock:
            record = self._record(node)
            new = remark not in record.remarks
            record.remarks.add(remark)
        if new:
            self._notify(f"node {record.name}: {remark}")

    def usable(self, node: str) -> bool:
        """Whether it may get workers: it is not set aside, or is due to be tried again."""
        with self._lock:
            record = self._record(node)
            if record.aside_since is None:
                return True
            if time.monotonic() - record.aside_since < RETRY_SECONDS:
                return False
            record.retried, record.losses = True, 0
            return True

    def is_aside(self, node: str) -> bool:
        """Whether it gets no tasks."""
        with self._lock:
            return self._record(node).aside_since is not None

    def complaints(self) -> list[str]:
        """A line for each node that has failed or was set aside."""
        with self._lock:
            return [
                f"node {record.name}: {record.failures[-1] if record.failures else 'lost workers'}"
                f" ({len(record.failures)} failures"
                f"{', set aside' if record.aside_since is not None else ''})"
                for record in self._records.values()
                if record.failures or record.aside_since is not None
            ]

    def _record(self, node: str) -> _Record:
        return self._records.setdefault(node, _Record(node[:8]))

    def _set_aside(self, record: _Record, reason: str) -> str | None:
        """Set a node aside; the line to say, None where it was aside before."""
        quiet = record.aside_since is not None
        record.aside_since = time.monotonic()
        return None if quiet else f"node {record.name} is set aside, as it fails: {reason}"
