from __future__ import annotations

from pathlib import Path

import pytest

from facepipe.errors import InputError, UsageError
from facepipe.pipeline.sidecar import sidecar_path
from facepipe.ui.library import Library, NotFoundError, new_target, page_path

MP4 = b"\0\0\0\x18ftypisom" + bytes(100)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with videos, hidden ones, a text, a result, and a secret beside it."""
    folder = tmp_path / "videos"
    (folder / "sub").mkdir(parents=True)
    (folder / ".hidden").mkdir()
    for name in ("a.mp4", "a-enhanced.mp4", "b.mkv", "sub/c.mov", ".d.mp4", ".hidden/e.mp4", "odd"):
        (folder / name).write_bytes(MP4)
    (folder / "a-enhanced.html").write_text("<p>")
    (folder / "note.txt").write_text("a text")
    sidecar_path(folder / "a-enhanced.mp4").write_text("{}")
    (tmp_path / "secret.mp4").write_bytes(MP4)
    (folder / "link.mp4").symlink_to(tmp_path / "secret.mp4")
    (folder / "hidden-link.mp4").symlink_to(folder / ".d.mp4")
    return folder


def test_videos_are_listed_by_name_or_content(folder: Path) -> None:
    listed = {one.name: one.is_result for one in Library(folder).videos()}
    names = ["a-enhanced.mp4", "a.mp4", "b.mkv", "odd", "sub/c.mov"]
    assert set(names) <= set(listed)
    assert [name for name, result in listed.items() if result] == ["a-enhanced.mp4"]
    assert not any(name.split("/")[-1].startswith((".", "note")) for name in listed)


@pytest.mark.parametrize("name", ["a.mp4", "sub/c.mov", "note.txt"])
def test_files_of_the_folder_are_found(folder: Path, name: str) -> None:
    assert Library(folder).find(name) == folder / name


@pytest.mark.parametrize(
    "name",
    [
        "", ".", "..", "/", "../secret.mp4", "sub/../../secret.mp4", "/etc/passwd", "link.mp4",
        "hidden-link.mp4", ".d.mp4", ".hidden/e.mp4", "sub", "sub/", "a.mp4/", "./a.mp4",
        "sub//c.mov", "nothing.mp4", "a.mp4\0", "..\\secret.mp4", "x" * 5000, "\udcff.mp4",
    ],
)  # fmt: skip
def test_nothing_else_is_found(folder: Path, name: str) -> None:
    library = Library(folder)
    for find in (library.find, library.find_video, library.find_result):
        with pytest.raises(NotFoundError):
            find(name)


def test_only_videos_are_opened_and_only_results_downloaded(folder: Path) -> None:
    library = Library(folder)
    assert library.find_video("odd") == folder / "odd"
    assert library.find_result("a-enhanced.mp4") == folder / "a-enhanced.mp4"
    assert library.find_result("a-enhanced.html") == folder / "a-enhanced.html"
    with pytest.raises(NotFoundError):
        library.find_video("note.txt")
    for name in ("a.mp4", "note.txt", "a-enhanced.mp4.facepipe.json"):
        with pytest.raises(NotFoundError):
            library.find_result(name)


def test_of_one_video_only_it_and_what_is_made_of_it_is_seen(folder: Path) -> None:
    library = Library(folder / "a.mp4")
    assert [one.name for one in library.videos()] == ["a-enhanced.mp4", "a.mp4"]
    with pytest.raises(NotFoundError):
        library.find("b.mkv")


def test_a_target_has_a_name_that_nothing_has(folder: Path) -> None:
    video = folder / "a.mp4"
    second = new_target(video, set())
    assert second == folder / "a-enhanced-2.mp4"
    assert new_target(video, {second}) == folder / "a-enhanced-3.mp4"
    page_path(second).write_text("")
    assert new_target(video, set()) == folder / "a-enhanced-3.mp4"
    assert new_target(folder / "odd", set()) == folder / "odd-enhanced.mkv"


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such video or folder"):
        Library(tmp_path / "nothing")


def test_a_folder_that_cannot_be_written_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda _path, _mode: False)  # root may write anywhere
    with pytest.raises(UsageError, match="read and write"):
        Library(folder)
