"""Read a target back: the packets of all its streams are counted, and its audio is opened."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
from av.packet import Packet
from av.stream import Stream

from facepipe.datatypes import VideoInfo
from facepipe.errors import MediaError
from facepipe.video.frame_packets import FramePackets
from facepipe.video.muxing.joints import WrittenVideo
from facepipe.video.sources import demuxed, open_source
from facepipe.video.streams import is_cover, is_written_by_muxer

_NOTHING_SHOWN = b"\0\0"  # what mov and mp4 put between subtitles
_SOUND_PACKETS = 64  # among which audio has to come out of the decoder


@dataclass
class Written:
    """Packets and bytes of one stream, as written or as read back; `source` is its index there."""

    packets: int = 0
    size: int = 0  # bytes
    source: int | None = None

    def count(self, packet: Packet[Stream]) -> None:
        """Count a packet, but for the pauses that a muxer puts between subtitles."""
        if packet.size != len(_NOTHING_SHOWN) or bytes(packet) != _NOTHING_SHOWN:
            self.packets += 1
            self.size += packet.size


def count_back(
    written: Path, target: Path, expected: Sequence[Written], video: int
) -> tuple[list[int], WrittenVideo]:
    """Count the packets of a file; the indices of its streams, and its video.

    `expected` are its streams, `video` the number of the main one, `target` the file's name to be.
    MediaError when a packet of any stream is missing or too many.
    """
    with open_source(written) as opened:
        kept = _counted(opened)
        found = {stream.index: Written() for stream in kept}
        main = kept[video] if video < len(kept) else kept[0]
        joiner: FramePackets[Stream] = FramePackets(main)
        pts: list[int] = []

        def note(packets: Sequence[Packet[Stream]]) -> None:
            for packet in packets:
                found[main.index].count(packet)
                pts.extend([] if packet.pts is None else [packet.pts])

        for packet in opened.demux():
            if packet.size and packet.stream.index == main.index:
                note(joiner.feed(packet))
            elif packet.size and packet.stream.index in found:
                found[packet.stream.index].count(packet)
        note(joiner.rest())
        base = Fraction(main.time_base or 1)
        video_there = WrittenVideo(written, main.index, base, tuple(sorted(pts)))
        streams = sum(not is_cover(stream) for stream in kept)  # covers may be attachments
    _check_counts(target, expected, list(found.values()), streams)
    return list(found), video_there


def _check_counts(
    target: Path, expected: Sequence[Written], found: Sequence[Written], streams: int
) -> None:
    if streams > len(expected):
        raise MediaError(
            f"{target.name} was not written right: it has {streams} streams, "
            f"{len(expected)} were written"
        )
    there = [*found, *(Written() for _ in expected)]
    for number, (given, read) in enumerate(zip(expected, there, strict=False)):
        # Some containers cut PCM anew, and some give each packet a head of its own.
        if read.packets != given.packets and read.size != given.size:
            raise MediaError(
                f"{target.name} was not written right: stream {number} has {read.packets} of "
                f"{given.packets} packets"
            )


def _counted(opened: av.container.InputContainer) -> list[Stream]:
    """The streams that hold packets of ours, covers last, as most containers put them there."""
    copied = [s for s in opened.streams if s.type != "attachment" and not is_written_by_muxer(s)]
    return sorted(copied, key=lambda stream: (is_cover(stream), stream.index))


def check_audio(
    written: Path, target: Path, streams: Sequence[tuple[int, Written]], info: VideoInfo
) -> None:
    """Raise MediaError where audio does not decode that does so in the source.

    `streams` are the indices of those in the file `written`, and what they were given.
    """
    for index in silent(written, streams, info):
        raise MediaError(
            f"{target.name} was not written right: its stream {index} (audio) does not decode "
            "as in the source"
        )


def silent(
    written: Path,
    streams: Sequence[tuple[int, Written]],
    info: VideoInfo,
    packets: int = _SOUND_PACKETS,
) -> Iterator[int]:
    """Indices of streams of audio that decode in the source and not in the file `written`.

    `streams` are as of `check_audio`, `packets` those among which a first frame has to be.
    """
    anew = {other.index for other in info.others if other.headers}
    for index, given in streams:
        if given.source is None or not given.packets:
            continue
        ours = first_audio(written, index, packets)
        theirs = first_audio(Path(info.path), given.source, packets)
        # A window may begin where the source has gone on under another header.
        same = ours is not None if given.source in anew else ours == theirs
        if theirs is not None and not same:
            yield index


def first_audio(path: Path, index: int, packets: int = _SOUND_PACKETS) -> tuple[int, int] | None:
    """Sample rate and number of channels of a stream's first frame; None where none decodes."""
    with open_source(path) as opened:
        stream = opened.streams[index]
        if not isinstance(stream, av.AudioStream):
            return None
        for packet in islice(demuxed(opened, stream), packets):
            with suppress(av.FFmpegError):
                for frame in stream.codec_context.decode(packet):
                    return frame.sample_rate, frame.layout.nb_channels
    return None
