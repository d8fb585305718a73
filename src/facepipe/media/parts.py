"""Rendered parts read back: their packets, with the times they get in the target."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Literal

import av
from av.packet import Packet, PacketSideData, packet_sidedata_type_from_literal
from av.stream import Stream

from facepipe.errors import MediaError
from facepipe.frames import VideoInfo
from facepipe.media.containers import open_source
from facepipe.media.encode import part_shift
from facepipe.media.timing import decode_times, usual_duration

_ANNEX_B = ("h264", "hevc")
_ALPHA: Literal["matroska_block_additional"] = "matroska_block_additional"


def part_times(parts: Sequence[Path], info: VideoInfo) -> list[int]:
    """The pts of every packet of the parts, in decoding order and the source's time base."""
    return [time for part in parts for time, _ in _part_packets(part, info)]


def _part_packets(part: Path, info: VideoInfo) -> Iterator[tuple[int, Packet[Stream]]]:
    shift = part_shift(info)
    try:
        with av.open(str(part.absolute())) as container:
            packet: Packet[Stream]
            for packet in container.demux(container.streams.video[0]):  # type: ignore[assignment]
                if packet.size and packet.pts is not None:
                    # NUT may have made the time base finer, never coarser.
                    ticks = packet.pts * Fraction(packet.time_base) / info.time_base
                    _mend_alpha(packet)
                    yield round(ticks) - shift, packet
    except (av.FFmpegError, IndexError) as error:
        raise MediaError(f"part {part.name} is damaged: {error}; render it again") from error


def video_packets(
    parts: Sequence[Path], info: VideoInfo, times: Sequence[int], lasting: Mapping[int, int]
) -> Iterator[Packet[Stream]]:
    """The parts' packets with the times they have in the target."""
    schedule = iter(zip(times, decode_times(times), strict=True))
    headers = [_header(part) for part in parts]
    repeat = len(set(headers)) > 1
    for part, header in zip(parts, headers, strict=True):
        for _, packet in _part_packets(part, info):
            pts, dts = next(schedule)
            if repeat and packet.is_keyframe:
                packet = _with_header(packet, header, part)
            packet.time_base = info.time_base
            packet.pts, packet.dts, packet.duration = pts, dts, lasting[pts]
            yield packet


def _header(part: Path) -> bytes:
    with av.open(str(part.absolute())) as container:
        return container.streams.video[0].codec_context.extradata or b""


def _with_header(packet: Packet[Stream], header: bytes, part: Path) -> Packet[Stream]:
    """A keyframe that brings its parameter sets along, where the parts' differ.

    That happens when some spans are interlaced and others are not.
    """
    if packet.stream.codec_context.codec.canonical_name not in _ANNEX_B:
        raise MediaError(f"part {part.name} was encoded with other settings; render it again")
    fuller: Packet[Stream] = Packet(header + bytes(packet))
    fuller.is_keyframe = True
    return fuller


def has_alpha_packets(part: Path) -> bool:
    """Whether a part keeps transparency beside its packets, as VP9 does."""
    with av.open(str(part.absolute())) as container:
        first = next(packet for packet in container.demux(container.streams.video[0]))
        return first.has_sidedata(_ALPHA)


def _mend_alpha(packet: Packet[Stream]) -> None:
    """Take off the number that NUT reads in front of what VP9 keeps beside a packet.

    FFmpeg's muxer writes it as part of the data, its demuxer puts it there once more.
    """
    if not packet.has_sidedata(_ALPHA):
        return
    given = bytes(packet.get_sidedata(_ALPHA))
    if given[:8] != given[8:16]:
        return
    kind = packet_sidedata_type_from_literal(_ALPHA)
    mended = PacketSideData(kind, len(given) - 8)  # type: ignore[call-arg]
    mended.update(given[8:])
    packet.set_sidedata(mended)


def last_duration(source: Path, info: VideoInfo, last: int) -> int:
    """How long the last frame is shown: up to the source's next one, or as its packet says."""
    after = [time for time in info.pts if time > last]
    if after:
        return after[0] - last
    usual = usual_duration(info.pts)
    with open_source(source) as opened:
        stream = opened.streams[info.stream_index]
        if info.keyframe_pts:
            with suppress(av.FFmpegError):
                opened.seek(info.keyframe_pts[-1], stream=stream)
        with suppress(av.FFmpegError):
            for packet in opened.demux(stream):
                if packet.pts == last and packet.duration:
                    return packet.duration
    return usual
