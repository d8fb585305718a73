"""Mux a target: the parts' video in place of the source's, and every other stream copied."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Stream

from facepipe.datatypes import Part, VideoInfo
from facepipe.errors import MediaError, OutputError
from facepipe.video.containers import MPEGTS, Container, container_of
from facepipe.video.encoders.settings import EncodeSettings, find_encoder
from facepipe.video.muxing.blocks import block_lags, sort_by_block_time
from facepipe.video.muxing.concat import CodedTimes, VideoPackets, last_duration
from facepipe.video.muxing.copy import Copier, shifted_chapters
from facepipe.video.muxing.extra_boxes import extra_boxes
from facepipe.video.muxing.fragments import fragment_flags
from facepipe.video.muxing.joints import check_joints
from facepipe.video.muxing.options import is_copied, merged_metadata, muxer_options, own_keys
from facepipe.video.muxing.pace import frame_pace, sound_lengths
from facepipe.video.muxing.readback import Written, check_audio, count_back, silent
from facepipe.video.muxing.subtitles import converted_to
from facepipe.video.muxing.target_streams import MuxJob, TargetStreams, add_streams, room_ahead
from facepipe.video.muxing.track_headers import (
    put_track_headers,
    shape_for_header,
    track_headers,
)
from facepipe.video.muxing.xmp_boxes import mark_keys
from facepipe.video.pyav.mpegts import transport_of
from facepipe.video.pyav.pes import packing_options
from facepipe.video.pyav.texts import TEXTS
from facepipe.video.sources import as_facepipe_error, open_source, replacing
from facepipe.video.streams import codec_name
from facepipe.video.timestamps import decode_times, durations

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
    fragmented: bool = False,
    note: str = "",
) -> Fraction:
    """Write the parts' video in place of the source's, and copy every other stream.

    Returns seconds by which all times of the target are earlier than the source's.

    `parts` cover the video in order; those whose span is copied stand for the source's own packets.
    `metadata` is added to the container's keys, appended where the source has one. `window` is
    the half-open pts range that was rendered when the user trims: other streams are cut to it and
    it starts at 0. `leave_out` are indices of source streams not to be copied. `fragmented`: an mp4
    or mov is written in fragments, each from a keyframe on. `note`: the target is marked as a
    network's work, in XMP with that description, or in a key of its metadata; empty: it is not.

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
    if len(times.pts) != expected:
        raise MediaError(f"the parts hold {len(times.pts)} frames, {expected} were expected")
    metadata = {**metadata, **mark_keys(container, note)}
    job = MuxJob(video, container, leave_out, metadata, window, fragmented=fragmented, note=note)
    with replacing(target) as temporary:
        given, main, earlier = _write(job, times, temporary)
        indices, written = count_back(temporary, target, given, main)
        check_audio(temporary, target, list(zip(indices, given, strict=False)), info)
        check_joints(written, target, parts, info)
    return earlier


def write_head(
    part: Part,
    source: Path,
    info: VideoInfo,
    target: Path,
    *,
    leave_out: Collection[int],
    max_packets: int,
    fragmented: bool = False,
) -> None:
    """Write a target of one part with the first packets, `max_packets` of each other stream.

    Errors: as `mux`, and FFmpegError or ValueError where the container refuses a stream.
    """
    video = VideoPackets([part], source, info)
    job = MuxJob(
        video, container_of(target), leave_out, max_packets=max_packets, fragmented=fragmented
    )
    given, main, _ = _write(job, video.times(), target)
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


def _write(job: MuxJob, times: CodedTimes, target: Path) -> tuple[list[Written], int, Fraction]:
    """Write the target, `times` of its frames.

    Returns what each stream was given, as `count_back` counts them, which of them is the video, and
    seconds by which all times are earlier than the source's.
    """
    container = job.container
    with open_source(job.video.source) as opened:
        pace = frame_pace(job.video.info, container)
        job = replace(job, pace=pace, headers=track_headers(job.video.source, opened))
        job, schedule, lasting = _scheduled(job, times)
        metadata, options = _metadata_and_options(job, opened)
        if job.fragmented and container.isobmff:
            options["movflags"] = fragment_flags(job)
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
            packets = job.video.timed(schedule, lasting, job.pace.time_base)
            lead = (schedule[0][0] - schedule[0][1]) * job.pace.time_base
            lags = block_lags(streams, container, lead)
            written = _interleave(out, streams, packets, Copier(opened, streams, job), lags)
        except BaseException:
            # Closing writes an index; without the file it gives up at once.
            with suppress(OSError):
                target.unlink(missing_ok=True)
            with suppress(av.FFmpegError):
                out.close()
            raise
        order, main = streams.order, streams.order.index(streams.video.index)
        origins = {copy.index: source.index for copy, source in streams.copies.values()}
        extra = extra_boxes(job, opened, streams, own_keys(metadata, container))
        sources, main_source = streams.sources, streams.original.index
        codec, aspect = codec_name(streams.video), job.video.info.sample_aspect_ratio
        shape = shape_for_header(codec, aspect, container)
        out.close()  # PyAV 19 forgets the streams then
        extra.put_into(target)
        if container.ebml:
            put_track_headers(job.headers, target, sources, main_source, shape)
        given = (replace(written.get(i, Written()), source=origins.get(i)) for i in order)
        return list(given), main, job.earlier


def _scheduled(
    job: MuxJob, times: CodedTimes
) -> tuple[MuxJob, list[tuple[int, int]], dict[int, int]]:
    """The job with room ahead of its first packet; pts and dts of frames, and durations by pts."""
    info, pace = job.video.info, job.pace
    last = max(times.pts)
    pts = [pace.at(time) for time in times.pts]
    keyframes = {pace.at(time) for time in times.keyframes} if job.container.isobmff else ()
    dts = decode_times(pts, keyframes)
    job = replace(job, room=room_ahead(job, (min(pts) - dts[0]) * pace.time_base))
    start = round(job.earlier / pace.time_base)
    schedule = [(one - start, other - start) for one, other in zip(pts, dts, strict=True)]
    shown = [one for one, _ in schedule]
    return job, schedule, durations(shown, pace.lasting(last, last_duration(info, last)))


def _metadata_and_options(
    job: MuxJob, opened: InputContainer
) -> tuple[dict[str, str], dict[str, str]]:
    """The target's metadata and the muxer's options, with names and numbers of programs."""
    metadata = merged_metadata(opened.metadata, job.metadata)
    is_transport = MPEGTS.matches(opened.format.name)
    transport = transport_of(job.video.source) if is_transport else None
    if transport is not None:
        metadata = transport.names | metadata
    options = muxer_options(job.container, job.pace.time_base, opened)
    if transport is not None and job.container.program_ids:
        options |= transport.options
        if not any(other.headers for other in job.video.info.others):
            options |= packing_options(job.video.source, sound_lengths(opened))
    return metadata, options


def _start(out: OutputContainer, container: Container) -> None:
    try:
        out.start_encoding()
    except (ValueError, av.FFmpegError) as error:
        raise as_facepipe_error(error, f"starting a {container.muxer} file") from error


def _interleave(
    out: OutputContainer,
    streams: TargetStreams,
    packets: Iterator[Packet[Stream]],
    copier: Copier,
    lags: Mapping[int, int],
) -> dict[int, Written]:
    """Write both sources of packets in the order of their decoding times, less `lags` by index."""
    written: dict[int, Written] = {}
    for packet in heapq.merge(_bound(packets, streams.video), copier.packets(), key=_seconds):
        written.setdefault(packet.stream.index, Written()).count(packet)
        if lags:
            sort_by_block_time(packet, lags)
        out.mux_one(packet)
    return written


def _bound(packets: Iterator[Packet[Stream]], stream: Stream) -> Iterator[Packet[Stream]]:
    for packet in packets:
        packet.stream = stream
        yield packet


def _seconds(packet: Packet[Stream]) -> float:
    time = packet.dts if packet.dts is not None else packet.pts
    return float("-inf") if time is None else float(time * packet.time_base)
