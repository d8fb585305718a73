"""The report of a batch: what became of each item, as JSON and as CSV."""

from __future__ import annotations

import csv
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from facepipe._system.files import atomic_write
from facepipe.batch.ledger import WRITTEN, Count, Ledger, Row
from facepipe.batch.session import MEMBERS
from facepipe.configs.notices import NOTICE

#: Name of both files in the output folder, without suffix.
NAME = "facepipe-batch"
_COLUMNS = ("source", "member", "output", "state", "reason", "frames", "faces", "seconds", "sha256")


@dataclass(frozen=True)
class BatchSummary:
    """Summary of a batch: counts by state over all items, and this run's share."""

    folder: Path
    counts: dict[str, Count]
    worked_on: int  # items of this run
    kept: int  # items that an earlier run had finished
    kept_spans: int  # spans of videos that an earlier run had begun
    skipped: int
    seconds: float
    unread: int = 0  # of those skipped: folders and files that cannot be read
    log_entries: int = 0  # of the chained log, all runs together
    log_sha256: str = ""  # hash of its last entry

    @property
    def failed(self) -> int:
        return self.counts["failed"].items if "failed" in self.counts else 0

    @property
    def lost(self) -> int:
        return self.counts["lost"].items if "lost" in self.counts else 0


def write_reports(ledger: Ledger, summary: BatchSummary) -> tuple[Path, Path]:
    """Write both files to the output folder, atomically; OutputError where the disk refuses."""
    paths = summary.folder / f"{NAME}.json", summary.folder / f"{NAME}.csv"
    with atomic_write(paths[0]) as as_json, atomic_write(paths[1]) as as_csv:
        _write_json(ledger, summary, as_json)
        _write_csv(ledger, as_csv)
    return paths


def _write_json(ledger: Ledger, summary: BatchSummary, path: Path) -> None:
    """Write the JSON, one item a line, however many there are."""
    head = {
        "format": "facepipe-batch/1",
        "notice": NOTICE,
        "counts": {state: asdict(count) for state, count in summary.counts.items()},
        "seconds": round(summary.seconds, 1),
        "kept_from_earlier_runs": summary.kept,
        "log": {"entries": summary.log_entries, "sha256": summary.log_sha256},
    }
    with path.open("w", encoding="utf-8") as file:
        file.write(json.dumps(head, indent=1)[:-2] + ',\n "items": [')
        for number, row in enumerate(ledger.rows()):
            file.write(("," if number else "") + "\n  " + json.dumps(entry(row)))
        file.write('\n ],\n "skipped": [')
        for number, (source, reason) in enumerate(ledger.skipped()):
            one = json.dumps({"source": source, "reason": reason})
            file.write(("," if number else "") + "\n  " + one)
        file.write("\n ]\n}\n")


def _write_csv(ledger: Ledger, path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.DictWriter(file, _COLUMNS)
        rows.writeheader()
        rows.writerows(entry(row) for row in ledger.rows())


def entry(row: Row) -> dict[str, object]:
    """What reports say of an item."""
    return {
        "source": row.source,
        "member": row.member or "",
        "output": row.place.removeprefix(f"{MEMBERS}/")
        if row.state in WRITTEN and row.written
        else "",
        "state": row.state,
        "reason": row.reason,
        "frames": row.frames,
        "faces": row.faces,
        "seconds": row.seconds,
        "sha256": row.sha256,
    }
