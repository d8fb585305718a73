"""The first packets of each copied stream, for a trial: few are read, and no stream is left out.

Muxers drop a stream without a packet, or readers do not find it. So a stream that begins late, such
as subtitles, gives its first packet all the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream

from facepipe.datatypes import StreamInfo, VideoInfo
from facepipe.video.clock import timed
from facepipe.video.sources import demuxed, open_source

#: Packets of all streams, and bytes of the file, that are read for those that begin at once.
_MOST_PACKETS, _MOST_BYTES = 4096, 16 * 2**20
#: Packets after a seek among which the first one of a late stream has to be.
_AFTER_SEEK = 16


def head_packets(
    opened: InputContainer, wanted: Sequence[Stream], info: VideoInfo, count: int
) -> Iterator[Packet[Stream]]:
    """At most `count` packets of each wanted stream in the file's order, and one of late ones.

    Errors: FFmpegError for what cannot be read.
    """
    asked = _asked(wanted, info)
    left = {index: min(count, other.packets) for index, other in asked.items()}
    late = set(left)
    packets: Iterator[Packet[Stream]] = timed(opened, info.clock)
    for packet in islice(packets, _MOST_PACKETS if left else 0):
        if not packet.size:  # one between files has no stream
            continue
        index = packet.stream.index
        if left.get(index):
            left[index] -= 1
            late.discard(index)
            yield packet
        if not any(left.values()) or (packet.pos or 0) > _MOST_BYTES:
            break
    for index in sorted(late):
        yield from _first_packet(info, asked[index])


def _asked(wanted: Sequence[Stream], info: VideoInfo) -> dict[int, StreamInfo]:
    """The wanted streams that have packets, by index."""
    indices = {stream.index for stream in wanted}
    return {other.index: other for other in info.others if other.packets and other.index in indices}


def _first_packet(info: VideoInfo, other: StreamInfo) -> Iterator[Packet[Stream]]:
    """The first packet of a stream, which begins late: sought, or else read up to."""
    with open_source(info.path) as opened:
        stream = opened.streams[other.index]
        if other.start is not None and not info.clock.shifts:
            with suppress(av.FFmpegError):
                opened.seek(other.start, stream=stream, backward=True)
                for packet in islice(demuxed(opened, stream), _AFTER_SEEK):
                    if packet.size and packet.pts == other.start:
                        yield packet
                        return
    with open_source(info.path) as opened:
        found = timed(opened, info.clock, opened.streams[other.index])
        yield from islice((packet for packet in found if packet.size), 1)
