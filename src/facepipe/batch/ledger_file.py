"""Opens the SQLite file of a ledger, also where the file system knows no locks."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from pathlib import Path

_TABLES = """
CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS items (
    number INTEGER PRIMARY KEY,
    source TEXT NOT NULL,
    member TEXT NOT NULL,
    kind TEXT NOT NULL,
    place TEXT NOT NULL UNIQUE,
    size INTEGER NOT NULL,
    modified INTEGER NOT NULL,
    seen INTEGER NOT NULL,
    state TEXT NOT NULL DEFAULT 'waiting',
    reason TEXT NOT NULL DEFAULT '',
    sha256 TEXT NOT NULL DEFAULT '',
    written INTEGER NOT NULL DEFAULT 0,
    frames INTEGER NOT NULL DEFAULT 0,
    faces INTEGER NOT NULL DEFAULT 0,
    seconds REAL NOT NULL DEFAULT 0,
    UNIQUE (source, member)
);
CREATE INDEX IF NOT EXISTS by_state ON items (state, kind, size);
CREATE TABLE IF NOT EXISTS skipped (source TEXT NOT NULL, reason TEXT NOT NULL);
"""


def opened(path: Path) -> sqlite3.Connection:
    """The database with its tables. Errors: sqlite3.Error."""
    address = path.absolute().as_uri()
    try:
        return _connected(address, "journal_mode=WAL", "synchronous=NORMAL")
    except sqlite3.OperationalError:
        # The file system may know no locks or share no memory. The batch's own lock is enough.
        with suppress(sqlite3.Error):
            return _connected(
                f"{address}?vfs=unix-none", "locking_mode=EXCLUSIVE", "journal_mode=TRUNCATE"
            )
        raise


def _connected(address: str, *pragmas: str) -> sqlite3.Connection:
    rows = sqlite3.connect(address, uri=True, check_same_thread=False, isolation_level=None)
    try:
        for pragma in pragmas:
            rows.execute(f"PRAGMA {pragma}")
        rows.executescript(_TABLES)
    except BaseException:
        rows.close()
        raise
    return rows
