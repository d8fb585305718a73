"""Errors as objects: what --json prints of the error that ends a command."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from dataclasses import dataclass

import typer

from facepipe.cli.signals import Interrupted
from facepipe.errors import FacepipeError, OutOfMemoryError, UsageError, printable

#: The exit code of a batch of which items failed.
ITEMS_FAILED = 8
#: Click's error, wherever typer has its click from.
CLICK_ERROR: type[Exception] = typer.BadParameter.__mro__[2]
#: What the system answers where there may be room or a connection later.
_PASSING = frozenset(
    getattr(errno, name)
    for name in (
        "ENOSPC", "EDQUOT", "EAGAIN", "EBUSY", "EMFILE", "ENFILE", "ETIMEDOUT", "ENETUNREACH",
        "EHOSTUNREACH", "ECONNREFUSED",
    )
    if hasattr(errno, name)
)  # fmt: skip


@dataclass(frozen=True)
class ErrorReport:
    """Why a command ended, for the program that called it.

    `code` is a word that stays the same, `type` the class of the exception, `stage` what the
    command was at. `retryable`: the same command may succeed later, with nothing changed.
    """

    code: str
    exit_code: int
    type: str
    message: str
    retryable: bool
    hint: str | None
    stage: str = "start"


@dataclass(frozen=True)
class ErrorCode:
    """A kind of error: its code, the exit code, and what it means."""

    code: str
    exit_code: int
    meaning: str
    retryable: bool = False
    hint: str | None = None


#: What ends a command besides the errors of facepipe/errors.py.
OTHER_CODES = (
    ErrorCode(
        "missing_package", UsageError.exit_code, "A package is missing that this command needs.",
        hint="install the extra of facepipe that brings it",
    ),
    ErrorCode(
        "items_failed", ITEMS_FAILED, "A batch of which items failed, or lost their workers.",
        hint="the table in the output folder has each item and its reason",
    ),
    ErrorCode(
        "interrupted", 130, "Ctrl-C (130), a request to end (143), or a closed terminal (129).",
        retryable=True, hint="the same command goes on from what is finished",
    ),
    ErrorCode("library", 1, "A library does not load.", hint="`facepipe doctor` tries all of them"),
    ErrorCode(
        "internal", 1, "A fault in facepipe.",
        hint="please report it with the lines on standard error",
    ),
)  # fmt: skip
_OTHERS = {one.code: one for one in OTHER_CODES}


def error_codes() -> Iterator[ErrorCode]:
    """Every kind of error that may end a command, by its code."""
    yield from (_of_class(kind) for kind in _classes(FacepipeError))
    yield from OTHER_CODES


def report_of(error: BaseException, message: object, exit_code: int) -> ErrorReport:
    """The report of an error that ends a command with `exit_code`, after `message` was printed."""
    known = _kind_of(error, exit_code)
    return ErrorReport(
        code=known.code,
        exit_code=exit_code,
        type=type(error).__name__,
        message=printable(message),
        retryable=known.retryable or _is_passing(error),
        hint=known.hint,
    )


def report_of_exit(exit_code: int, message: str, *, retryable: bool = False) -> ErrorReport:
    """The report of a command that ends with `exit_code` after it gave its result."""
    of_code = [kind for kind in error_codes() if kind.exit_code == exit_code]
    known = of_code[0] if of_code else _OTHERS["internal"]
    return ErrorReport(
        known.code, exit_code, "Exit", printable(message), retryable or known.retryable, known.hint
    )


def _kind_of(error: BaseException, exit_code: int) -> ErrorCode:
    if isinstance(error, FacepipeError):
        return _of_error(error)
    if isinstance(error, CLICK_ERROR):
        return _of_class(UsageError)
    if isinstance(error, MemoryError) or exit_code == OutOfMemoryError.exit_code:
        return _of_class(OutOfMemoryError)
    if isinstance(error, Interrupted):
        return _OTHERS["interrupted"]
    if isinstance(error, ModuleNotFoundError):
        return _OTHERS["missing_package"]
    return _OTHERS["library" if isinstance(error, ImportError) else "internal"]


def _of_error(error: FacepipeError) -> ErrorCode:
    return ErrorCode(error.code, error.exit_code, "", error.retryable, error.hint)


def _of_class(kind: type[FacepipeError]) -> ErrorCode:
    meaning = " ".join((kind.__doc__ or "").partition("\n\n")[0].split())
    return ErrorCode(kind.code, kind.exit_code, meaning, kind.retryable, kind.hint)


def _classes(kind: type[FacepipeError]) -> Iterator[type[FacepipeError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from _classes(below)


def _is_passing(error: BaseException | None) -> bool:
    """Whether the system's own error, from which this one came, may pass."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _PASSING:
            return True
        error = error.__cause__ or error.__context__
    return False
