"""Videos whose headers change on the way, as editors, recorders and live streams leave them."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
from av.container import OutputContainer
from av.packet import Packet, PacketSideData, packet_sidedata_type_from_literal
from av.stream import Stream

Make = Callable[[Path], Path]

_AUDIO, _VIDEO = 8, 9  # kinds of tags in FLV
_CODEC_BITS = {_AUDIO: (0xF0, 0xA0), _VIDEO: (0x0F, 0x07)}  # AAC and H.264 in a tag's first byte


def rejoined(path: Path, videos: Sequence[Make], through: str = ".mp4") -> Path:
    """Write videos one after the other, each stream going on under the next video's header.

    Those are sample descriptions in mp4 and mov, sequence headers in FLV, and stand in the packets
    of a transport stream. All videos have the same streams; `through` is what they are made in.
    """
    with tempfile.TemporaryDirectory() as folder, av.open(str(path), "w") as out:
        streams: list[Stream] = []
        begin = Fraction(0)
        for number, make in enumerate(videos):
            made = make(Path(folder) / f"{number}{through}")
            begin = _appended(out, made, streams, begin)
    return path


def _appended(
    out: OutputContainer, video: Path, streams: list[Stream], begin: Fraction
) -> Fraction:
    """Write a video's packets from `begin` on, in seconds; where they end."""
    with av.open(str(video)) as given:
        waiting = set(range(len(streams)))  # streams that go on under another header
        if not streams:
            for source in given.streams:
                streams.append(out.add_stream_from_template(source, opaque=True))
                streams[-1].time_base = source.time_base
        packets = [packet for packet in given.demux() if packet.size]
        early = [Fraction(p.dts) * p.time_base for p in packets if p.dts is not None]
        shift = begin - min(Fraction(0), *early) if begin else begin
        end = begin
        for packet in packets:
            assert packet.pts is not None
            assert packet.dts is not None
            number = packet.stream_index
            own = streams[number].time_base or Fraction(1)
            times = [Fraction(time) * packet.time_base for time in (packet.pts, packet.dts)]
            lasting = (packet.duration or 0) * packet.time_base
            end = max(end, times[0] + shift + lasting)
            if number in waiting:
                waiting.discard(number)
                _put_header(packet, given.streams[number].codec_context.extradata or b"")
            packet.pts, packet.dts = (round((time + shift) / own) for time in times)
            packet.duration, packet.time_base = round(lasting / own), own
            packet.stream = streams[number]
            out.mux_one(packet)
    return end


def _put_header(packet: Packet[Stream], header: bytes) -> None:
    kind = packet_sidedata_type_from_literal("new_extradata")
    side = PacketSideData(kind, len(header))  # type: ignore[call-arg]
    side.update(header)
    packet.set_sidedata(side)


def headers_repeated(path: Path, video: Make, every: int = 20) -> Path:
    """An FLV video that has its sequence headers again every so many tags, as live streams do."""
    with tempfile.TemporaryDirectory() as folder:
        data = video(Path(folder) / "video.flv").read_bytes()
    head, tags = data[:13], list(_tags(data[13:]))
    headers = [tag for tag in tags if _is_header(tag)]
    made = [head]
    for number, tag in enumerate(tags):
        if number and number % every == 0 and not _is_header(tag):
            made += [header[:4] + tag[4:8] + header[8:] for header in headers]  # its time
        made.append(tag)
    path.write_bytes(b"".join(made))
    return path


def _tags(data: bytes) -> Iterator[bytes]:
    """The tags of FLV, each with its size behind it."""
    at = 0
    while at < len(data):
        size = 11 + int.from_bytes(data[at + 1 : at + 4], "big") + 4
        yield data[at : at + size]
        at += size


def _is_header(tag: bytes) -> bool:
    """Whether a tag holds the header of AAC or H.264."""
    mask, codec = _CODEC_BITS.get(tag[0], (0, 1))
    return tag[11] & mask == codec and tag[12] == 0
