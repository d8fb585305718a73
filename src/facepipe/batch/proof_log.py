"""The chained log of a batch: what became of each item, with the digests of what was written."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from facepipe import __version__
from facepipe._system.files import sha256_of
from facepipe.batch.ledger import WRITTEN, Row
from facepipe.configs.settings import Settings
from facepipe.marking.manifest import manifest_path
from facepipe.pipeline.sidecar import sidecar_path

#: Its name in the output folder.
LOG = "facepipe-batch.log.jsonl"


def begin_entry(settings: Settings) -> dict[str, Any]:
    """The entry of a run of the batch: version and settings."""
    return {
        "kind": "begin",
        "time": _now(),
        "facepipe": __version__,
        "settings": settings.model_dump(mode="json"),
    }


def item_entry(row: Row, folder: Path) -> dict[str, Any]:
    """The entry of a finished item, whose files are still in `folder`."""
    entry: dict[str, Any] = {
        "kind": "item",
        "time": _now(),
        "source": row.source,
        "member": row.member or "",
        "source_sha256": row.sha256,
        "output": row.place,
    }
    target = folder / row.place
    if row.state not in WRITTEN or not target.is_file():
        return entry
    report, manifest = sidecar_path(target), manifest_path(target)
    if report.is_file():
        entry["output_sha256"] = json.loads(report.read_bytes())["output"]["sha256"]
        entry["report_file_sha256"] = sha256_of(report)
    else:
        entry["output_sha256"] = sha256_of(target)
    if manifest.is_file():
        entry["manifest_file_sha256"] = sha256_of(manifest)
    return entry


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
