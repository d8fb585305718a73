"""Archives in, archives out: members that are done go into an archive of the same shape."""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from pathlib import Path

from facepipe._files import atomic_write
from facepipe.batch.archives import ArchiveWriter, Member, opened
from facepipe.batch.ledger import Ledger, Row
from facepipe.batch.session import MEMBERS, Desk
from facepipe.errors import InputError
from facepipe.pipeline.sidecar import sidecar_path

#: What follows an archive's name in that of its reports, by which it is known as one of ours.
REPORTS = ".facepipe.jsonl"


def pack(ledger: Ledger, desk: Desk) -> None:
    """Write every archive whose pictures are settled, unless that was done before.

    Members that failed, and those that are no pictures, go in as they are. Reports of what was
    enhanced stand in one file beside the archive, a line each. Raises OutputError where the disk
    refuses.
    """
    for source in ledger.archives():
        if not ledger.packed(source):
            _pack(Path(source), ledger, desk)


def _pack(source: Path, ledger: Ledger, desk: Desk) -> None:
    rows = {str(row.member): row for row in ledger.members(str(source))}
    place = _place(next(iter(rows.values())))
    target = desk.folder / place
    target.parent.mkdir(parents=True, exist_ok=True)
    reports = target.with_name(f"{target.name}{REPORTS}")
    with (
        opened(source) as archive,
        ArchiveWriter(target) as writer,
        atomic_write(reports) as partial,
        partial.open("w", encoding="utf-8") as lines,
        suppress(InputError),  # damage further on: the batch's report names it
    ):
        for member in archive.members(desk.batch.limits):
            if not isinstance(member, Member):
                continue
            row = rows.get(member.name)
            made = desk.folder / row.place if row else None
            if made is not None and made.is_file():
                writer.add(member.name, made.read_bytes(), member.modified)
                if (report := sidecar_path(made)).is_file():
                    lines.write(json.dumps(json.loads(report.read_text(encoding="utf-8"))) + "\n")
                continue
            with suppress(InputError):  # damaged itself: likewise
                writer.add(member.name, archive.read(member), member.modified)
    ledger.note_packed(str(source))
    shutil.rmtree(desk.folder / MEMBERS / place, ignore_errors=True)
    desk.deliver_file(target)
    desk.deliver_file(reports)


def _place(row: Row) -> str:
    """Where the archive of a member goes."""
    return row.place.removeprefix(f"{MEMBERS}/").removesuffix(f"/{row.member}")
