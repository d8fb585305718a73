"""Mux a target: the parts' video in place of the source's, and every other stream copied."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
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
from facepipe.video.muxing.joints import check_joints
from facepipe.video.muxing.options import is_copied, merged_metadata, muxer_options
from facepipe.video.muxing.readback import Written, check_audio, count_back, silent
from facepipe.video.muxing.subtitles import converted_to
from facepipe.video.muxing.target_streams import MuxJob, add_streams
from facepipe.video.pyav.mpegts import transport_of
from facepipe.video.pyav.texts import TEXTS
from facepipe.video.sources import as_facepipe_error, open_source, replacing
from facepipe.video.timestamps import durations

#: Packets of audio of which something is heard, though an encoder's delay is skipped.
_HEARD = 4


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
        given, main = _write(job, times, temporary)
        indices, written = count_back(temporary, target, given, main)
        check_audio(temporary, target, list(zip(indices, given, strict=False)), info)
        check_joints(written, target, parts, info)


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
    given, main = _write(job, video.times(), target)
    indices, _ = count_back(target, target, given, main)
    heard = [one for one in zip(indices, given, strict=False) if one[1].packets >= _HEARD]
    for _ in silent(target, heard, info, max_packets):
        raise MediaError("its audio does not decode when it is read back")


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


def _write(job: MuxJob, times: Sequence[int], target: Path) -> tuple[list[Written], int]:
    """Write the target, `times` of its frames; what each stream was given, and which is the video.

    Streams come as `count_back` counts them.
    """
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
        order, main = streams.order, streams.order.index(streams.video.index)
        origins = {copy.index: source.index for copy, source in streams.copies.values()}
        extra = extra_boxes(job, opened, streams)
        out.close()  # PyAV 19 forgets the streams then
        extra.put_into(target)
        given = (replace(written.get(i, Written()), source=origins.get(i)) for i in order)
        return list(given), main


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
