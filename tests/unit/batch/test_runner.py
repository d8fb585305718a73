"""Opening a batch: what is refused before any work."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from facepipe.batch.archives import ArchiveWriter
from facepipe.batch.runner import open_ledger
from facepipe.batch.session import FOLDER, BatchSettings
from facepipe.configs.settings import Settings, load_settings
from facepipe.errors import InputError, OutputError


def opened(source: Path, folder: Path, stack: ExitStack) -> int:
    ledger = open_ledger([str(source)], folder, Settings(), BatchSettings(), stack)
    return sum(count.items for count in ledger.count().values())


def test_sources_without_anything_to_enhance_are_refused(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with ExitStack() as stack, pytest.raises(InputError, match="no video and no photograph"):
        opened(empty, tmp_path / "out", stack)
    (empty / "notes.txt").write_text("no pictures")
    with ExitStack() as stack, pytest.raises(InputError, match=r"1 files were skipped: neither"):
        opened(empty, tmp_path / "out", stack)
    (empty / "a.jpg").write_bytes(b"x")
    with ExitStack() as stack:
        assert opened(empty, tmp_path / "out", stack) == 1


def test_one_batch_at_a_time(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"x")
    with ExitStack() as stack:
        opened(tmp_path / "a.jpg", tmp_path / "out", stack)
        with ExitStack() as other, pytest.raises(OutputError, match="another batch of facepipe"):
            opened(tmp_path / "a.jpg", tmp_path / "out", other)
        assert (tmp_path / "out" / FOLDER / "ledger.sqlite").is_file()


def test_a_refused_batch_leaves_no_folder_behind(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for source, error in ((tmp_path / "in", InputError), (tmp_path / "gone", InputError)):
        with ExitStack() as stack, pytest.raises(error):
            opened(source, tmp_path / "far" / "out", stack)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "mine.txt").write_text("mine")
    with ExitStack() as stack, pytest.raises(InputError):
        opened(tmp_path / "in", kept, stack)
    assert [path.name for path in kept.iterdir()] == ["mine.txt"]
    (tmp_path / "in" / "a.jpg").write_bytes(b"x")
    with ExitStack() as stack:
        opened(tmp_path / "in", kept, stack)
    with ExitStack() as stack, pytest.raises(InputError):  # what an earlier batch did stays
        opened(tmp_path / "gone", kept, stack)
    assert (kept / FOLDER / "ledger.sqlite").is_file()


def test_an_archive_becomes_a_folder_without_its_suffix(tmp_path: Path) -> None:
    inside = tmp_path / "in"
    (inside / "taken").mkdir(parents=True)
    for name in ("old.zip", "taken.zip", "both.zip", "both.tar.gz", "Photos.2019.TAR.GZ", ".zip"):
        with ArchiveWriter(inside / name) as archive:
            archive.add("sub/a.jpg", b"x", 0)
    with ExitStack() as stack:
        ledger = open_ledger([str(inside)], tmp_path / "out", Settings(), BatchSettings(), stack)
        assert sorted(row.place for row in ledger.rows()) == [
            "Photos.2019/sub/a.jpg",
            "both.tar.gz/sub/a.jpg",
            "both.zip/sub/a.jpg",
            "old/sub/a.jpg",
            "taken.zip/sub/a.jpg",
        ]


@pytest.mark.parametrize(
    ("purpose", "suffixes"),
    [
        (None, {".mp4", ".mkv", ".jpg"}),
        ("web", {".mp4", ".jpg"}),
        ("edit", {".mov", ".jpg"}),
    ],
)
def test_videos_are_named_by_what_they_are_for(
    purpose: str | None, suffixes: set[str], tmp_path: Path
) -> None:
    names = ("a.mp4", "b.mkv", "c.jpg")
    (tmp_path / "in").mkdir()
    for name in names:
        (tmp_path / "in" / name).write_bytes(b"x")
    settings = load_settings(overrides={"output.purpose": purpose})
    with ExitStack() as stack:
        folder = tmp_path / "out"
        ledger = open_ledger([str(tmp_path / "in")], folder, settings, BatchSettings(), stack)
        rows = [*ledger.waiting("video"), *ledger.waiting("image")]
        assert {Path(row.place).suffix for row in rows} == suffixes
        assert {Path(row.place).stem for row in rows} == {"a", "b", "c"}
