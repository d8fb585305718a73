"""Join rendered parts with everything else that the source holds."""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.sidedata.sidedata import Type
from av.stream import Stream

from facepipe.datatypes import Part, VideoInfo
from facepipe.errors import MediaError, OutputError
from facepipe.video.containers import container_takes, muxer_of, refusal
from facepipe.video.encoders.settings import EncodeSettings, find_encoder
from facepipe.video.muxing.concat import FilmPackets, has_alpha_packets, last_duration
from facepipe.video.muxing.copy import Copier, shifted_chapters
from facepipe.video.muxing.options import (
    copied_time_base,
    is_copied,
    merged_metadata,
    muxer_options,
    settle_colour,
    settle_layout,
    stream_metadata,
)
from facepipe.video.muxing.priming import lead_ins, with_lead_in
from facepipe.video.muxing.subtitles import Captions, converted_to
from facepipe.video.pixel_formats import side_data
from facepipe.video.pyav.alpha import has_alpha_beside
from facepipe.video.pyav.mpegts import transport_of
from facepipe.video.sources import as_facepipe_error, demuxed, open_source, replacing
from facepipe.video.streams import codec_name, is_cover, is_made_anew
from facepipe.video.timestamps import durations

Window = tuple[int, int]
_NOTHING_SHOWN = b"\0\0"  # what mov and mp4 put between captions


@dataclass
class Written:
    """What a stream was given, or holds."""

    packets: int = 0
    size: int = 0  # bytes

    def count(self, packet: Packet[Stream]) -> None:
        """Count a packet, but for the pauses that a muxer puts between captions."""
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
    window: Window | None = None,
    leave_out: Collection[int] = (),
) -> None:
    """Write the parts' video in place of the source's, and copy every other stream.

    `parts` cover the film in order; those whose span is copied stand for the source's own packets.
    `metadata` is added to the container's keys, appended where the source has one. `window` is
    the half-open pts range that was rendered when the user trims: other streams are cut to it and
    it starts at 0. `leave_out` are indices of source streams not to be copied.

    The target appears under its name only when it is whole and was read back. Errors: UsageError
    for an unknown suffix, MediaError for what the container refuses or counts that disagree,
    OutputError when the disk refuses.
    """
    if not target.absolute().parent.is_dir():
        raise OutputError(f"the folder of {target} does not exist; make it first")
    codec = find_encoder(settings.codec).canonical_name
    _require_room(source, info, muxer_of(target), codec, leave_out)
    film = FilmPackets(parts, source, info)
    times = film.times()
    expected = sum(part.frames for part in parts)
    if len(times) != expected:
        raise MediaError(f"the parts hold {len(times)} frames, {expected} were expected")
    with replacing(target) as temporary:
        written = _write(film, source, info, temporary, times, metadata, window, leave_out)
        _verify(temporary, target, written)


def write_head(
    part: Part,
    source: Path,
    info: VideoInfo,
    target: Path,
    *,
    leave_out: Collection[int],
    most: int,
) -> None:
    """Write a film of one part with the first packets, at most `most`, of the other streams.

    Errors: as `mux`, and FFmpegError or ValueError where the container refuses a stream.
    """
    film = FilmPackets([part], source, info)
    written = _write(film, source, info, target, film.times(), {}, None, leave_out, most)
    _verify(target, target, written)


def _require_room(
    source: Path, info: VideoInfo, muxer: str, codec: str, leave_out: Collection[int]
) -> None:
    """Raise MediaError for what the muxer would refuse; `check_target` asks before the work."""
    if not container_takes(muxer, codec):
        raise MediaError(f"{muxer} cannot hold video of {codec}")
    with open_source(source) as opened:
        for stream in opened.streams:
            if stream.index == info.stream_index or not is_copied(stream, leave_out):
                continue
            why = None if converted_to(stream, muxer) else refusal(stream, muxer)
            if why is not None:
                raise MediaError(f"{muxer} cannot hold stream {stream.index} ({why}); leave it out")


def _write(
    film: FilmPackets,
    source: Path,
    info: VideoInfo,
    target: Path,
    times: list[int],
    metadata: Mapping[str, str],
    window: Window | None,
    leave_out: Collection[int],
    most: int | None = None,
) -> list[Written]:
    """Write the target; what each of its streams was given, in the order of `_counted`.

    Of the source, at most `most` packets are read.
    """
    muxer = muxer_of(target)
    start = window[0] if window is not None else 0
    times = [time - start for time in times]
    last = last_duration(info, max(times) + start)
    with ExitStack() as stack:
        opened = stack.enter_context(open_source(source))
        made = stack.enter_context(av.open(str(film.sample.absolute()))) if film.sample else None
        sample = made.streams.video[0] if made else None
        transport = transport_of(source) if "mpegts" in opened.format.name else None
        tags = merged_metadata(opened.metadata, metadata)
        if transport is not None:
            tags = transport.names | tags
        options = muxer_options(muxer, info, opened, tags)
        if transport is not None and muxer == "mpegts":
            options |= transport.options
        out = av.open(
            str(target),
            "w",
            format=muxer,
            container_options=options,
            metadata_errors="surrogateescape",
        )
        try:
            leads = lead_ins(source, opened, muxer) if window is None else {}
            video, copies, captions = _add_streams(
                out, opened, sample, source, info, muxer, leave_out, leads
            )
            if film.extradata is not None:
                video.codec_context.extradata = film.extradata
            own = opened.streams[info.stream_index]
            made_so = film.sample is not None and has_alpha_packets(film.sample)
            if made_so or (film.copies and has_alpha_beside(own)):
                video.metadata["alpha_mode"] = "1"
            out.metadata.update(tags)
            out.set_chapters(shifted_chapters(opened.chapters(), info, window))
            _start(out, muxer)
            copier = Copier(opened, copies, captions, info, window, muxer, most)
            # A transport stream holds no time below zero: one would move everything.
            earliest = min(0, *times) if muxer == "mpegts" else None
            packets = film.timed(times, durations(times, last), earliest)
            written = _interleave(out, video, packets, copier)
        except BaseException:
            # Closing writes an index; without the file it gives up at once.
            with suppress(OSError):
                target.unlink(missing_ok=True)
            with suppress(av.FFmpegError):
                out.close()
            raise
        out.close()
        covers = [copy.index for copy, stream in copies.values() if is_cover(stream)]
        films = [video.index, *(c.index for c, s in copies.values() if s.type != "attachment")]
        order = sorted(set(films) - set(covers)) + sorted(covers)
        return [written.get(index, Written()) for index in order]


def _add_streams(
    out: OutputContainer,
    opened: InputContainer,
    sample: av.VideoStream | None,
    source: Path,
    info: VideoInfo,
    muxer: str,
    leave_out: Collection[int],
    leads: Mapping[int, Fraction],
) -> tuple[av.VideoStream, dict[int, tuple[Stream, Stream]], dict[int, Captions]]:
    """The target's video stream, (target, source) by the index of each copied source stream.

    And what turns captions into the codec that the container takes, by index.
    """
    video: av.VideoStream | None = None
    copies: dict[int, tuple[Stream, Stream]] = {}
    captions: dict[int, Captions] = {}
    for stream in opened.streams:
        if stream.index == info.stream_index:
            assert isinstance(stream, av.VideoStream)
            video = _add_video(out, stream, sample or stream, source, info, muxer)
        elif is_copied(stream, leave_out):
            if is_cover(stream) and muxer == "matroska":
                _attach_cover(out, source, stream)
                continue
            codec = converted_to(stream, muxer)
            if codec is not None:
                captions[stream.index] = Captions(out, stream, codec)
                copy: Stream = captions[stream.index].stream
            else:
                copy = _add_copy(out, stream, muxer, leads.get(stream.index))
            copy.metadata.update(stream_metadata(stream, muxer, replaced=codec is not None))
            copy.disposition = stream.disposition
            copy.time_base = copied_time_base(stream, opened, muxer)
            if muxer == "mpegts" and "mpegts" in opened.format.name:
                copy.id = stream.id
            copies[stream.index] = (copy, stream)
    assert video is not None
    return video, copies, captions


def _add_copy(out: OutputContainer, stream: Stream, muxer: str, lead: Fraction | None) -> Stream:
    if lead is not None and isinstance(stream, av.AudioStream):
        with with_lead_in(stream, lead) as told:
            return out.add_stream_from_template(told.streams[0], opaque=True)
    copy = out.add_stream_from_template(stream, opaque=True)
    settle_layout(copy, muxer)
    return copy


def _add_video(
    out: OutputContainer,
    original: av.VideoStream,
    sample: av.VideoStream,
    source: Path,
    info: VideoInfo,
    muxer: str,
) -> av.VideoStream:
    video = out.add_stream_from_template(sample, opaque=True)
    video.time_base = info.time_base
    context = video.codec_context
    if original.average_rate:
        context.framerate = original.average_rate
    if info.sample_aspect_ratio is not None:
        context.sample_aspect_ratio = info.sample_aspect_ratio
    if muxer in ("mp4", "mov") and sample.codec_context.codec.canonical_name == "hevc":
        context.codec_tag = "hvc1"  # the only tag that Apple's players take
    if sample.codec_context.codec.canonical_name == "prores":
        context.codec_tag = sample.codec_context.codec_tag  # ProRes has its profile there
    picture = _first_picture(source, info)
    if picture is not None:
        settle_colour(context, picture, info)
        matrix = side_data(picture, Type.DISPLAYMATRIX)
        if matrix:  # the nine numbers that turn or mirror the picture when it is shown
            video.set_display_matrix(struct.unpack("=9i", matrix[:36]))
    video.metadata.update(stream_metadata(original, muxer, replaced=True))
    video.disposition = original.disposition
    if muxer == "mpegts" and "mpegts" in original.container.format.name:
        video.id = original.id
    return video


def _attach_cover(out: OutputContainer, source: Path, stream: Stream) -> None:
    # Matroska keeps covers as attachments, and they need their bytes before the header.
    with open_source(source) as opened:
        packets = demuxed(opened, opened.streams[stream.index])
        picture = next((bytes(packet) for packet in packets if packet.size), None)
    if picture is not None:
        codec = codec_name(stream)
        kind = {"mjpeg": "jpeg"}.get(codec, codec)
        name = stream.metadata.get("filename", f"cover.{kind.replace('jpeg', 'jpg')}")
        out.add_attachment(name, stream.metadata.get("mimetype", f"image/{kind}"), picture)


def _start(out: OutputContainer, muxer: str) -> None:
    try:
        out.start_encoding()
    except (ValueError, av.FFmpegError) as error:
        raise as_facepipe_error(error, f"starting a {muxer} file") from error


def _interleave(
    out: OutputContainer,
    video: av.VideoStream,
    packets: Iterator[Packet[Stream]],
    copier: Copier,
) -> dict[int, Written]:
    """Write both sources of packets in the order of their decoding times."""
    written: dict[int, Written] = {}
    due = next(packets, None)
    for packet in copier.packets():
        while due is not None and _seconds(due) <= _seconds(packet):
            due.stream = video
            written.setdefault(video.index, Written()).count(due)
            out.mux_one(due)
            due = next(packets, None)
        written.setdefault(packet.stream.index, Written()).count(packet)
        out.mux_one(packet)
    while due is not None:
        due.stream = video
        written.setdefault(video.index, Written()).count(due)
        out.mux_one(due)
        due = next(packets, None)
    return written


def _seconds(packet: Packet[Stream]) -> float:
    time = packet.dts if packet.dts is not None else packet.pts
    return float("-inf") if time is None else float(time * packet.time_base)


def _first_picture(source: Path, info: VideoInfo) -> av.VideoFrame | None:
    with open_source(source) as opened, suppress(av.FFmpegError):
        for frame in opened.decode(opened.streams[info.stream_index]):
            if isinstance(frame, av.VideoFrame):
                return frame
    return None


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
    copied = [s for s in opened.streams if s.type != "attachment" and not is_made_anew(s)]
    return sorted(copied, key=lambda stream: (is_cover(stream), stream.index))
