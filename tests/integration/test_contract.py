"""What programs rely on, in real runs: results, errors and events are as their schemas say."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import pytest
from jsonschema import Draft202012Validator

from facepipe.contract.schemas import read_schema
from media import portraits

FACEPIPE = [sys.executable, "-m", "facepipe"]
QUICK = ["--restorer", "bicubic", "--workers", "1"]


@cache
def validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(
        read_schema(name), format_checker=Draft202012Validator.FORMAT_CHECKER
    )


def call(*words: str | Path) -> tuple[dict[str, Any], list[dict[str, Any]], list[str]]:
    """The object of a command, its events and the other words on standard error."""
    done = subprocess.run(
        [*FACEPIPE, *map(str, words), "--json"], capture_output=True, text=True, check=False
    )
    (line,) = done.stdout.splitlines()
    result = json.loads(line)
    validator("result").validate(result)
    assert result["exit_code"] == done.returncode, done.stderr
    lines = done.stderr.splitlines()
    events = [json.loads(one) for one in lines if one.startswith("{")]
    for event in events:
        validator("event").validate(event)
    return result, events, [one for one in lines if not one.startswith("{")]


@cache
def result_schemas() -> dict[str, dict[str, Any]]:
    described, _, _ = call("describe")
    validator("describe").validate(described)
    return {one["name"]: one["result"] for one in described["commands"]}


def fields_of(result: dict[str, Any]) -> dict[str, Any]:
    """The command's own fields, which are as `describe` says."""
    shared = ("schema_version", "command", "exit_code", "error")
    own = {name: value for name, value in result.items() if name not in shared}
    schema = result_schemas()[result["command"]]
    Draft202012Validator(schema).validate(own)
    kinds = schema.get("anyOf", [schema])
    there = [schema["$defs"][k["$ref"].rpartition("/")[2]] if "$ref" in k else k for k in kinds]
    assert any(own.keys() == kind["properties"].keys() for kind in there)
    return own


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return portraits.video(tmp_path_factory.mktemp("contract") / "short.mp4", frames=8)


@pytest.mark.long
def test_a_run_an_analysis_and_what_is_made_of_it(video: Path, tmp_path: Path) -> None:
    result, events, words = call(
        "run", video, "-o", tmp_path / "a.mp4", *QUICK, "--progress", "jsonl"
    )
    own = fields_of(result)
    assert Path(own["output"]).is_file()
    assert Path(own["report"]).is_file()
    assert (own["frames"], own["tracks"], own["complete"]) == (8, 2, True)
    assert {one["stage"] for one in events} == {"analyze", "render"}
    assert any("8 frames" in line for line in words)

    result, events, words = call(
        "analyze", video, "-o", tmp_path / "a.json", "--workers", "1", "--progress", "jsonl", "-q"
    )
    assert fields_of(result)["enhanced"] == 2
    assert (events, words) == ([], [])
    result, _, _ = call("report", tmp_path / "a.json", "-o", tmp_path / "a.html", *QUICK)
    assert fields_of(result)["tracks"] == 2
    result, _, _ = call("run", video, "-o", tmp_path / "b.mp4", "--dry-run")
    assert fields_of(result)["frames"] == 8


def test_every_event_of_a_batch_and_its_journal(video: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.mp4").write_bytes(video.read_bytes())
    (tmp_path / "in" / "bad.mp4").write_bytes(b"no video at all")
    cv2.imwrite(str(tmp_path / "in" / "b.jpg"), portraits.scene(0)[..., ::-1])
    result, events, _ = call(
        "batch", tmp_path / "in", "-o", tmp_path / "out", *QUICK, "--progress", "jsonl"
    )
    assert (result["exit_code"], result["error"]["code"]) == (8, "items_failed")
    assert result["error"]["stage"] == "batch"
    counts = fields_of(result)["counts"]
    assert {state: one["items"] for state, one in counts.items()} == {"done": 2, "failed": 1}
    assert {one["event"] for one in events} == {"batch", "item"}
    items = {Path(one["source"]).name: one for one in events if one["event"] == "item"}
    assert {name: one["state"] for name, one in items.items()} == {
        "a.mp4": "done", "b.jpg": "done", "bad.mp4": "failed"
    }  # fmt: skip
    assert items["bad.mp4"]["output"] is None
    assert items["a.mp4"]["output"] == "a.mp4"
    journal = (tmp_path / "out" / ".facepipe-batch" / "journal.jsonl").read_text().splitlines()
    assert len(journal) > 5
    for line in journal:
        validator("event").validate(json.loads(line))


@pytest.mark.parametrize(
    ("words", "code", "exit_code", "stage"),
    [
        (["run", "gone.mp4", "-o", "a.mp4"], "input", 3, "start"),
        (["run", "gone.mp4", "-o", "a.mp4", "--scale", "3"], "usage", 2, "arguments"),
        (["run", "gone.mp4", "--sclae=2"], "usage", 2, "arguments"),
        (["enhance", "a.mp4"], "usage", 2, "arguments"),
        (["evaluate"], "usage", 2, "arguments"),
    ],
)
def test_an_error_is_an_object(words: list[str], code: str, exit_code: int, stage: str) -> None:
    result, _, said = call(*words)
    error = result["error"]
    assert (error["code"], error["exit_code"], error["stage"]) == (code, exit_code, stage)
    assert set(result) == {"schema_version", "command", "exit_code", "error"}
    assert said


def test_an_output_that_is_there_is_an_error_of_its_own(video: Path, tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"mine")
    result, _, said = call("run", video, "-o", tmp_path / "a.mp4", "-q")
    assert result["error"]["code"] == "output_exists"
    assert result["error"]["hint"] == "--overwrite replaces it"
    assert said == [f"facepipe: {result['error']['message']}"]
    assert (tmp_path / "a.mp4").read_bytes() == b"mine"


@pytest.mark.parametrize(
    "words", [["models"], ["models", "list"], ["train", "--list"], ["doctor"], ["describe"]]
)
def test_commands_that_only_print_have_a_result(words: list[str]) -> None:
    result, _, _ = call(*words)
    if result["command"] != "models":  # the group, which does as `models list`
        fields_of(result)
    assert result["command"] == " ".join(words).removesuffix(" --list")
