"""The chained log: what was changed, taken out or put in breaks it; a kill does not."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from facepipe.errors import InputError, OutputError
from facepipe.marking.chain import BEGIN, ChainLog, read_chain


def written(path: Path, count: int = 3) -> bytes:
    with ChainLog(path) as log:
        log.append({"name": f"item {number}"} for number in range(count))
    return path.read_bytes()


def test_entries_are_numbered_and_chained(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    written(path)
    entries = list(read_chain(path))
    assert [entry["number"] for entry in entries] == [1, 2, 3]
    assert [entry["previous"] for entry in entries] == [
        BEGIN, *(entry["sha256"] for entry in entries[:-1])
    ]  # fmt: skip
    with ChainLog(path) as log:
        assert (log.entries, log.head) == (3, entries[-1]["sha256"])
        log.append([{"name": "more"}])
    assert len(list(read_chain(path))) == 4


def test_each_changed_byte_is_found(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    whole = written(path)
    for at in range(len(whole) - 1):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(InputError, match=r"its entry \d was changed"):
            list(read_chain(path))


def test_entries_that_are_taken_out_or_put_in_are_found(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    first, second, third = written(path).splitlines(keepends=True)
    forged = json.dumps({"number": 2, "previous": BEGIN, "sha256": "0" * 64}).encode() + b"\n"
    for lines in ([second, third], [first, third], [first, third, second], [first, forged, third]):
        path.write_bytes(b"".join(lines))
        with pytest.raises(InputError, match="was changed"):
            list(read_chain(path))
        with pytest.raises(OutputError, match="move it away to begin a new one"):
            ChainLog(path)


def test_a_line_that_a_kill_cut_short_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    whole = written(path)
    path.write_bytes(whole[:-20])
    assert len(list(read_chain(path))) == 2
    with ChainLog(path) as log:
        assert log.entries == 2
        log.append([{"name": "item 2"}])
    assert path.read_bytes() == whole


def test_several_threads_append(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    with ChainLog(path) as log, ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: log.append([{"name": number}]), range(40)))
    assert sorted(entry["name"] for entry in read_chain(path)) == list(range(40))


def test_a_folder_is_no_log(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be read"):
        ChainLog(tmp_path)
