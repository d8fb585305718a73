"""A log whose entries are chained by their hashes: no entry can change without breaking the chain.

A line of JSON is an entry. It has a number, the hash of the entry before it, and its own hash,
which is that of all else in it. Whoever knows the last hash knows that nothing before it was
changed. Whoever has no note of it cannot see that the end was cut off.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from facepipe.errors import InputError, OutputError

#: What stands before the first entry.
BEGIN = "0" * 64
_HASH, _PREVIOUS, _NUMBER = "sha256", "previous", "number"
_LONGEST = 2**24  # bytes of a line that are read


class ChainLog:
    """A log that is open to be appended to, by several threads; `close` it, or use it as a context.

    Raises OutputError where the file cannot be written, or was changed. A last line that a kill cut
    short is removed.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._lock = path, threading.Lock()
        self.entries, self.head = 0, BEGIN
        try:
            for entry in read_chain(path) if path.exists() else ():
                self.entries, self.head = entry[_NUMBER], entry[_HASH]
        except InputError as error:
            raise OutputError(f"{error}; move it away to begin a new one") from error
        try:
            self._file: BinaryIO = path.open("ab")
            whole = _whole_lines(path)
            if whole < path.stat().st_size:
                self._file.truncate(whole)
        except OSError as error:
            raise OutputError(f"{path}: cannot be written ({error.strerror or error})") from error

    def __enter__(self) -> ChainLog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def append(self, entries: Iterable[Mapping[str, Any]]) -> None:
        """Append entries, and wait until they are on the disk. OutputError as the disk refuses."""
        with self._lock:
            number, head, lines = self.entries, self.head, []
            for entry in entries:
                number += 1
                said = {_NUMBER: number, _PREVIOUS: head, **entry}
                head = _hash(said)
                lines.append(json.dumps(said | {_HASH: head}) + "\n")
            try:
                self._file.write("".join(lines).encode())
                self._file.flush()
                os.fsync(self._file.fileno())
            except OSError as error:
                raise OutputError(
                    f"{self._path}: cannot be written ({error.strerror or error})"
                ) from error
            self.entries, self.head = number, head

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read_chain(path: Path) -> Iterator[dict[str, Any]]:
    """The entries of a log, each checked; a last line that was cut short is left out.

    Raises InputError at the first entry that was changed, or does not follow the one before it.
    """
    head, number = BEGIN, 0
    try:
        with path.open("rb") as file:
            while line := file.readline(_LONGEST):
                if not line.endswith(b"\n"):
                    return
                number += 1
                entry = _entry(line)
                own = entry.pop(_HASH, None)
                follows = entry.get(_PREVIOUS) == head and entry.get(_NUMBER) == number
                if not follows or own != _hash(entry):
                    raise InputError(f"{path}: its entry {number} was changed, or one before it")
                head = own
                yield entry | {_HASH: own}
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error


def _entry(line: bytes) -> dict[str, Any]:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return entry if isinstance(entry, dict) else {}


def _hash(entry: Mapping[str, Any]) -> str:
    said = json.dumps(entry, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(said.encode()).hexdigest()


def _whole_lines(path: Path) -> int:
    """Bytes of a file up to the end of its last whole line."""
    content = path.read_bytes()
    return content.rfind(b"\n") + 1
