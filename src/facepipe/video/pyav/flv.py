"""Flash video: files one behind the other, of which FFmpeg's demuxer reads the first alone."""

from __future__ import annotations

import re
from typing import BinaryIO

#: A file's header: version 1, which kinds of tags there are, its length, no tag before the first.
_HEADER = re.compile(rb"FLV\x01[\x00\x01\x04\x05]\x00\x00\x00\x09\x00\x00\x00\x00")
HEADER_BYTES = 13
_BLOCK = 2**20


def inner_headers(file: BinaryIO) -> tuple[int, ...]:
    """Byte positions of all headers but the first. Reads the whole file; OSError as the disk."""
    found: list[int] = []
    at, kept = 0, b""  # position of `kept`, the end of the block before
    while block := file.read(_BLOCK):
        data = kept + block
        found += [at + match.start() for match in _HEADER.finditer(data)]
        kept = data[-HEADER_BYTES + 1 :]
        at += len(data) - len(kept)
    return tuple(position for position in found if position)
