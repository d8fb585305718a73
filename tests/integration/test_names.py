"""Names of every kind, and things that are no files: taken as they are, or refused in one line."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from media import synthetic

FACEPIPE = [
    sys.executable,
    "-m",
    "facepipe",
    "run",
    "--preset",
    "ultrafast",
    "--workers",
    "1",
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    synthetic.plain(tmp_path / "in.mp4", frames=4)
    return tmp_path


def run(folder: Path, *arguments: str | bytes, stdin: int | None = None) -> tuple[int, str, str]:
    done = subprocess.run(
        [*FACEPIPE, *arguments], cwd=folder, capture_output=True, check=False, stdin=stdin
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


@pytest.mark.parametrize(
    "name",
    [b"with spaces.mp4", "é漢字😀.mp4".encode(), b"-dash.mp4", b"new\nline.mp4", b"\xff\xfe.mp4",
     b"concat:a|b.mp4", b"http:x.mp4", b"file:in.mp4", b"C:drive.mp4", b"%03d.mp4", b"[1]*.mp4",
     b"esc\x1b[31m.mp4", b"x" * 220 + b".mp4"],
)  # fmt: skip
def test_a_name_of_any_kind(name: bytes, folder: Path) -> None:
    shutil.copy(folder / "in.mp4", folder / os.fsdecode(name))
    out = b"out." + name if len(name) < 200 else b"y" * 219 + b".mp4"
    code, printed, errors = run(folder, "-o", out, "--", name)
    assert (code, errors) == (0, "")
    assert len(printed.splitlines()) == 1
    assert "\x1b" not in printed
    there = sorted(os.fsencode(path.name) for path in folder.iterdir())
    assert there == sorted([b"in.mp4", name, out, out + b".facepipe.json"])


def test_a_dash_before_a_target(folder: Path) -> None:
    assert run(folder, "in.mp4", "-o", "-dash.mp4")[0] == 0
    assert (folder / "-dash.mp4").exists()


def test_options_after_two_dashes_are_refused(folder: Path) -> None:
    shutil.copy(folder / "in.mp4", folder / "-dash.mp4")
    code, printed, errors = run(folder, "--", "-dash.mp4", "-o", "out.mp4")
    assert (code, printed) == (2, "")
    assert errors.startswith("facepipe: -o stands after --, where all is taken as a name")
    assert len(errors.splitlines()) == 1


def test_names_that_are_no_files(folder: Path) -> None:
    os.mkfifo(folder / "fifo.mp4")
    (folder / "loop.mp4").symlink_to(folder / "loop.mp4")
    (folder / "dangling.mp4").symlink_to(folder / "nowhere.mp4")
    (folder / "self.mp4").symlink_to(folder / "in.mp4")
    (folder / "folder.mp4").mkdir()
    long = "x" * 300 + ".mp4"
    before = (folder / "in.mp4").read_bytes()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(folder / "socket.mp4"))
        there = sorted(folder.iterdir())
        for code, reason, arguments in (
            (3, "cannot be stdin", ["-", "-o", "out.mp4"]),
            (4, "cannot go to stdout", ["in.mp4", "-o", "-"]),
            (3, "no regular file", ["fifo.mp4", "-o", "out.mp4"]),
            (3, "no regular file", ["socket.mp4", "-o", "out.mp4"]),
            (3, "no regular file", ["/dev/zero", "-o", "out.mp4"]),
            (3, "symbolic links", ["loop.mp4", "-o", "out.mp4"]),
            (3, "does not exist", ["dangling.mp4", "-o", "out.mp4"]),
            (3, "does not exist", ["in.mp4/x", "-o", "out.mp4"]),
            (3, "is a folder", ["folder.mp4", "-o", "out.mp4"]),
            (3, "File name too long", [long, "-o", "out.mp4"]),
            (4, "too long; allowed are 223", ["in.mp4", "-o", long]),
            (4, "too long; allowed are 223", ["in.mp4", "-o", "x" * 220 + ".mp4"]),
            (4, "no regular file", ["in.mp4", "-o", "fifo.mp4", "--overwrite"]),
            (4, "no regular file", ["in.mp4", "-o", "socket.mp4", "--overwrite"]),
            (4, "no regular file", ["in.mp4", "-o", "/dev/null", "--overwrite"]),
            (4, "the source itself", ["in.mp4", "-o", "self.mp4", "--overwrite"]),
            (4, "directory", ["in.mp4", "-o", "folder.mp4", "--overwrite"]),
            (4, "no such folder", ["in.mp4", "-o", "in.mp4/out.mp4"]),
        ):
            found, said, errors = run(folder, *arguments)
            assert (found, said) == (code, ""), errors
            assert reason in errors
            assert len(errors.splitlines()) == 1
        assert sorted(folder.iterdir()) == there
    assert (folder / "in.mp4").read_bytes() == before


def test_a_stream_that_is_a_file_is_one(folder: Path) -> None:
    with (folder / "in.mp4").open() as source:
        assert run(folder, "/dev/stdin", "-o", "out.mp4", stdin=source.fileno())[0] == 0
    ear, mouth = os.pipe()
    try:
        code, _, errors = run(folder, "/dev/stdin", "-o", "other.mp4", stdin=ear)
    finally:
        os.close(ear)
        os.close(mouth)
    assert code == 3
    assert "no regular file" in errors


def test_a_link_as_target_is_replaced_and_not_followed(folder: Path) -> None:
    other = folder / "other.mp4"
    other.write_bytes(b"of another")
    (folder / "out.mp4").symlink_to(other)
    assert run(folder, "in.mp4", "-o", "out.mp4")[0] == 4
    assert run(folder, "in.mp4", "-o", "out.mp4", "--overwrite")[0] == 0
    assert other.read_bytes() == b"of another"
    assert not (folder / "out.mp4").is_symlink()
