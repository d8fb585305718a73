"""The list of fragments at the end of an mp4 (mfra): taken off, and put back as they have moved."""

from __future__ import annotations

import io
import struct
from typing import BinaryIO

from facepipe.video.pyav.isobmff import boxes_in

_LIST, _TRACK = b"mfra", b"tfra"
_HEAD = 16  # bytes from the version of a track's list to its entries
_FOOTER = 16  # bytes of the box at the end that says how long the list is
_LARGEST = 2**32 - 1


def take_tail(file: BinaryIO) -> bytes:
    """Cut the list off a file that ends with one, as it must; empty where there is none.

    Errors: OSError as the disk does.
    """
    size = file.seek(0, io.SEEK_END)
    file.seek(max(size - _FOOTER, 0))
    footer = file.read()
    begin = size - int.from_bytes(footer[-4:], "big")
    if footer[4:8] != b"mfro" or begin < 0:
        return b""
    file.seek(begin)
    tail = file.read()
    if tail[4:8] != _LIST:
        return b""
    file.truncate(begin)
    return tail


def moved_tail(tail: bytes, more: int) -> bytes:
    """The list of fragments that all lie `more` bytes later than it says."""
    made = bytearray(tail)
    for box in boxes_in(tail, 8, len(tail)):
        if box.kind != _TRACK or box.end - box.begin < box.header + _HEAD:
            continue
        begin = box.begin + box.header
        (lengths, count) = struct.unpack_from(">II", tail, begin + 8)
        form = ">Q" if tail[begin] == 1 else ">I"
        width = struct.calcsize(form)
        step = 2 * width + sum((lengths >> shift & 3) + 1 for shift in (4, 2, 0))
        for at in range(begin + _HEAD + width, min(begin + _HEAD + count * step, box.end), step):
            (place,) = struct.unpack_from(form, tail, at)
            place += more
            struct.pack_into(form, made, at, place if width == 8 else min(place, _LARGEST))
    return bytes(made)
