"""Everything that facepipe raises on purpose, and the exit code of each.

FacepipeError                 1   anything below, when none is more exact
├── UsageError                2   options or settings that make no sense
├── InputError                3   a source that is missing, unreadable or no video
├── OutputError               4   a target that exists, is the source or cannot be written
├── ModelError                5   weights or packs that are missing or damaged
├── MediaError                6   an encoder or container that refuses what it is given
└── WorkerError               7   a span that failed and could not be passed through
(a batch of which items failed 8)
(Ctrl-C                     130)
"""

from __future__ import annotations


class FacepipeError(Exception):
    """The root: catch this to catch all that facepipe raises on purpose."""

    exit_code = 1


class UsageError(FacepipeError):
    """Options or settings that make no sense, alone or together."""

    exit_code = 2


class InputError(FacepipeError):
    """A source that is missing, unreadable, or not what it should be."""

    exit_code = 3


class OutputError(FacepipeError):
    """A target that exists, is the source itself, or cannot be written."""

    exit_code = 4


class ModelError(FacepipeError):
    """Weights or packs that are missing, damaged, or not the ones expected."""

    exit_code = 5


class MediaError(FacepipeError):
    """An encoder or container that refuses what it is given."""

    exit_code = 6


class WorkerError(FacepipeError):
    """A span that failed in a worker and could not be passed through either."""

    exit_code = 7
