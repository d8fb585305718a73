"""Gallery: each enhanced track's best face and its source crop, as images with a table."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from facepipe._system.files import write_bytes, write_text
from facepipe.configs.settings import Settings
from facepipe.datatypes import Track
from facepipe.errors import InputError, OutputError, OutputExistsError
from facepipe.presentation.document_views import document_info, document_views
from facepipe.presentation.documents import Document
from facepipe.presentation.images import png_bytes
from facepipe.presentation.views import FaceView
from facepipe.presentation.words import clock
from facepipe.workers.base import Executor
from facepipe.workers.local import LocalExecutor
from facepipe.workers.resources import usable_cores

#: Side of an image, px, and tracks whose images are held at once.
SIDE, _AT_ONCE = 256, 64
TABLE = "faces.csv"
_COLUMNS = ("track", "enhanced", "reason", "seconds", "clock", "size_px", "before", "after")


@dataclass(frozen=True)
class Gallery:
    """What was written: the folder, its images, and the tracks in its table."""

    folder: Path
    images: int
    tracks: int


def write_gallery(
    document: Document,
    folder: Path,
    settings: Settings,
    *,
    overwrite: bool = False,
    executor: Executor | None = None,
) -> Gallery:
    """Write `track-N-before.png` and `track-N-after.png` of each enhanced track, and faces.csv.

    Refused tracks stand in the table alone, with their reasons. Raises InputError without the
    source, OutputError for a folder that holds a gallery, unless `overwrite`.
    """
    table = folder / TABLE
    _check_target(table, overwrite=overwrite)
    info = document_info(document, settings.limits)
    if info is None:
        raise InputError(
            f"{document.path}: the source {document.source_name!r} was not found beside it, or is "
            "another file; --source FILE names it"
        )
    enhanced = [track for track in document.tracks if track.enhance]
    rows: dict[int, list[object]] = {}
    images = 0
    with ExitStack() as stack:
        workers = settings.workers or min(usable_cores(), max(len(enhanced), 1))
        executor = executor or stack.enter_context(LocalExecutor(workers))
        for some in _parts(enhanced):
            for view in document_views(
                document, info, some, settings, executor, times=1, side=SIDE
            ):
                names = _write_images(view, folder)
                images += len(names)
                rows[view.moment.track.number] = _row(view, names)
    write_text(_table(document.tracks, rows), table)
    return Gallery(folder, images, len(document.tracks))


def _check_target(table: Path, *, overwrite: bool) -> None:
    if table.exists() and not overwrite:
        raise OutputExistsError(f"{table}: exists already; --overwrite replaces it")
    if table.parent.exists() and not table.parent.is_dir():
        raise OutputError(f"{table.parent}: is no folder; a gallery goes to a folder")


def _parts(tracks: Sequence[Track]) -> Iterator[Sequence[Track]]:
    for begin in range(0, len(tracks), _AT_ONCE):
        yield tracks[begin : begin + _AT_ONCE]


def _write_images(view: FaceView, folder: Path) -> list[str]:
    names = []
    for what, image in zip(("before", "after"), (view.before, *view.after[:1]), strict=False):
        name = f"track-{view.moment.track.number:04d}-{what}.png"
        write_bytes(png_bytes(image, enhanced=what == "after"), folder / name)
        names.append(name)
    return names


def _row(view: FaceView, names: Sequence[str]) -> list[object]:
    moment = view.moment
    before, after = [*names, "", ""][:2]
    seconds = f"{view.seconds:.3f}"
    return [moment.track.number, "yes", "", seconds, clock(view.seconds), f"{moment.size:.1f}",
            before, after]  # fmt: skip


def _table(tracks: Sequence[Track], rows: dict[int, list[object]]) -> str:
    """The table as CSV, a row for each track."""
    written = StringIO()
    writer = csv.writer(written)
    writer.writerow(_COLUMNS)
    for track in tracks:
        known = rows.get(track.number)
        enhanced = "yes" if track.enhance else "no"
        size = f"{track.size:.1f}"
        bare = [track.number, enhanced, _as_text(track.reason or ""), "", "", size, "", ""]
        writer.writerow(known or bare)
    return written.getvalue()


def _as_text(value: str) -> str:
    """A text that no spreadsheet takes for a formula: a reason may have been edited."""
    return f"'{value}" if value[:1] in tuple("=+-@\t\r") else value
