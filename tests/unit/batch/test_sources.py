"""What a batch is given becomes items, in a fixed order, each with its place."""

from __future__ import annotations

import json
import os
import zipfile
from functools import partial
from pathlib import Path

import pytest

from facepipe.batch.archives import Limits
from facepipe.batch.sources import Item, Skipped, find_items
from facepipe.errors import InputError, UsageError
from media import recorders, synthetic


def made(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return folder


def found(*sources: str | Path, exclude: Path = Path("/nowhere")) -> dict[str, str]:
    """Place and kind of each item."""
    taken = find_items([str(source) for source in sources], Limits(), exclude=exclude)
    return {one.place: one.kind for one in taken if isinstance(one, Item)}


def skipped(*sources: str | Path) -> dict[str, str]:
    taken = find_items([str(source) for source in sources], Limits(), exclude=Path("/nowhere"))
    return {Path(one.source).name: one.reason for one in taken if isinstance(one, Skipped)}


def test_a_folder_keeps_its_shape(tmp_path: Path) -> None:
    folder = made(tmp_path / "in", "b.mp4", "a.jpg", "sub/deep/c.PNG", ".hidden/d.jpg", "notes.txt")
    assert found(folder) == {"a.jpg": "image", "b.mp4": "video", "sub/deep/c.PNG": "image"}
    assert list(skipped(folder)) == ["notes.txt"]
    assert list(found(folder)) == sorted(found(folder))


def test_several_folders_keep_their_names(tmp_path: Path) -> None:
    made(tmp_path, "one/a.jpg", "two/a.jpg")
    assert list(found(tmp_path / "one", tmp_path / "two")) == ["one/a.jpg", "two/a.jpg"]


def test_the_output_folder_is_passed_over(tmp_path: Path) -> None:
    made(tmp_path, "a.jpg", "out/a.jpg")
    assert list(found(tmp_path, exclude=tmp_path / "out")) == ["a.jpg"]


def test_links_to_folders_are_not_followed(tmp_path: Path) -> None:
    made(tmp_path, "in/a.jpg", "elsewhere/b.jpg")
    (tmp_path / "in" / "loop").symlink_to(tmp_path / "in")
    (tmp_path / "in" / "b.jpg").symlink_to(tmp_path / "elsewhere" / "b.jpg")
    assert list(found(tmp_path / "in")) == ["a.jpg", "b.jpg"]


def test_a_video_that_cannot_be_written_in_its_container_becomes_matroska(tmp_path: Path) -> None:
    assert found(made(tmp_path, "a.avi", "b.mp4")) == {"a.mkv": "video", "b.mp4": "video"}


def test_patterns(tmp_path: Path) -> None:
    made(tmp_path, "x/a.jpg", "x/y/b.jpg", "x/c.png")
    assert list(found(tmp_path / "**" / "*.jpg")) == ["a.jpg", "y/b.jpg"]
    with pytest.raises(InputError, match="no file has such a name"):
        found(tmp_path / "*.webp")


def test_a_manifest_names_sources_and_places(tmp_path: Path) -> None:
    made(tmp_path, "a.jpg", "deep/b.mp4")
    entry = json.dumps({"source": "deep/b.mp4", "output": "videos/other.mp4"})
    (tmp_path / "list.jsonl").write_text(f"# a comment\na.jpg\n\n{entry}\ngone.jpg\n")
    assert found(tmp_path / "list.jsonl") == {"a.jpg": "image", "videos/other.mp4": "video"}
    assert skipped(tmp_path / "list.jsonl") == {"gone.jpg": "does not exist"}


@pytest.mark.parametrize(
    "line",
    [
        '{"source": "a.jpg", "output": "../a.jpg"}',
        '{"source": "a.jpg", "output": "/a.jpg"}',
        '{"source": "a.jpg", "output": ""}',
        '{"source": "a.jpg", "else": 1}',
        '{"source": 3}',
        "{",
    ],
)
def test_a_manifest_with_a_wrong_line_is_refused(tmp_path: Path, line: str) -> None:
    made(tmp_path, "a.jpg")
    (tmp_path / "list.txt").write_text(f"a.jpg\n{line}\n")
    if line.endswith('""}'):  # no output is the source's own name
        assert len(found(tmp_path / "list.txt")) == 1
        return
    with pytest.raises(InputError, match=r"list.txt, line 2"):
        found(tmp_path / "list.txt")


def test_archives_give_their_pictures(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name in ("x/one.jpg", "../evil.png", "video.mp4", "notes.txt"):
            archive.writestr(name, b"x")
    (tmp_path / "broken.zip").write_bytes(b"no archive")
    assert found(tmp_path) == {"a.zip/x/one.jpg": "image"}
    reasons = skipped(tmp_path)
    assert len(reasons) == 4
    assert "unpack it first" in reasons["a.zip: video.mp4"]


def test_what_was_named_must_be_of_use(tmp_path: Path) -> None:
    made(tmp_path, "a.doc")
    with pytest.raises(UsageError, match="neither a video nor an image"):
        found(tmp_path / "a.doc")
    with pytest.raises(InputError, match="does not exist"):
        found(tmp_path / "gone")


def test_names_that_are_no_text_are_skipped(tmp_path: Path) -> None:
    """The ledger and the reports are UTF-8; one such name must not end a batch of millions."""
    folder = made(tmp_path / "in", "a.mp4")
    odd = os.fsdecode(b"\xff\xfe.mp4")
    (folder / odd).write_bytes(b"video")
    assert list(found(folder)) == ["a.mp4"]
    assert list(skipped(folder).values()) == [
        "a name that is not UTF-8: rename it, or give it to `facepipe run`"
    ]
    manifest = tmp_path / "list.jsonl"
    manifest.write_text('{"source": "in/a.mp4", "output": "\\ud800.mp4"}\n{"source": "\\ud800"}\n')
    assert found(manifest) == {}
    assert len(skipped(manifest)) == 2


def test_what_is_a_video_is_found_whatever_its_name(tmp_path: Path) -> None:
    """Recorders name their exports as they like."""
    recorders.dhav(tmp_path / "cam.dav", make=partial(synthetic.plain, frames=3))
    video = synthetic.plain(tmp_path / "a.mkv", frames=3)
    video.rename(tmp_path / "20261130.001")
    synthetic.plain(tmp_path / "a.ts", frames=3).rename(tmp_path / "unnamed")
    (tmp_path / "data.bin").write_bytes(bytes(range(256)))
    (tmp_path / "song.bin").write_bytes(b"ID3" + bytes(500))
    assert found(tmp_path) == dict.fromkeys(("cam.mkv", "20261130.mkv", "unnamed.mkv"), "video")
    assert set(skipped(tmp_path)) == {"data.bin", "song.bin"}


def test_results_are_no_sources_unless_they_are_named(tmp_path: Path) -> None:
    made(tmp_path, "a.mp4", "out/a.mp4", "out/a.mp4.facepipe.json", "out/b.mp4")
    assert found(tmp_path) == {"a.mp4": "video", "out/b.mp4": "video"}
    assert "made by facepipe" in skipped(tmp_path)["a.mp4"]
    assert found(tmp_path / "out" / "a.mp4") == {"a.mp4": "video"}
