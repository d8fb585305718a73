"""The target's video packets in order: of rendered parts, and of the source where it is copied."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import Literal, NamedTuple

import av
from av.packet import Packet, PacketSideData, packet_sidedata_type_from_literal
from av.stream import Stream

from facepipe.datatypes import Part, Span, VideoInfo
from facepipe.errors import MediaError
from facepipe.video.bitstream import (
    annex_b,
    has_parameter_sets,
    in_annex_b,
    nal_length_size,
    parameter_sets,
)
from facepipe.video.clock import timed
from facepipe.video.encode import part_shift
from facepipe.video.frame_packets import frame_packets
from facepipe.video.headers import without_header
from facepipe.video.sources import open_source
from facepipe.video.timestamps import usual_duration

_ANNEX_B = ("h264", "hevc")
_ALPHA: Literal["matroska_block_additional"] = "matroska_block_additional"


class CodedTimes(NamedTuple):
    """The pts of packets in decoding order, and those of keyframes among them."""

    pts: list[int]
    keyframes: frozenset[int]


class VideoPackets:
    """Reads the video packets that the parts stand for.

    `sample` is the first rendered part, None where all is copied; `copies` says whether some are.
    Where rendered and copied parts of H.264 or HEVC meet (`mixed`), all packets have start codes
    (Annex B), and `extradata` is that of the target's stream; None: that of its template.
    """

    def __init__(self, parts: Sequence[Part], source: Path, info: VideoInfo) -> None:
        """Raises MediaError for a part that is damaged, or encoded otherwise than the others."""
        self._parts = parts
        self.source = source
        self.info = info
        rendered = [Path(part.path) for part in parts if not part.span.copied]
        self._headers = {str(path): _header(path) for path in rendered}
        self._codec = _codec(rendered[0]) if rendered else info.codec
        self._differ = len(set(self._headers.values())) > 1
        if self._differ and self._codec not in _ANNEX_B:
            raise MediaError("parts were encoded with different settings; render them again")
        self.sample = next(iter(rendered), None)
        self.copies = len(rendered) < len(parts)
        self.mixed = len(rendered) not in (0, len(parts)) and self._codec in _ANNEX_B
        self.extradata: bytes | None = None
        self._own_parameter_sets, self._nal_length_size = b"", None
        if self.mixed:
            self._nal_length_size = nal_length_size(info.codec, info.extradata)
            self._own_parameter_sets = in_annex_b(parameter_sets(info.codec, info.extradata))
            ours = self._headers[str(rendered[0])] if info.codec == "h264" else b""
            self.extradata = self._own_parameter_sets + ours

    @property
    def scale(self) -> int:
        """How many times larger than the source the frames are."""
        if self.sample is None:
            return 1
        with av.open(str(self.sample.absolute())) as container:
            return max(container.streams.video[0].width // self.info.width, 1)

    def times(self) -> CodedTimes:
        """The pts of every packet in the source's time base.

        Those of copied packets are known from `info`: only the parts are read.
        """
        found: list[int] = []
        keyframes: set[int] = set()
        for part in self._parts:
            span = part.span
            if span.copied:
                found += [pts for pts in self.info.coded_pts if span.start <= pts < span.stop]
                keyframes.update(t for t in self.info.keyframe_pts if span.start <= t < span.stop)
                continue
            for pts, packet in _part_packets(Path(part.path), self.info):
                found.append(pts)
                keyframes.update([pts] if packet.is_keyframe else [])
        return CodedTimes(found, frozenset(keyframes))

    def timed(
        self, schedule: Iterable[tuple[int, int]], durations: Mapping[int, int], base: Fraction
    ) -> Iterator[Packet[Stream]]:
        """The packets with the target's pts and dts, `durations` by pts, in ticks of `base`."""
        times = iter(schedule)
        for _, packet, part in self._read():
            pts, dts = next(times)
            whole = self._with_parameter_sets(packet, part)
            whole.time_base = base
            whole.pts, whole.dts, whole.duration = pts, dts, durations[pts]
            yield whole

    def _read(self) -> Iterator[tuple[int, Packet[Stream], Part]]:
        with ExitStack() as stack:
            own: Iterator[Packet[Stream]] | None = None
            for part in self._parts:
                if not part.span.copied:
                    for pts, packet in _part_packets(Path(part.path), self.info):
                        yield pts, packet, part
                    continue
                if own is None:
                    opened = stack.enter_context(open_source(self.source))
                    stream = opened.streams[self.info.stream_index]
                    own = frame_packets(timed(opened, self.info.clock, stream), stream)
                for packet in _copied(own, part, self.source):
                    assert packet.pts is not None
                    yield packet.pts, packet, part

    def _with_parameter_sets(self, packet: Packet[Stream], part: Part) -> Packet[Stream]:
        """The packet with the parameter sets that it needs in its place, if it does."""
        if part.span.copied:
            return self._copy_with_parameter_sets(packet) if self.mixed else packet
        prefix = b""
        # Parts differ where some spans are interlaced and others are not.
        if packet.is_keyframe and (self._differ or (self.mixed and self._codec == "hevc")):
            prefix = self._headers[part.path]
        return _prefixed(packet, prefix, bytes(packet)) if prefix else packet

    def _copy_with_parameter_sets(self, packet: Packet[Stream]) -> Packet[Stream]:
        prefix, data = b"", bytes(packet)
        if packet.is_keyframe and self._codec == "hevc":
            brought = has_parameter_sets(self._codec, data, self._nal_length_size)
            prefix = b"" if brought else self._own_parameter_sets
        if not prefix and self._nal_length_size is None:
            return packet
        return _prefixed(packet, prefix, annex_b(data, self._nal_length_size))


def _prefixed(packet: Packet[Stream], parameter_sets: bytes, data: bytes) -> Packet[Stream]:
    made: Packet[Stream] = Packet(parameter_sets + data)
    made.is_keyframe = packet.is_keyframe
    return made


def _copied(
    packets: Iterator[Packet[Stream]], part: Part, source: Path
) -> Iterator[Packet[Stream]]:
    """The next packets of the source that lie within the part's span."""
    span: Span = part.span
    left = part.frames
    while left:
        try:
            packet = next(packets)
        except (StopIteration, av.FFmpegError) as error:
            raise MediaError(
                f"{source}: {left} packets from pts {span.start} to {span.stop} are no longer there"
            ) from error
        inside = packet.size and packet.pts is not None and span.start <= packet.pts < span.stop
        if inside and not packet.is_discard:
            left -= 1
            yield without_header(packet)


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
        raise _damaged(part, error) from error


def _header(part: Path) -> bytes:
    try:
        with av.open(str(part.absolute())) as container:
            return container.streams.video[0].codec_context.extradata or b""
    except (av.FFmpegError, IndexError) as error:
        raise _damaged(part, error) from error


def _codec(part: Path) -> str:
    with av.open(str(part.absolute())) as container:
        return str(container.streams.video[0].codec_context.codec.canonical_name)


def _damaged(part: Path, error: Exception) -> MediaError:
    return MediaError(f"part {part.name} is damaged: {error}; render it again")


def has_alpha_packets(part: Path) -> bool:
    """Whether a part has its alpha in the packets' side data, as VP9 does."""
    with av.open(str(part.absolute())) as container:
        first = next(packet for packet in container.demux(container.streams.video[0]))
        return first.has_sidedata(_ALPHA)


def _mend_alpha(packet: Packet[Stream]) -> None:
    """Cut off the number that NUT gives back in front of a packet's side data with VP9's alpha.

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


def last_duration(info: VideoInfo, last: int) -> int:
    """How long the last frame is shown: up to the source's next one, or as the source says."""
    after = [time for time in info.pts if time > last]
    if after:
        return after[0] - last
    # The last frame may have been moved by a tick from another's time.
    return info.end - last if info.end is not None and info.end > last else usual_duration(info.pts)
