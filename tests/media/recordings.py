"""Recordings whose clocks begin anew or anywhere: joined files, and what they hold end to end."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
from av.container import OutputContainer
from av.packet import Packet
from av.stream import Stream

Make = Callable[[Path], Path]
#: Options with which the muxers keep the times that they are given.
_COPY_TIMES = {".ts": {"mpegts_copyts": "1"}, ".m2ts": {"mpegts_copyts": "1"}}
_FRAGMENTS = "frag_keyframe+empty_moov+default_base_moof"


def joined(path: Path, *makes: Make) -> Path:
    """The files that `makes` write, one behind the other, as `cat` joins them."""
    path.write_bytes(b"".join(one.read_bytes() for one in _made(path, makes)))
    return path


def end_to_end(path: Path, *makes: Make) -> Path:
    """The same recordings in one file with one clock: each begins where none overlaps any more."""
    packets: list[Packet[Stream]] = []
    ends: dict[int, Fraction] = {}
    with av.open(str(path), "w", container_options=_COPY_TIMES.get(path.suffix, {})) as out:
        streams: dict[int, Stream] = {}
        for recording in _made(path, makes):
            packets += _moved(recording, out, streams, ends)
        for packet in sorted(packets, key=_decoded_at):
            out.mux_one(packet)
    return path


def fragmented(path: Path, *, make: Make) -> Path:
    """The video of `make` as an mp4 in fragments."""
    made = make(path.with_name(f"whole-{path.name}"))
    with (
        av.open(str(made)) as given,
        av.open(str(path), "w", container_options={"movflags": _FRAGMENTS}) as out,
    ):
        copies = [out.add_stream_from_template(s, opaque=True) for s in given.streams]
        for packet in given.demux():
            if packet.size:
                packet.stream = copies[packet.stream.index]
                out.mux_one(packet)
    return path


def wrong_time(path: Path, *, make: Make, number: int, seconds: int) -> Path:
    """A transport stream of `make`, of which one packet of pictures is `seconds` late."""
    make(path)
    data, seen = bytearray(path.read_bytes()), 0
    for at in range(0, len(data), 188):
        body = at + 4 + (1 + data[at + 4] if data[at + 3] & 0x20 else 0)
        head = data[body : body + 4]
        if data[at + 1] & 0x40 and head[:3] == b"\x00\x00\x01" and head[3] & 0xF0 == 0xE0:
            if seen == number:
                for place in range(body + 9, body + 9 + data[body + 8] - 4, 5):
                    _set_later(data, place, seconds * 90000)
            seen += 1
    path.write_bytes(data)
    return path


def _set_later(data: bytearray, at: int, ticks: int) -> None:
    """Move one time of a packet's header (ISO/IEC 13818-1, 2.4.3.7)."""
    a, b, c = data[at], *(int.from_bytes(data[at + n : at + n + 2], "big") for n in (1, 3))
    time = ((a >> 1 & 7) << 30 | b >> 1 << 15 | c >> 1) + ticks
    data[at] = a & 0xF1 | (time >> 30 & 7) << 1
    data[at + 1 : at + 3] = ((time >> 15 & 0x7FFF) << 1 | 1).to_bytes(2, "big")
    data[at + 3 : at + 5] = ((time & 0x7FFF) << 1 | 1).to_bytes(2, "big")


def without_head(path: Path, *, make: Make, packets: int) -> Path:
    """A transport stream of `make` that begins after so many packets of pictures."""
    data = make(path.with_name(f"all-{path.name}")).read_bytes()
    with av.open(str(path.with_name(f"all-{path.name}"))) as container:
        places = [packet.pos for packet in container.demux(video=0) if packet.size]
    path.write_bytes(data[places[packets] :])
    return path


@dataclass
class _Recording:
    packets: list[Packet[Stream]] = field(default_factory=list)
    starts: dict[int, Fraction] = field(default_factory=dict)
    ends: dict[int, Fraction] = field(default_factory=dict)
    counts: dict[int, int] = field(default_factory=dict)


def _made(path: Path, makes: Sequence[Make]) -> list[Path]:
    return [make(path.with_name(f"{n}-{path.name}")) for n, make in enumerate(makes)]


def _moved(
    path: Path, out: OutputContainer, streams: dict[int, Stream], ends: dict[int, Fraction]
) -> list[Packet[Stream]]:
    """A recording's packets behind all that ended before; `ends` become its own."""
    with av.open(str(path)) as opened:
        for stream in opened.streams:
            if stream.index not in streams:
                made = out.add_stream_from_template(stream, opaque=True)
                made.time_base = stream.time_base
                streams[stream.index] = made
        found = _Recording()
        for packet in opened.demux():
            if packet.size and packet.pts is not None:
                index, base = packet.stream.index, Fraction(packet.time_base)
                begin, end = packet.pts * base, (packet.pts + (packet.duration or 0)) * base
                found.starts[index] = min(begin, found.starts.get(index, begin))
                found.ends[index] = max(end, found.ends.get(index, end))
                found.packets.append(packet)
                found.counts[index] = found.counts.get(index, 0) + 1
                packet.stream = streams[index]
    for index, count in found.counts.items():  # where packets do not say how long they last
        step = (found.ends[index] - found.starts[index]) / max(count - 1, 1)
        silent = not any(p.duration for p in found.packets if p.stream is streams[index])
        found.ends[index] += step if silent else 0
    shift = max((ends[i] - found.starts[i] for i in found.starts if i in ends), default=Fraction(0))
    tick = next(Fraction(s.time_base or 1) for s in streams.values() if s.type == "video")
    shift = math.ceil(shift / tick) * tick  # whole ticks of the pictures
    for packet in found.packets:
        ticks = round(shift / packet.time_base)
        packet.pts = (packet.pts or 0) + ticks
        packet.dts = packet.dts + ticks if packet.dts is not None else None
    ends.update({index: end + shift for index, end in found.ends.items()})
    return found.packets


def _decoded_at(packet: Packet[Stream]) -> Fraction:
    return (packet.dts if packet.dts is not None else packet.pts or 0) * Fraction(packet.time_base)
