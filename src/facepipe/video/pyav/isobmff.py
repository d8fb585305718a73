"""The boxes of mp4 and mov, as far as it takes to say what a broken file lacks."""

from __future__ import annotations

from pathlib import Path

_FIRST = (b"ftyp", b"wide", b"free", b"skip", b"pnot", b"mdat")
_INDEX = b"moov"
_MOST = 10_000  # boxes that are looked at


def lacks_index(path: Path) -> bool:
    """Whether a file is mp4 or mov by its first box, and ends without an index.

    Cameras write the index last: what was cut short or never finished has none, and nothing in it
    can be found. Errors: OSError as the disk does.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        at = 0
        for number in range(_MOST):
            file.seek(at)
            header = file.read(16)
            kind = header[4:8]
            if number == 0 and kind not in _FIRST:
                return False
            if kind == _INDEX:
                return False
            length = int.from_bytes(header[:4], "big")
            if length == 1:  # it follows, in 64 bits
                length = int.from_bytes(header[8:], "big")
            elif length == 0:  # up to the end of the file
                length = size - at
            at += max(length, 8)
            if at >= size or len(header) < 8:
                return True
    return False
