"""--json: standard output has one object, whoever else prints there."""

from __future__ import annotations

import errno
import json
import os
import pickle
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer
from jsonschema import Draft202012Validator

from facepipe import errors
from facepipe._system.files import write_text
from facepipe.cli import machine
from facepipe.cli.error_report import error_codes, report_of, report_of_exit
from facepipe.cli.signals import Interrupted
from facepipe.contract.schemas import read_schema


@dataclass(frozen=True)
class Made:
    output: Path
    shares: tuple[float, ...] = (0.5, float("inf"))


def test_what_is_printed_goes_to_stderr_and_the_object_to_stdout(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with machine.one_object(["run", "--json"]):
        sys.stdout.write("words\n")
        os.write(1, b"of a library\n")
        subprocess.run([sys.executable, "-c", "print('of a process')"], check=True)
        machine.note_command("run")
        machine.note_result(Made(Path("a.mp4")))
    sys.stdout.write("afterwards\n")
    out, err = capfd.readouterr()
    first, after = out.splitlines()
    assert after == "afterwards"
    assert json.loads(first) == {
        "schema_version": 1, "command": "run", "exit_code": 0,
        "output": "a.mp4", "shares": [0.5, None],
    }  # fmt: skip
    assert sorted(err.splitlines()) == ["of a library", "of a process", "words"]


_PRINTING = """
import ctypes, sys
from facepipe.cli import machine
stream = sys.stdout
with machine.one_object(["run", "--json"]):
    ctypes.CDLL(None).puts(b"of C")
    stream.write("of who had the stream\\n")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there C libraries have a stdout each")
def test_what_waits_in_buffers_goes_to_stderr_too() -> None:
    unset = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    done = subprocess.run(
        [sys.executable, "-c", _PRINTING], env=unset, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout)["exit_code"] == 0
    assert sorted(done.stderr.splitlines()) == ["of C", "of who had the stream"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this machine has no /dev/full")
@pytest.mark.parametrize(("words", "expected"), [(["--json"], 4), ([], 0)])
def test_an_object_that_finds_no_room_is_no_success(words: list[str], expected: int) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "facepipe", "report", "--help", *words],
            stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert "standard output cannot be written" in done.stderr
    assert done.returncode == expected


def test_without_the_flag_nothing_is_other_than_before(capfd: pytest.CaptureFixture[str]) -> None:
    with machine.one_object(["run"]):
        sys.stdout.write("words\n")
        machine.note_result(Made(Path("a.mp4")))
    assert capfd.readouterr() == ("words\n", "")


def ended(capfd: pytest.CaptureFixture[str], error: BaseException, *notes: Any) -> dict[str, Any]:
    """The object of a command that ends with an error."""
    with pytest.raises(type(error)), machine.one_object(["--json"]):  # noqa: PT012
        for note in notes:
            machine.note_error(note)
        raise error
    found: dict[str, Any] = json.loads(capfd.readouterr().out)
    Draft202012Validator(read_schema("result")).validate(found)
    return found


def test_a_fault_is_an_object_too(capfd: pytest.CaptureFixture[str]) -> None:
    found = ended(capfd, ZeroDivisionError("by nothing"))
    assert found["exit_code"] == 1
    assert found["error"]["code"] == "internal"
    assert found["error"]["message"] == "ZeroDivisionError: by nothing"


def test_an_exit_code_comes_with_its_reason(capfd: pytest.CaptureFixture[str]) -> None:
    report = report_of(errors.InputError("a.mp4 does not exist"), "a.mp4 does not exist", 3)
    found = ended(capfd, SystemExit(3), report, report_of_exit(8, "later"))
    assert found["exit_code"] == found["error"]["exit_code"] == 3
    assert found["error"]["stage"] == "arguments"


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        (["run", "a.mp4", "--json"], True),
        (["run", "a.mp4"], False),
        (["run", "--", "--json"], False),
        (["gallery", "--json", "a.json"], True),
    ],
)
def test_it_is_asked_for(words: list[str], asked: bool) -> None:
    assert machine.is_asked(machine.with_figures(words)) is asked


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["evaluate", "faces", "--json", "a.json"], ["evaluate", "faces", "--figures", "a.json"]),
        (["evaluate", "faces", "--json=a.txt"], ["evaluate", "faces", "--figures", "a.txt"]),
        (["evaluate", "faces", "--json", "a.zip"], ["evaluate", "faces", "--json", "a.zip"]),
        (["report", "--json", "a.json"], ["report", "--json", "a.json"]),
    ],
)
def test_the_older_json_of_evaluate_is_understood(
    words: list[str], expected: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert machine.with_figures(words) == expected
    assert ("is now --figures FILE" in capsys.readouterr().err) == (words != expected)


@pytest.mark.parametrize(
    ("error", "exit_code", "code", "retryable"),
    [
        (errors.UsageError("no"), 2, "usage", False),
        (errors.OutputExistsError("there"), 4, "output_exists", False),
        (errors.WorkersLostError("gone"), 7, "workers_lost", True),
        (errors.OutOfMemoryError("much"), 9, "out_of_memory", True),
        (errors.VerificationError("changed"), 10, "verification", False),
        (MemoryError(), 9, "out_of_memory", True),
        (Interrupted(2), 130, "interrupted", True),
        (ModuleNotFoundError("ray"), 2, "missing_package", False),
        (ImportError("a.so"), 1, "library", False),
        (ImportError("cannot map segment"), 9, "out_of_memory", True),
        (typer.BadParameter("no"), 2, "usage", False),
        (KeyError("x"), 1, "internal", False),
    ],
)
def test_each_error_has_its_code(
    error: BaseException, exit_code: int, code: str, retryable: bool
) -> None:
    report = report_of(error, error, exit_code)
    assert (report.code, report.exit_code, report.retryable) == (code, exit_code, retryable)
    assert report.hint
    assert code in {one.code for one in error_codes()}


def test_a_full_disk_may_have_room_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(errors.OutputError) as caught:
        write_text("much", tmp_path / "a.txt")
    assert report_of(caught.value, caught.value, 4).retryable
    monkeypatch.undo()
    (tmp_path / "a.txt").touch()
    with pytest.raises(errors.OutputError) as caught:
        write_text("much", tmp_path / "a.txt" / "b.txt")
    assert not report_of(caught.value, caught.value, 4).retryable


def test_what_an_error_says_of_itself_survives_the_way_from_a_worker() -> None:
    error = errors.OutputError("held", hint="wait", retryable=True)
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.hint, again.retryable) == ("held", "wait", True)
    assert errors.OutputError("other").retryable is False
