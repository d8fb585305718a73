"""--json: standard output holds one object, the result of a command or the error that ended it.

While a command works, what is printed goes to standard error, also what libraries and other
processes print. At the end the object is written to standard output, in one line.
"""

from __future__ import annotations

import ctypes
import json
import math
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import PurePath
from typing import Any

from facepipe.cli.error_report import ErrorReport, report_of
from facepipe.cli.output import print_warnings
from facepipe.contract.schemas import VERSION
from facepipe.errors import reason_of

#: The flag that asks for it.
FLAG = "--json"
#: What `evaluate` writes its figures to; it was called as the flag is before.
_FIGURES = "--figures"


@dataclass
class _Call:
    """What is known of the command that this process runs."""

    command: str = ""
    stage: str = "arguments"
    result: object = None
    error: ErrorReport | None = None


_call = _Call()


def is_asked(arguments: Sequence[str]) -> bool:
    """Whether a command line asks for an object; after `--`, all are names."""
    words = list(arguments)
    return FLAG in (words[: words.index("--")] if "--" in words else words)


def with_figures(arguments: Sequence[str]) -> list[str]:
    """The words of a command line, with --figures FILE where `evaluate` has the older --json FILE.

    Warns of it on standard error.
    """
    words = list(arguments)
    if words[:1] != ["evaluate"]:
        return words
    made: list[str] = []
    for word in words:
        if word.startswith(f"{FLAG}="):
            made += [_FIGURES, word.removeprefix(f"{FLAG}=")]
        elif made[-1:] == [FLAG] and word.lower().endswith(".json"):
            made[-1:] = [_FIGURES, word]
        else:
            made.append(word)
    if made != words:
        print_warnings([f"{FLAG} FILE is now {_FIGURES} FILE, and goes away in the next version"])
    return made


@contextmanager
def one_object(arguments: Sequence[str]) -> Iterator[None]:
    """Context of a whole command: its object is printed at the end, where it is asked for.

    The body ends with SystemExit or with an error that nobody foresaw. Both leave as they are.
    """
    global _call
    _call = _Call()
    if not is_asked(arguments):
        yield
        return
    code: object = 1
    try:
        with _stdout_to_stderr():
            yield
        code = 0
    except SystemExit as ended:
        code = ended.code or 0
        raise
    except Exception as error:
        note_error(report_of(error, reason_of(error), 1))
        raise
    finally:
        print(_as_text(_call, code if isinstance(code, int) else 1), flush=True)


def note_command(name: str) -> None:
    """Note which command was named, "evaluate faces"; its arguments come next."""
    _call.command = name


def note_stage(stage: str) -> None:
    """Note what a command is at: "arguments", "start", a stage of its progress, or "write"."""
    _call.stage = stage


def note_result(result: object) -> None:
    """Note the result of the command, a dataclass."""
    _call.result = result


def note_error(error: ErrorReport) -> None:
    """Note why the command ends; the first error counts."""
    _call.error = _call.error or replace(error, stage=_call.stage)


def plain(value: Any) -> Any:
    """A value as JSON has it: dataclasses as objects, paths as text, infinite numbers as null."""
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: plain(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, PurePath) else value


def _as_text(call: _Call, exit_code: int) -> str:
    head = {"schema_version": VERSION, "command": call.command, "exit_code": exit_code}
    error = {"error": plain(call.error)} if call.error is not None else {}
    return json.dumps(head | (plain(call.result) or {}) | error)


@contextmanager
def _stdout_to_stderr() -> Iterator[None]:
    """Send to standard error what is written to standard output, by whomever."""
    stream = sys.stdout
    stream.flush()
    kept = os.dup(1)
    os.dup2(2, 1)  # of libraries and other processes
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        stream.flush()  # whoever had it before
        _flush_c()
        os.dup2(kept, 1)
        os.close(kept)


def _flush_c() -> None:
    """Write out what C libraries have printed: they keep it until there is much, or the end."""
    if sys.platform != "win32":
        ctypes.CDLL(None).fflush(None)
