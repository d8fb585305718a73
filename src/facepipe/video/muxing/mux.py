"""Mux a target: the parts' video in place of the source's, and every other stream copied."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import av
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Stream

from facepipe.datatypes import Part, VideoInfo
from facepipe.errors import MediaError, OutputError
from facepipe.video.containers import MPEGTS, Container, container_of
from facepipe.video.encoders.settings import EncodeSettings, find_encoder
from facepipe.video.muxing.concat import VideoPackets, last_duration
from facepipe.video.muxing.copy import Copier, shifted_chapters
from facepipe.video.muxing.extra_boxes import extra_boxes
from facepipe.video.muxing.options import is_copied, merged_metadata, muxer_options
from facepipe.video.muxing.subtitles import converted_to
from facepipe.video.muxing.target_streams import MuxJob, add_streams
from facepipe.video.pyav.mpegts import transport_of
from facepipe.video.pyav.texts import TEXTS
from facepipe.video.sources import as_facepipe_error, open_source, replacing
from facepipe.video.streams import is_cover, is_written_by_muxer
from facepipe.video.timestamps import durations

_NOTHING_SHOWN = b"\0\0"  # what mov and mp4 put between subtitles


@dataclass
class Written:
    """Packets and bytes of one stream, as written or as read back."""

    packets: int = 0
    size: int = 0  # bytes

    def count(self, packet: Packet[Stream]) -> None:
        """Count a packet, but for the pauses that a muxer puts between subtitles."""
        if packet.size != len(_NOTHING_SHOWN) or bytes(packet) != _NOTHING_SHOWN:
            self.packets += 1
            self.size += packet.size


def mux(
    parts: Sequence[Part],
    source: Path,
    info: VideoInfo,
    target: Path,
    *,
    settings: EncodeSettings,
    metadata: Mapping[str, str],
    window: tuple[int, int] | None = None,
    leave_out: Collection[int] = (),
) -> None:
    """Write the parts' video in place of the source's, and copy every other stream.

    `parts` cover the video in order; those whose span is copied stand for the source's own packets.
    `metadata` is added to the container's keys, appended where the source has one. `window` is
    the half-open pts range that was rendered when the user trims: other streams are cut to it and
    it starts at 0. `leave_out` are indices of source streams not to be copied.

    The target appears under its name only when it is whole and was read back. Errors: UsageError
    for an unknown suffix, MediaError for what the container refuses or counts that disagree,
    OutputError when the disk refuses.
    """
    if not target.absolute().parent.is_dir():
        raise OutputError(f"the folder of {target} does not exist; make it first")
    container = container_of(target)
    codec = find_encoder(settings.codec).canonical_name
    _check_streams(source, info, container, codec, leave_out)
    video = VideoPackets(parts, source, info)
    times = video.times()
    expected = sum(part.frames for part in parts)
    if len(times) != expected:
        raise MediaError(f"the parts hold {len(times)} frames, {expected} were expected")
    job = MuxJob(video, container, leave_out, metadata, window)
    with replacing(target) as temporary:
        _verify(temporary, target, _write(job, times, temporary))


def write_head(
    part: Part,
    source: Path,
    info: VideoInfo,
    target: Path,
    *,
    leave_out: Collection[int],
    max_packets: int,
) -> None:
    """Write a target of one part with the first packets, `max_packets` of each other stream.

    Errors: as `mux`, and FFmpegError or ValueError where the container refuses a stream.
    """
    video = VideoPackets([part], source, info)
    job = MuxJob(video, container_of(target), leave_out, max_packets=max_packets)
    _verify(target, target, _write(job, video.times(), target))


def _check_streams(
    source: Path, info: VideoInfo, container: Container, codec: str, leave_out: Collection[int]
) -> None:
    """Raise MediaError for what the muxer would refuse; `check_target` asks before the work."""
    muxer = container.muxer
    if not container.takes(codec):
        raise MediaError(f"{muxer} cannot hold video of {codec}")
    with open_source(source) as opened:
        for stream in opened.streams:
            if stream.index == info.stream_index or not is_copied(stream, leave_out):
                continue
            why = None if converted_to(stream, container) else container.refusal(stream)
            if why is not None:
                raise MediaError(f"{muxer} cannot hold stream {stream.index} ({why}); leave it out")


def _write(job: MuxJob, times: Sequence[int], target: Path) -> list[Written]:
    """Write the target, `times` of its frames; what each stream was given, as of `_counted`."""
    info, container = job.video.info, job.container
    start = round(job.earlier / info.time_base)
    last = last_duration(info, max(times))
    times = [time - start for time in times]
    lasting = durations(times, last)
    earliest = min(0, *times) if container.dts_from_zero else None
    with open_source(job.video.source) as opened:
        metadata, options = _metadata_and_options(job, opened)
        out: OutputContainer = av.open(
            str(target),
            "w",
            format=container.muxer,
            container_options=options,
            **TEXTS,
        )
        try:
            streams = add_streams(out, opened, job)
            out.metadata.update(metadata)
            out.set_chapters(shifted_chapters(opened.chapters(), job))
            _start(out, container)
            packets = job.video.timed(times, lasting, earliest)
            written = _interleave(out, streams.video, packets, Copier(opened, streams, job))
        except BaseException:
            # Closing writes an index; without the file it gives up at once.
            with suppress(OSError):
                target.unlink(missing_ok=True)
            with suppress(av.FFmpegError):
                out.close()
            raise
        order, extra = streams.order, extra_boxes(job, opened, streams)
        out.close()  # PyAV 19 forgets the streams then
        extra.put_into(target)
        return [written.get(index, Written()) for index in order]


def _metadata_and_options(
    job: MuxJob, opened: InputContainer
) -> tuple[dict[str, str], dict[str, str]]:
    """The target's metadata and the muxer's options, with names and numbers of programs."""
    metadata = merged_metadata(opened.metadata, job.metadata)
    is_transport = MPEGTS.matches(opened.format.name)
    transport = transport_of(job.video.source) if is_transport else None
    if transport is not None:
        metadata = transport.names | metadata
    options = muxer_options(job.container, job.video.info, opened, metadata)
    if transport is not None and job.container.program_ids:
        options |= transport.options
    return metadata, options


def _start(out: OutputContainer, container: Container) -> None:
    try:
        out.start_encoding()
    except (ValueError, av.FFmpegError) as error:
        raise as_facepipe_error(error, f"starting a {container.muxer} file") from error


def _interleave(
    out: OutputContainer,
    video: av.VideoStream,
    packets: Iterator[Packet[Stream]],
    copier: Copier,
) -> dict[int, Written]:
    """Write both sources of packets in the order of their decoding times."""
    written: dict[int, Written] = {}
    for packet in heapq.merge(_bound(packets, video), copier.packets(), key=_seconds):
        written.setdefault(packet.stream.index, Written()).count(packet)
        out.mux_one(packet)
    return written


def _bound(packets: Iterator[Packet[Stream]], stream: Stream) -> Iterator[Packet[Stream]]:
    for packet in packets:
        packet.stream = stream
        yield packet


def _seconds(packet: Packet[Stream]) -> float:
    time = packet.dts if packet.dts is not None else packet.pts
    return float("-inf") if time is None else float(time * packet.time_base)


def _verify(written: Path, target: Path, expected: Sequence[Written]) -> None:
    """Read the file back; MediaError when a packet of any stream is missing or too many."""
    with open_source(written) as opened:
        found = {stream.index: Written() for stream in _counted(opened)}
        for packet in opened.demux():
            if packet.size and packet.stream.index in found:
                found[packet.stream.index].count(packet)
    there = [*found.values(), *(Written() for _ in expected)]
    for number, (given, kept) in enumerate(zip(expected, there, strict=False)):
        # Some containers cut PCM anew, and some give each packet a head of its own.
        if kept.packets != given.packets and kept.size != given.size:
            raise MediaError(
                f"{target.name} was not written right: stream {number} has {kept.packets} of "
                f"{given.packets} packets"
            )


def _counted(opened: InputContainer) -> list[Stream]:
    """The streams that hold packets of ours, covers last, as most containers put them there."""
    copied = [s for s in opened.streams if s.type != "attachment" and not is_written_by_muxer(s)]
    return sorted(copied, key=lambda stream: (is_cover(stream), stream.index))
