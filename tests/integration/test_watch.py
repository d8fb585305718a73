"""`facepipe batch --watch` as a user meets it: files come in pieces, fail, come again."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import pytest
from jsonschema import Draft202012Validator

from facepipe.contract.schemas import read_schema
from media import portraits

#: Longest wait for anything, seconds: for a machine that is busy.
PATIENCE = 240


class Watching:
    """A watch that runs, with the events that it has written."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.events: list[dict[str, Any]] = []
        self.words = ""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "facepipe", "batch", "in", "-o", "out", "--watch", "--settle",
             ".5", "--restorer", "bicubic", "--workers", "1", "--progress", "jsonl", "--json",
             *options],
            cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self.process.stderr or ():
            if line.startswith("{"):
                self.events.append(json.loads(line))
            else:
                self.words += line

    def items(self) -> list[tuple[str, str, str | None]]:
        found = [one for one in self.events if one["event"] == "item"]
        return [(Path(one["source"]).name, one["state"], one["output"]) for one in found]

    def wait_for(self, there: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE
        while not there():
            assert self.process.poll() is None, "the watch has ended"
            assert time.monotonic() < end, (self.items(), "nothing came")
            time.sleep(0.05)

    def stop(self, kind: int) -> dict[str, Any]:
        """End it by a signal; its object."""
        self.process.send_signal(kind)
        assert self.process.stdout is not None
        text = self.process.stdout.read()
        self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        validator = Draft202012Validator(read_schema("event"))
        for event in self.events:
            validator.validate(event)
        result: dict[str, Any] = json.loads(text)
        Draft202012Validator(read_schema("result")).validate(result)
        assert result["exit_code"] == self.process.returncode == 128 + kind
        assert result["error"]["code"] == "interrupted"
        assert result["error"]["retryable"]
        return result


def photograph(number: int) -> bytes:
    return bytes(cv2.imencode(".jpg", portraits.scene(number)[..., ::-1])[1])


@pytest.mark.long
def test_files_that_come_are_enhanced_and_moved(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    (folder / "below").mkdir(parents=True)
    options = ("--done-to", "done", "--failed-to", "failed")
    watching = Watching(tmp_path, *options)
    first = photograph(0)
    with (folder / "below" / "a.jpg").open("wb") as slow:
        for at in range(0, len(first), len(first) // 8):
            slow.write(first[at : at + len(first) // 8])
            slow.flush()
            time.sleep(0.2)
    (folder / "bad.jpg").write_bytes(b"no photograph")
    (folder / "notes.txt").write_text("mine")
    (folder / "b.jpg.part").write_bytes(first)
    moved = [tmp_path / "done" / "below" / "a.jpg", tmp_path / "failed" / "bad.jpg"]
    watching.wait_for(lambda: all(one.is_file() for one in moved))
    assert sorted(watching.items()) == [
        ("a.jpg", "done", "below/a.jpg"), ("bad.jpg", "failed", None)
    ]  # fmt: skip
    assert moved[0].read_bytes() == first  # nothing was taken before it was whole
    result_of_first = (tmp_path / "out" / "below" / "a.jpg").read_bytes()

    (folder / "below" / "a.jpg").write_bytes(photograph(20))  # another one of the same name
    again = tmp_path / "done" / "below" / "a~2.jpg"
    watching.wait_for(again.is_file)
    watching.wait_for(lambda: len(watching.items()) == 3)
    assert moved[0].read_bytes() == first
    assert (tmp_path / "out" / "below" / "a.jpg").read_bytes() == result_of_first
    assert (tmp_path / "out" / "below" / "a~2.jpg").is_file()
    left = {one.name for one in folder.iterdir()}
    assert left == {"notes.txt", "b.jpg.part", "below"}
    watching.wait_for(lambda: "out: 2 done, 1 failed" in watching.words)
    result = watching.stop(signal.SIGINT)
    assert result["counts"]["done"]["items"] == 2
    assert result["counts"]["failed"]["items"] == 1

    watching = Watching(tmp_path, *options)  # after a restart
    (folder / "b.jpg.part").rename(folder / "b.jpg")
    watching.wait_for((tmp_path / "done" / "b.jpg").is_file)
    watching.wait_for(lambda: "out: 3 done, 1 failed" in watching.words)
    result = watching.stop(signal.SIGTERM)
    assert [name for name, _, _ in watching.items()] == ["b.jpg"]
    sources = {Path(one).name for one in map(str, (tmp_path / "done").rglob("*.jpg"))}
    assert sources == {"a.jpg", "a~2.jpg", "b.jpg"}


@pytest.mark.long
def test_a_kill_in_the_midst_loses_nothing_and_sources_may_stay(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    portraits.video(tmp_path / "in" / "a.mp4", frames=30)
    (tmp_path / "in" / "b.jpg").write_bytes(photograph(0))
    watching = Watching(tmp_path)
    watching.wait_for(lambda: any(one["event"] == "batch" for one in watching.events))
    watching.process.kill()
    watching.process.wait()
    watching = Watching(tmp_path)
    watching.wait_for(lambda: len(list((tmp_path / "out").glob("[ab].*.facepipe.json"))) == 2)
    watching.wait_for(lambda: "out: 2 done" in watching.words)
    time.sleep(2)
    rounds = len(watching.events)
    time.sleep(2)
    assert len(watching.events) == rounds  # it is at rest too
    result = watching.stop(signal.SIGINT)
    assert result["counts"]["done"]["items"] == 2
    assert sorted(one.name for one in (tmp_path / "in").iterdir()) == ["a.mp4", "b.jpg"]
