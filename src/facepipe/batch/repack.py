"""Repacking: finished members of an archive go into a new one of the same format."""

from __future__ import annotations

import json
import shutil
import time
from contextlib import suppress
from pathlib import Path

from facepipe._system.files import atomic_write
from facepipe.batch.archives import ArchiveWriter, Member, open_archive
from facepipe.batch.ledger import Ledger, Row
from facepipe.batch.session import MEMBERS, BatchSession
from facepipe.errors import InputError
from facepipe.pipeline.sidecar import sidecar_path

#: Suffix of an archive's reports, which marks the archive as a result of facepipe.
REPORTS = ".facepipe.jsonl"


def pack(ledger: Ledger, session: BatchSession) -> None:
    """Write every archive whose images are finished, unless that was done before.

    Members that failed, and those that are no images, are copied. The sidecars of enhanced members
    are the lines of one file, ARCHIVE.facepipe.jsonl. Raises OutputError where the disk refuses.
    """
    for source in ledger.archives():
        if not ledger.packed(source):
            _pack(Path(source), ledger, session)


def _pack(source: Path, ledger: Ledger, session: BatchSession) -> None:
    rows = {str(row.member): row for row in ledger.members(str(source))}
    place = _place(next(iter(rows.values())))
    target = session.folder / place
    target.parent.mkdir(parents=True, exist_ok=True)
    reports = target.with_name(f"{target.name}{REPORTS}")
    with (
        open_archive(source) as archive,
        ArchiveWriter(target) as writer,
        atomic_write(reports) as partial,
        partial.open("w", encoding="utf-8") as lines,
        suppress(InputError),  # damage further on: the batch's report names it
    ):
        for member in archive.members(session.batch.limits):
            if not isinstance(member, Member):
                continue
            row = rows.get(member.name)
            result = session.folder / row.place if row else None
            if result is not None and result.is_file():
                is_kept = session.settings.output.dates == "source"
                date = member.modified if is_kept else time.time()
                writer.add(member.name, result.read_bytes(), date)
                if (report := sidecar_path(result)).is_file():
                    lines.write(json.dumps(json.loads(report.read_text(encoding="utf-8"))) + "\n")
                continue
            with suppress(InputError):  # a damaged member: likewise
                writer.add(member.name, archive.read(member), member.modified)
    ledger.note_packed(str(source))
    shutil.rmtree(session.folder / MEMBERS / place, ignore_errors=True)
    session.deliver_file(target)
    session.deliver_file(reports)


def _place(row: Row) -> str:
    """The place of a member's archive in the batch's folder."""
    return row.place.removeprefix(f"{MEMBERS}/").removesuffix(f"/{row.member}")
