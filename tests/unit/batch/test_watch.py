"""Watching folders: what is at rest, and what moves where."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from facepipe.batch.runner import open_ledger
from facepipe.batch.session import BatchSettings
from facepipe.batch.watch import WatchSettings, _excluded, _roots, _Watched, watch_batch
from facepipe.configs.settings import Settings, load_settings
from facepipe.errors import UsageError
from facepipe.workers.local import LocalExecutor


@pytest.fixture
def watched(tmp_path: Path) -> _Watched:
    (tmp_path / "in" / "out").mkdir(parents=True)
    excluded = _excluded(tmp_path / "in" / "out", WatchSettings(done_to=tmp_path / "in" / "done"))
    return _Watched(_roots([str(tmp_path / "in")]), excluded, settle=5)


def names(watched: _Watched, now: float) -> list[str]:
    return sorted(Path(path).name for path in watched.at_rest(now))


def test_a_file_is_at_rest_when_nothing_changed_for_long_enough(
    watched: _Watched, tmp_path: Path
) -> None:
    file = tmp_path / "in" / "a.mp4"
    file.write_bytes(b"begun")
    assert names(watched, 0) == []
    assert names(watched, 4.9) == []
    with file.open("ab") as growing:
        growing.write(b" and goes on")
    assert names(watched, 5) == []  # its size is another
    assert names(watched, 9.9) == []
    os.utime(file, ns=(1, 1))
    assert names(watched, 10) == []  # its time is another, as after a copy that keeps times
    assert names(watched, 14.9) == []
    assert names(watched, 15) == ["a.mp4"]


def test_a_file_is_taken_once_until_it_changes(watched: _Watched, tmp_path: Path) -> None:
    file = tmp_path / "in" / "a.mp4"
    file.write_bytes(b"whole")
    watched.at_rest(0)
    watched.taken |= watched.at_rest(5)
    assert names(watched, 50) == []
    file.write_bytes(b"whole and other")
    assert names(watched, 60) == []
    assert names(watched, 65) == ["a.mp4"]
    watched.taken |= watched.at_rest(66)
    kept = file.stat()
    file.unlink()  # moved away; then the very same file comes again
    assert names(watched, 70) == []
    file.write_bytes(b"whole and other")
    os.utime(file, ns=(kept.st_atime_ns, kept.st_mtime_ns))
    assert names(watched, 80) == []
    assert names(watched, 85) == ["a.mp4"]


def test_what_is_no_finished_file_is_left_alone(watched: _Watched, tmp_path: Path) -> None:
    root = tmp_path / "in"
    (root / "done").mkdir()
    (root / "below").mkdir()
    for name in (
        "empty.mp4", ".hidden.mp4", "a.mp4.part", "b.jpg.crdownload", "C.MP4.PART",
        "out/result.mp4", "done/old.mp4", "below/good.mp4", "good.jpg",
    ):  # fmt: skip
        (root / name).write_bytes(b"" if name.startswith("empty") else b"x")
    assert names(watched, 0) == []
    assert names(watched, 5) == ["good.jpg", "good.mp4"]


def test_a_folder_that_is_away_for_a_while_holds_nothing(watched: _Watched, tmp_path: Path) -> None:
    (tmp_path / "in" / "a.mp4").write_bytes(b"x")
    watched.at_rest(0)
    (tmp_path / "in").rename(tmp_path / "away")
    assert names(watched, 5) == []
    (tmp_path / "away").rename(tmp_path / "in")
    assert names(watched, 6) == []
    assert names(watched, 11) == ["a.mp4"]


def test_a_link_that_leads_to_itself_hides_nothing(watched: _Watched, tmp_path: Path) -> None:
    for name in "abcdefgh":
        (tmp_path / "in" / f"{name}.mp4").write_bytes(b"x")
    (tmp_path / "in" / "loop.mp4").symlink_to("loop.mp4")
    watched.at_rest(0)
    assert len(names(watched, 5)) == 8


@pytest.mark.parametrize("refused", ["in/below", "in"])
def test_what_was_taken_stays_known_while_its_folder_cannot_be_read(
    watched: _Watched, tmp_path: Path, refused: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in" / "below").mkdir()
    for name in ("below/a.mp4", "below2.mp4"):
        (tmp_path / "in" / name).write_bytes(b"x")
    watched.at_rest(0)
    watched.taken |= watched.at_rest(5)
    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", scan_but(str(tmp_path / refused)))  # root may read everything
        assert names(watched, 6) == []
    assert names(watched, 7) == []
    assert names(watched, 20) == []


def scan_but(refused: str) -> Callable[[str], Any]:
    """What lists every folder but one."""
    scan = os.scandir

    def scan_others(folder: str) -> Any:
        if folder == refused:
            raise PermissionError(errno.EACCES, "Permission denied")
        return scan(folder)

    return scan_others


@pytest.mark.parametrize(
    ("sources", "how", "said"),
    [
        (["gone"], WatchSettings(), "--watch takes folders of this machine, and gone is none"),
        (["s3://bucket"], WatchSettings(), "takes folders of this machine"),
        (["in"], WatchSettings(done_to=Path("in")), "in: is watched"),
    ],
)
def test_what_cannot_be_watched_is_refused(
    sources: list[str],
    how: WatchSettings,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    with pytest.raises(UsageError, match=said):
        next(watch_batch(sources, Path("out"), Settings(), LocalExecutor(1), watch=how))
    assert [one.name for one in tmp_path.iterdir()] == ["in"]


def test_a_folder_with_a_batch_of_other_settings_is_refused_before_a_file_comes(
    tmp_path: Path,
) -> None:
    (tmp_path / "in").mkdir()
    sources, out = [str(tmp_path / "in")], tmp_path / "out"
    with ExitStack() as stack:
        open_ledger(sources, out, Settings(), BatchSettings(), stack, only=())
    other = load_settings(overrides={"restore.strength": 0.5})
    with pytest.raises(UsageError, match="holds a batch of other settings"):
        next(watch_batch(sources, out, other, LocalExecutor(1), watch=WatchSettings()))
