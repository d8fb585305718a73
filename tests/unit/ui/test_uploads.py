from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from facepipe.errors import OutputError, UsageError
from facepipe.ui.library import Library
from facepipe.ui.uploads import Uploads

MP4 = b"\0\0\0\x18ftypisom" + bytes(1000)


def take(folder: Path, name: str, content: bytes = MP4, length: str | None = None) -> Path:
    async def pieces() -> AsyncIterator[bytes]:
        for at in range(0, len(content), 100):
            yield content[at : at + 100]

    uploads = Uploads(Library(folder), most_bytes=10_000)
    given = str(len(content)) if length is None else length
    return asyncio.run(uploads.take(name, given, pieces()))


def test_a_video_becomes_a_file_of_the_folder(tmp_path: Path) -> None:
    assert take(tmp_path, "a b.mp4") == tmp_path / "a b.mp4"
    assert (tmp_path / "a b.mp4").read_bytes() == MP4


@pytest.mark.parametrize(
    ("name", "content", "length", "fault"),
    [
        ("../a.mp4", MP4, None, "name"),
        (".a.mp4", MP4, None, "name"),
        ("a/b.mp4", MP4, None, "name"),
        ("a\\b.mp4", MP4, None, "name"),
        ("a\n.mp4", MP4, None, "name"),
        ("\udcff.mp4", MP4, None, "name"),
        ("", MP4, None, "name"),
        ("a.html", MP4, None, "not named like a video"),
        ("a.json", MP4, None, "not named like a video"),
        ("x" * 200 + ".mp4", MP4, None, "not named like a video"),
        ("a.mp4", b"<html>" * 20, None, "no video by its first bytes"),
        ("a.mp4", MP4, "10001", "larger than"),
        ("a.mp4", MP4, "9" * 30, "larger than"),
        ("a.mp4", MP4, "", "must be announced"),
        ("a.mp4", MP4, "-1", "must be announced"),
        ("a.mp4", MP4, "²", "must be announced"),
        ("a.mp4", MP4, "5000", "cut short"),
        ("a.mp4", MP4, "50", "more bytes came"),
    ],
)
def test_what_is_refused_leaves_nothing(
    tmp_path: Path, name: str, content: bytes, length: str | None, fault: str
) -> None:
    with pytest.raises(UsageError, match=fault):
        take(tmp_path, name, content, length)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_there_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"mine")
    with pytest.raises(UsageError, match="is there already"):
        take(tmp_path, "a.mp4")
    assert (tmp_path / "a.mp4").read_bytes() == b"mine"


def test_a_full_disk_is_said_before_the_upload(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Usage:
        free = 2**30

    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage)
    with pytest.raises(OutputError, match="not enough room"):
        take(tmp_path, "a.mp4")
