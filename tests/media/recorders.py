"""Videos as recorders export them: bare streams, and the format of Dahua's (DHAV)."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import av

_SECONDS_BITS, _MINUTES_BITS, _HOURS_BITS, _DAYS_BITS, _MONTHS_BITS = 6, 6, 5, 5, 4


def dhav(path: Path, *, make: Callable[[Path], Path], rate: int = 25) -> Path:
    """The video of `make`'s video (H.264 in a bare stream) as a .dav file, from 2026-11-30 on."""
    bare = make(path.with_suffix(".h264"))
    with av.open(str(bare)) as container:
        video = container.streams.video[0]
        size = video.codec_context.width, video.codec_context.height
        packets = [(bytes(p), p.is_keyframe) for p in container.demux(video) if p.size]
    bare.unlink()
    path.write_bytes(
        b"".join(
            _frame(number, payload, keyframe, size, rate)
            for number, (payload, keyframe) in enumerate(packets)
        )
    )
    return path


def _frame(number: int, payload: bytes, keyframe: bool, size: tuple[int, int], rate: int) -> bytes:
    """One frame: a header that says when it was taken, what is coded, and a tail."""
    seconds, part = divmod(number, rate)
    date = 26
    for value, bits in (
        (11, _MONTHS_BITS),
        (30, _DAYS_BITS),
        (9, _HOURS_BITS),
        (seconds // 60, _MINUTES_BITS),
        (seconds % 60, _SECONDS_BITS),
    ):
        date = date << bits | value
    extension = struct.pack("<BBBB", 0x81, 0, 2, rate) + struct.pack("<BBHHH", 0x82, 0, 0, *size)
    length = 24 + len(extension) + len(payload) + 8
    head = b"DHAV" + struct.pack("<BBBB", 0xFD if keyframe else 0xFC, 0, 0, 0)
    head += struct.pack("<IIIH", number, length, date, part * 1000 // rate)
    head += struct.pack("<B", len(extension))
    head += struct.pack("<B", sum(head) & 0xFF)
    return head + extension + payload + b"dhav" + struct.pack("<I", length)
