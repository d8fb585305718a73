"""The ledger: what is done stays done, and what changed is done again."""

from __future__ import annotations

import hashlib
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from facepipe.batch.ledger import Ledger
from facepipe.batch.sources import Item
from facepipe.errors import OutputError


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger(tmp_path / "ledger.sqlite")
    yield opened
    opened.close()


def item(name: str, *, size: int = 3, modified: int = 1, kind: str = "image") -> Item:
    return Item(f"/nowhere/in/{name}", None, kind, name, size, modified)


def plan(ledger: Ledger, root: Path, *items: Item, overwrite: bool = True) -> None:
    ledger.plan(items, root, overwrite=overwrite)


def settle(ledger: Ledger, root: Path, state: str = "done", sha256: str = "") -> None:
    """Settle all that waits, with results of four bytes."""
    rows = list(ledger.waiting("image"))
    for row in rows:
        (root / row.place).write_bytes(b"done")
    ledger.record([replace(row, state=state, written=4, sha256=sha256) for row in rows])


def waiting(ledger: Ledger) -> list[str]:
    return [row.place for row in ledger.waiting("image")]


def test_what_is_done_does_not_wait_again(ledger: Ledger, tmp_path: Path) -> None:
    plan(ledger, tmp_path, item("a.jpg"), item("b.jpg"))
    assert waiting(ledger) == ["a.jpg", "b.jpg"]
    settle(ledger, tmp_path)
    plan(ledger, tmp_path, item("a.jpg"), item("b.jpg"), item("c.jpg"))
    assert waiting(ledger) == ["c.jpg"]
    assert ledger.count()["done"].items == 2


@pytest.mark.parametrize("how", ["size", "lost", "failed", "cut short"])
def test_what_changed_waits_again(ledger: Ledger, tmp_path: Path, how: str) -> None:
    plan(ledger, tmp_path, item("a.jpg"))
    settle(ledger, tmp_path, "failed" if how == "failed" else "done")
    if how == "lost":
        (tmp_path / "a.jpg").unlink()
    if how == "cut short":
        (tmp_path / "a.jpg").write_bytes(b"don")
    plan(ledger, tmp_path, item("a.jpg", size=4 if how == "size" else 3))
    assert waiting(ledger) == ["a.jpg"]


def test_a_touched_file_is_known_by_its_content(ledger: Ledger, tmp_path: Path) -> None:
    source = tmp_path / "source.jpg"
    source.write_bytes(b"abc")
    one = replace(item("a.jpg"), source=str(source))
    plan(ledger, tmp_path, one)
    settle(ledger, tmp_path, sha256=hashlib.sha256(b"abc").hexdigest())
    plan(ledger, tmp_path, replace(one, modified=2))
    assert waiting(ledger) == []
    source.write_bytes(b"abd")
    plan(ledger, tmp_path, replace(one, modified=3))
    assert waiting(ledger) == ["a.jpg"]


def test_only_the_items_of_this_run_count(ledger: Ledger, tmp_path: Path) -> None:
    plan(ledger, tmp_path, item("a.jpg"), item("b.jpg"))
    plan(ledger, tmp_path, item("b.jpg"))
    assert waiting(ledger) == ["b.jpg"]
    assert [row.place for row in ledger.rows()] == ["b.jpg"]
    assert ledger.count()["waiting"].items == 1


def test_two_items_never_share_a_place(ledger: Ledger, tmp_path: Path) -> None:
    several = [replace(item("a.jpg"), source=f"/nowhere/in{k}/a.jpg") for k in range(3)]
    plan(ledger, tmp_path, *several)
    assert waiting(ledger) == ["a.jpg", "a~2.jpg", "a~3.jpg"]


def test_a_file_of_others_is_not_overwritten_unasked(ledger: Ledger, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"mine")
    with pytest.raises(OutputError, match="exists already"):
        plan(ledger, tmp_path, item("a.jpg"), overwrite=False)
    assert waiting(ledger) == []
    own = replace(item("a.jpg"), source=str(tmp_path / "source"))
    (tmp_path / "source").write_bytes(b"source")
    plan(ledger, tmp_path, own)
    assert waiting(ledger) == ["a.jpg"]


def test_videos_come_by_size(ledger: Ledger, tmp_path: Path) -> None:
    sizes = {"a.mp4": 5, "b.mp4": 9, "c.mp4": 5, "d.mp4": 1}
    videos = [item(name, size=size, kind="video") for name, size in sizes.items()]
    plan(ledger, tmp_path, *videos)
    rows = ledger.waiting("video", largest_first=True)
    assert [row.place for row in rows] == ["b.mp4", "a.mp4", "c.mp4", "d.mp4"]


def test_pages_miss_nothing_while_rows_are_settled(ledger: Ledger, tmp_path: Path) -> None:
    names = [f"{k:05}.jpg" for k in range(4500)]
    plan(ledger, tmp_path, *(item(name, size=k % 7) for k, name in enumerate(names)))
    seen = []
    for row in ledger.waiting("image"):
        seen.append(row.place)
        if row.number % 3:
            ledger.record([replace(row, state="done")])
    assert seen == names
    plan(ledger, tmp_path, *(item(f"{k}.mp4", size=k % 7, kind="video") for k in range(4500)))
    by_size = [row.size for row in ledger.waiting("video", largest_first=True)]
    assert by_size == sorted(by_size, reverse=True)
    assert len(by_size) == 4500


def test_planning_needs_no_memory_for_each_item(ledger: Ledger, tmp_path: Path) -> None:
    plan(ledger, tmp_path, item("first.jpg"))
    tracemalloc.start()
    ledger.plan((item(f"{k}.jpg") for k in range(10_000)), tmp_path, overwrite=True)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * 2**20


def test_a_file_that_is_no_ledger_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ledger.sqlite").write_bytes(b"no ledger" * 1000)
    with pytest.raises(OutputError, match="cannot be used"):
        Ledger(tmp_path / "ledger.sqlite")


def test_a_further_round_keeps_what_earlier_ones_did(ledger: Ledger, tmp_path: Path) -> None:
    ledger.plan([item("a.jpg")], tmp_path, overwrite=False, goes_on=True)
    settle(ledger, tmp_path)
    ledger.plan([item("b.jpg")], tmp_path, overwrite=False, goes_on=True)
    assert waiting(ledger) == ["b.jpg"]
    settle(ledger, tmp_path)
    (tmp_path / "a.jpg").unlink()  # somebody has fetched it
    ledger.plan([item("a.jpg"), item("c.jpg")], tmp_path, overwrite=False, goes_on=True)
    assert waiting(ledger) == ["c.jpg"]
    assert [row.place for row in ledger.rows()] == ["a.jpg", "b.jpg", "c.jpg"]
    ledger.plan([item("d.jpg")], tmp_path, overwrite=False, goes_on=True)
    assert waiting(ledger) == ["d.jpg"]  # c.jpg was not found again, after a stop


def test_a_name_comes_again_after_the_folder_of_done_sources_was_emptied(
    ledger: Ledger, tmp_path: Path
) -> None:
    for size in (3, 5):
        members = [replace(item("a.zip", size=size), member=f"{k}.jpg") for k in range(2)]
        ledger.plan(
            [replace(one, place=f"{size}{one.member}") for one in members],
            tmp_path, overwrite=False, goes_on=True,
        )  # fmt: skip
        settle(ledger, tmp_path)
        ledger.rename_source("/nowhere/in/a.zip", "/nowhere/done/a.zip")
    sources = [row.source for row in ledger.rows()]
    assert sources == ["/nowhere/done/a.zip#1"] * 2 + ["/nowhere/done/a.zip"] * 2
    assert ledger.count()["done"].items == 4


def test_another_file_of_the_name_of_a_done_one_is_a_further_item(
    ledger: Ledger, tmp_path: Path
) -> None:
    """As after a kill between the move of a source and its entry."""
    ledger.plan([item("a.jpg")], tmp_path, overwrite=False, goes_on=True)
    settle(ledger, tmp_path)
    ledger.plan([item("a.jpg", size=9)], tmp_path, overwrite=False, goes_on=True)
    settle(ledger, tmp_path)
    assert [(row.source, row.place, row.size) for row in ledger.rows()] == [
        ("/nowhere/in/a.jpg#1", "a.jpg", 3), ("/nowhere/in/a.jpg", "a~2.jpg", 9),
    ]  # fmt: skip


def test_a_further_round_overwrites_nothing(ledger: Ledger, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"of somebody else")
    ledger.plan([item("a.jpg")], tmp_path, overwrite=False, goes_on=True)
    assert waiting(ledger) == ["a~2.jpg"]
    settle(ledger, tmp_path)
    ledger.plan([item("a.jpg", size=9)], tmp_path, overwrite=False, goes_on=True)
    assert waiting(ledger) == ["a~3.jpg"]
    settle(ledger, tmp_path)
    ledger.rename_source("/nowhere/in/a.jpg", "/nowhere/done/a.jpg")
    ledger.plan([item("a.jpg")], tmp_path, overwrite=False, goes_on=True)
    assert waiting(ledger) == ["a~4.jpg"]
    assert [(row.source, row.place) for row in ledger.rows()] == [
        ("/nowhere/in/a.jpg#1", "a~2.jpg"),
        ("/nowhere/done/a.jpg", "a~3.jpg"),
        ("/nowhere/in/a.jpg", "a~4.jpg"),
    ]
    assert (tmp_path / "a.jpg").read_bytes() == b"of somebody else"
