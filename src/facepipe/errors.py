"""Everything that facepipe raises on purpose, and the exit code of each.

FacepipeError                 1   anything below, when none is more exact
├── UsageError                2   options or settings that make no sense
├── InputError                3   a source that is missing, unreadable or no video
├── OutputError               4   a target that is the source or cannot be written
│   └── OutputExistsError     4   a target that is there already
├── ModelError                5   weights or packs that are missing or damaged
├── MediaError                6   an encoder or container that refuses what it is given
├── WorkerError               7   a span that failed and could not be passed through
│   ├── WorkersLostError      7   a task whose workers died or stalled again and again
│   └── NoWorkersError        7   no worker is left, or the run was stopped
├── OutOfMemoryError          9   more memory was needed than there is, or may be taken
└── VerificationError        10   a file that was changed, or frames that are not reproduced
(a batch of which items failed 8)
(Ctrl-C                     130; a request to end, SIGTERM, 143; a terminal that closed, 129)
"""

from __future__ import annotations

from collections import abc
from difflib import get_close_matches


class FacepipeError(Exception):
    """Anything that facepipe raises on purpose: catch this to catch all of it.

    `code` is a word for programs. `retryable`: the same call may succeed later although nothing
    was changed, as what was in the way lay outside. `hint` says what can be done.
    """

    exit_code = 1
    code = "facepipe"
    retryable = False
    hint: str | None = None

    def __init__(
        self, *message: object, hint: str | None = None, retryable: bool | None = None
    ) -> None:
        super().__init__(*message)
        if hint is not None:
            self.hint = hint
        if retryable is not None:
            self.retryable = retryable


class UsageError(FacepipeError):
    """Options or settings that make no sense, alone or together."""

    exit_code = 2
    code = "usage"
    hint = "`facepipe describe --json` has each option with its type, range and default"


class InputError(FacepipeError):
    """A source that is missing, unreadable, or not what it should be."""

    exit_code = 3
    code = "input"
    hint = "see whether the source is whole and where it should be"


class OutputError(FacepipeError):
    """A target that exists, is the source itself, or cannot be written."""

    exit_code = 4
    code = "output"
    hint = "choose another output, or make room on its disk"


class OutputExistsError(OutputError):
    """A target that is there already and may not be replaced."""

    code = "output_exists"
    hint = "--overwrite replaces it"


class ModelError(FacepipeError):
    """Weights or packs that are missing, damaged, or not the ones expected."""

    exit_code = 5
    code = "model"
    hint = "`facepipe doctor` says which weights are missing or damaged"


class MediaError(FacepipeError):
    """An encoder or container that refuses what it is given."""

    exit_code = 6
    code = "media"
    hint = "`facepipe doctor` says which encoders work here; --codec chooses one"


class WorkerError(FacepipeError):
    """A span that failed in a worker and could not be passed through either."""

    exit_code = 7
    code = "worker"
    hint = "the same command goes on from what is finished"


class WorkersLostError(WorkerError):
    """A task whose workers died or stalled again and again, for reasons that may lie in them."""

    code = "workers_lost"
    retryable = True


class NoWorkersError(WorkerError):
    """No task can run any more: the workers were ended, or the cluster or all its nodes are."""

    code = "no_workers"
    retryable = True


class OutOfMemoryError(FacepipeError):
    """More memory was needed than there is, or than this process may take."""

    exit_code = 9
    code = "out_of_memory"
    retryable = True
    hint = "fewer --workers need less"


class VerificationError(FacepipeError):
    """A file that is not what it was, or a render that gives other frames."""

    exit_code = 10
    code = "verification"
    hint = "`facepipe verify` says which bytes are not those that were delivered"


def printable(text: object, *, longest: int | None = None) -> str:
    """Return a text in one line, its control characters escaped: file names may hold any.

    It has at most `longest` characters, None: as many as it takes.
    """
    given = str(text) if longest is None else str(text)[: longest + 1]
    shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in given)
    return shown if longest is None or len(shown) <= longest else f"{shown[: longest - 1]}…"


def did_you_mean(given: object, known: abc.Iterable[object]) -> str:
    """Return "; did you mean X?" for the known word that is nearest to a wrong one, else "".

    Of dotted keys, the last part counts too.
    """
    word, words = str(given), [str(one) for one in known]
    near = get_close_matches(word, words, n=1, cutoff=0.7)
    if not near:
        ends = {one.rpartition(".")[2]: one for one in reversed(words)}
        near = [ends[one] for one in get_close_matches(word.rpartition(".")[2], ends, 1, 0.75)]
    return f"; did you mean {near[0]}?" if near else ""


def reason_of(error: BaseException | None) -> str:
    """Return an error's message in one line, with its type where facepipe did not raise it."""
    message = " ".join(str(error).split())
    if error is None or isinstance(error, FacepipeError):
        return message
    return f"{type(error).__name__}: {message}" if message else type(error).__name__
