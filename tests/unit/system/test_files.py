"""The atomic writer: at any moment there is the old file or the whole new one, and nothing else."""

from __future__ import annotations

import errno
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from facepipe._system.files import (
    atomic_write,
    durable_rename,
    is_address,
    move_file,
    remove_partials,
    sha256_of,
    write_bytes,
)
from facepipe.errors import OutputError

KILLED = """
import os, signal, sys
from pathlib import Path
from facepipe._system.files import atomic_write
with atomic_write(Path(sys.argv[1])) as partial:
    partial.write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_new_file_takes_the_place_of_the_old(tmp_path: Path) -> None:
    target = tmp_path / "video.mp4"
    target.write_bytes(b"old")
    with atomic_write(target) as partial:
        assert re.fullmatch(r"\.video\.[0-9a-f]{8}\.partial\.mp4", partial.name)
        partial.write_bytes(b"new")
        assert target.read_bytes() == b"old"
    assert target.read_bytes() == b"new"
    assert names(tmp_path) == ["video.mp4"]


@pytest.mark.parametrize("name", ["mark", "a.tar.gz", ".hidden", "ünï.png"])
def test_partial_files_are_hidden_and_known_by_their_name(name: str, tmp_path: Path) -> None:
    with atomic_write(tmp_path / name) as partial:
        partial.write_bytes(b"")
        assert partial.name.startswith(".")
        assert list(tmp_path.glob("*.partial*")) == [partial]


def test_an_exception_leaves_the_old_file_alone(tmp_path: Path) -> None:
    target = tmp_path / "video.mp4"
    target.write_bytes(b"old")

    def interrupted() -> None:
        with atomic_write(target) as partial:
            partial.write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert target.read_bytes() == b"old"
    assert names(tmp_path) == ["video.mp4"]


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL there")
def test_a_kill_before_the_rename_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "video.mp4"
    target.write_bytes(b"old")
    killed = subprocess.run([sys.executable, "-c", KILLED, str(target)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert target.read_bytes() == b"old"
    assert len(names(tmp_path)) == 2
    remove_partials(tmp_path, {"other.mp4"})
    assert len(names(tmp_path)) == 2
    remove_partials(tmp_path, {"video.mp4"})
    assert names(tmp_path) == ["video.mp4"]


def test_two_writers_of_one_file_do_not_meet(tmp_path: Path) -> None:
    """A worker that was given up may live on, and write what another one writes again."""
    target = tmp_path / "video.mp4"
    with atomic_write(target) as one, atomic_write(target) as other:
        one.write_bytes(b"first")
        other.write_bytes(b"second")
        assert one != other
    assert target.read_bytes() == b"first"  # which was renamed last
    assert names(tmp_path) == ["video.mp4"]


def test_a_full_disk_is_an_output_error(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource", reason="no limits of processes here")
    target = tmp_path / "video.mp4"
    target.write_bytes(b"old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        with pytest.raises(OutputError, match=r"video\.mp4: cannot be written \(File too large\)"):
            write_bytes(bytes(1000), target)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert target.read_bytes() == b"old"
    assert names(tmp_path) == ["video.mp4"]


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_disk_that_fails_late_is_an_output_error(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os if call == "fsync" else Path, call, fails)
    with pytest.raises(OutputError, match="Input/output error"):
        write_bytes(b"new", tmp_path / "video.mp4")
    assert names(tmp_path) == []


def test_file_and_folder_reach_the_disk_around_the_rename(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def noted_fsync(number: int) -> None:
        steps.append("fsync folder" if os.path.isdir(number) else "fsync file")  # noqa: PTH112
        fsync(number)

    def noted_replace(path: Path, target: Path) -> Path:
        steps.append("rename")
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(Path, "replace", noted_replace)
    write_bytes(b"new", tmp_path / "video.mp4")
    expected = ["fsync file", "rename", "fsync folder"]
    assert steps == (expected[:2] if sys.platform == "win32" else expected)


def test_a_folder_that_cannot_be_synced_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    (tmp_path / "a").write_bytes(b"a")
    monkeypatch.setattr(os, "open", refuse)
    durable_rename(tmp_path / "a", tmp_path / "b")
    assert names(tmp_path) == ["b"]


def test_missing_folders_are_made_for_bytes(tmp_path: Path) -> None:
    write_bytes(b"x", tmp_path / "deep" / "er" / "a.bin")
    assert (tmp_path / "deep" / "er" / "a.bin").read_bytes() == b"x"
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match="cannot be written"):
        write_bytes(b"x", tmp_path / "file" / "a.bin")


def test_a_digest_follows_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"one")
    first = sha256_of(path)
    path.write_bytes(b"other")
    assert len(first) == 64
    assert sha256_of(path) != first


@pytest.mark.parametrize(("name", "expected"), [("s3://a/b.mp4", True), ("a/b.mp4", False)])
def test_addresses_are_known(name: str, expected: bool) -> None:
    assert is_address(name) is expected


#: Ways in which a disk may refuse what a move asks: links, and renames to another disk.
NO_LINKS = OSError(errno.EPERM, "no links here")
OTHER_DISK = OSError(errno.EXDEV, "another disk")


@pytest.mark.parametrize("refused", [(), ("link",), ("link", "replace")])
def test_a_moved_file_replaces_none(
    refused: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(error: OSError) -> Callable[..., None]:
        def call(*_: object, **__: object) -> None:
            raise error

        return call

    real = Path.replace

    def rename(self: Path, target: Path) -> Path:
        if self.parent != target.parent:
            raise OTHER_DISK
        return real(self, target)

    if "link" in refused:
        monkeypatch.setattr(os, "link", refuse(NO_LINKS))
    if "replace" in refused:
        monkeypatch.setattr(Path, "replace", rename)
    target = tmp_path / "done" / "below" / "a.mp4"
    for number, expected in ((1, "a.mp4"), (2, "a~2.mp4"), (3, "a~3.mp4")):
        source = tmp_path / "a.mp4"
        source.write_text(f"content {number}")
        os.utime(source, ns=(10**18, 10**18))
        moved = move_file(source, target)
        assert moved == target.with_name(expected)
        assert moved.read_text() == f"content {number}"
        assert moved.stat().st_mtime_ns == 10**18
        assert not source.exists()
    assert len(list(target.parent.iterdir())) == 3


def test_a_move_that_was_cut_short_is_finished(tmp_path: Path) -> None:
    source, target = tmp_path / "a.mp4", tmp_path / "done" / "a.mp4"
    source.write_text("content")
    target.parent.mkdir()
    os.link(source, target)  # and a kill before the first name is removed
    assert move_file(source, target) == target
    assert [one.name for one in tmp_path.iterdir()] == ["done"]


def test_a_move_that_fails_leaves_all_as_it_was(tmp_path: Path) -> None:
    source = tmp_path / "a.mp4"
    source.write_text("content")
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(OutputError, match="cannot be moved"):
        move_file(source, tmp_path / "file" / "a.mp4")
    assert source.read_text() == "content"
