"""The outermost boxes of mp4 and mov: what a broken file lacks, and whether it has fragments."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_FRAGMENT = b"moof"
_FIRST = (b"ftyp", b"wide", b"free", b"skip", b"pnot", b"mdat")
_INDEX = b"moov"
_MOST = 10_000  # boxes that are looked at


def lacks_index(path: Path) -> bool:
    """Whether a file is mp4 or mov by its first box, and ends without an index.

    Cameras write the index last: what was cut short or never finished has none, and nothing in it
    can be found. Errors: OSError as the disk does.
    """
    with path.open("rb") as file:
        kinds = list(_boxes(file, path.stat().st_size))
    return bool(kinds) and kinds[0] in _FIRST and _INDEX not in kinds and len(kinds) < _MOST


def is_fragmented(file: BinaryIO, size: int) -> bool:
    """Whether an mp4 or mov of `size` bytes has its index in fragments. OSError as the disk."""
    return _FRAGMENT in _boxes(file, size)


def _boxes(file: BinaryIO, size: int) -> Iterator[bytes]:
    """The kinds of the outermost boxes."""
    at = 0
    for _ in range(_MOST):
        file.seek(at)
        header = file.read(16)
        if at >= size or len(header) < 8:
            return
        yield header[4:8]
        length = int.from_bytes(header[:4], "big")
        if length == 1:  # it follows, in 64 bits
            length = int.from_bytes(header[8:], "big")
        elif length == 0:  # up to the end of the file
            length = size - at
        at += max(length, 8)
