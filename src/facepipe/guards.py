"""What is watched while a run is at work: the source, and what the system refuses."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from facepipe.errors import InputError, OutOfMemoryError
from facepipe.models.registry import sha256_of
from facepipe.video.sources import as_facepipe_error


def check_unchanged(source: Path, sha256: str) -> None:
    """Raise InputError where the source is no longer the file of that digest."""
    try:
        changed = sha256_of(source) != sha256
    except OSError as error:
        raise InputError(
            f"{source} went away while facepipe was at work ({error.strerror})"
        ) from error
    if changed:
        raise InputError(f"{source} changed while facepipe was at work; nothing was written")


@contextmanager
def told_plainly(source: Path, target: Path) -> Iterator[None]:
    """Whatever the system refuses within becomes one of facepipe's errors."""
    try:
        yield
    except MemoryError as error:
        raise OutOfMemoryError(
            f"{source}: there is not enough memory for it; fewer --workers need less"
        ) from error
    except OSError as error:  # FFmpeg's errors are such too
        if error.errno == errno.ENOMEM:
            raise OutOfMemoryError(f"{source}: there is not enough memory for it") from error
        if error.filename is not None and str(error.filename) == str(source):
            raise InputError(f"{source}: cannot be read ({error.strerror or error})") from error
        raise as_facepipe_error(error, f"making {target}") from error
