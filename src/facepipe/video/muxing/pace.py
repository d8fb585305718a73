"""Constant rates: exact times of frames and sound where the source's own ticks round them.

Matroska and FLV count in milliseconds, in which no frame of 30000/1001 a second and no packet of
1024 samples begins. A target that counts in finer ticks gets the times that were rounded.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream

from facepipe.datatypes import VideoInfo
from facepipe.video.containers import Container
from facepipe.video.streams import codec_name, has_decoder, is_cover
from facepipe.video.timestamps import constant_rate

_LEAST_TICKS = 10_000  # a second, which time scales have at least
_MOST_TICKS = 1_000_000
#: Samples of each packet, where the header does not say how many.
_USUAL = {"aac": 1024, "mp2": 1152, "mp3": 1152, "ac3": 1536}
_LACED = 32  # packets in one block of Matroska, at most, as programs write it
_SKIPPED = 4  # bytes of side data that say how many samples are skipped at the start
#: Seconds of a packet of Opus, by the first five bits of it (RFC 6716, 3.1).
_OPUS = (
    *(Fraction(ms, 1000) for ms in (10, 20, 40, 60) * 3),
    *(Fraction(ms, 1000) for ms in (10, 20) * 2),
    *(Fraction(ms, 10_000) for ms in (25, 50, 100, 200) * 4),
)


@dataclass(frozen=True)
class FramePace:
    """How a source's pts become ticks of the target, each of `time_base` seconds.

    Frames that come at a constant rate are `step` ticks apart: the one of pts `origin` is at tick
    `begin`, and `ratio` are frames for each tick of the source. Otherwise the ticks are the
    source's own, and `ratio` is None.
    """

    time_base: Fraction
    origin: int = 0
    begin: int = 0
    step: int = 1
    ratio: Fraction | None = None

    def at(self, pts: int) -> int:
        """The tick of a frame, or of the place where one would be."""
        if self.ratio is None:
            return pts
        return self.begin + round((pts - self.origin) * self.ratio) * self.step

    def lasting(self, pts: int, duration: int) -> int:
        """Ticks that a frame is shown which has a `duration` in the source's."""
        return max(self.at(pts + duration) - self.at(pts), 1 if self.ratio is None else self.step)


def frame_pace(info: VideoInfo, container: Container) -> FramePace:
    """The pace of a target's frames."""
    same = FramePace(info.time_base)
    if container.tick is not None and container.tick >= info.time_base:
        return same
    steps = [two - one for one, two in pairwise(info.pts)]
    if not steps or math.gcd(*steps) == min(steps):
        return same  # the source's ticks hold them as they are
    found = constant_rate(info.pts, info.time_base)
    pace = _steady(info.pts, info.time_base, found[0]) if found is not None else None
    return pace or same


def _steady(pts: Sequence[int], time_base: Fraction, rate: Fraction) -> FramePace | None:
    """The pace of frames at a constant rate; None where it is another, or ticks hold it as it is.

    No frame is moved by more than half a tick, which is what rounding moved it by.
    """
    scale = rate.numerator * _factor(rate.numerator)
    ratio = rate * time_base
    if len(pts) < 2 or ratio.numerator == 1 or 2 * ratio > 1 or scale > _MOST_TICKS:
        return None
    late = _lateness(pts, ratio)
    if late is None:
        return None
    begin = (pts[0] + late) * time_base * scale
    return FramePace(Fraction(1, scale), pts[0], round(begin), round(scale / rate), ratio)


def _lateness(pts: Sequence[int], ratio: Fraction) -> Fraction | None:
    """Ticks from the first pts to where frames begin, `ratio` of which are in a tick.

    The one nearest to 0 which no frame is more than half a tick off; None: there is none.
    """
    over, under = ratio.numerator, ratio.denominator
    since = [(time - pts[0]) * over for time in pts]
    numbers = [(2 * time + under) // (2 * under) for time in since]
    if any(two <= one for one, two in pairwise(numbers)):
        return None
    late = [time - number * under for time, number in zip(since, numbers, strict=True)]
    lowest, highest = max(late) - Fraction(over, 2), min(late) + Fraction(over, 2)
    return min(max(Fraction(0), lowest), highest) / over if lowest <= highest else None


def _factor(numerator: int) -> int:
    factor = 1
    while numerator * factor < _LEAST_TICKS:
        factor *= 10
    return factor


def sound_base(stream: Stream, container: Container) -> Fraction | None:
    """One sample, in seconds, where a copy's times are counted in samples; None: they stay.

    Muxers of mp4 and mov count sound so, and would round once more what the source has rounded.
    Transport streams have finer ticks than the sources that round.
    """
    if not isinstance(stream, av.AudioStream) or is_cover(stream) or not stream.time_base:
        return None
    if not container.isobmff and (container.tick or 1) >= stream.time_base:
        return None
    if not has_decoder(stream) or not stream.codec_context.sample_rate:
        return None
    base = Fraction(1, stream.codec_context.sample_rate)
    return base if _is_rounded(stream, stream.time_base, base) else None


def _is_rounded(stream: av.AudioStream, tick: Fraction, sample: Fraction) -> bool:
    """Whether the source's ticks round the times of a stream's packets."""
    if codec_name(stream) == "opus":
        return sample < tick
    lasting = _frame(stream)
    return lasting is not None and (lasting / tick).denominator != 1


def sound_lengths(opened: InputContainer) -> dict[int, Fraction]:
    """Seconds of each packet of the sounds in which all have the same, by the streams' ids."""
    known = [stream for stream in opened.streams.audio if has_decoder(stream)]
    found = {stream.id: _frame(stream) for stream in known if stream.codec_context.sample_rate}
    return {number: lasting for number, lasting in found.items() if lasting}


def _frame(stream: av.AudioStream) -> Fraction | None:
    """Seconds of each packet, where all have the same."""
    context, rate = stream.codec_context, stream.codec_context.sample_rate
    size = context.frame_size or _USUAL.get(codec_name(stream), 0)
    return Fraction(size, rate) if size else None


class SoundPace:
    """Times the packets of one stream in samples, `base` seconds each.

    Packets follow each other as their lengths say, as long as the source says the same but for its
    ticks. Times of packets that lie in one block of Matroska (lacing) are off by more.
    """

    def __init__(self, stream: Stream, base: Fraction) -> None:
        assert isinstance(stream, av.AudioStream)
        self._base, self._tick = base, Fraction(stream.time_base or 1)
        self._lasting = None if codec_name(stream) == "opus" else _frame(stream)
        self._due: int | None = None
        self._off = 0  # packets in a row whose times are off

    def place(self, packet: Packet[Stream]) -> None:
        """Give a packet its time in samples."""
        if packet.pts is None:
            self._due = None
            return
        time = packet.pts * Fraction(packet.time_base)
        due, lasting = self._due, self._samples(packet)
        if due is None:
            due = -_skipped(packet)  # which is where sound begins, if anything is skipped
        late = abs(time - due * self._base)
        self._off = self._off + 1 if late > self._tick else 0
        if late > max(lasting * self._base / 2, self._tick) or self._off > _LACED:
            due, self._off = round(time / self._base), 0
        packet.duration = lasting or round((packet.duration or 0) * packet.time_base / self._base)
        packet.time_base = self._base
        packet.pts = packet.dts = due
        self._due = due + lasting if lasting else None

    def _samples(self, packet: Packet[Stream]) -> int:
        """How many samples a packet holds; 0 where that is not known, or not as its length says."""
        seconds = self._lasting or _opus_seconds(packet)
        told = packet.duration * packet.time_base if packet.duration else seconds
        return round(seconds / self._base) if abs(told - seconds) <= self._tick else 0


def _skipped(packet: Packet[Stream]) -> int:
    """Samples that players skip at the start of a packet."""
    if not packet.has_sidedata("skip_samples"):
        return 0
    return int.from_bytes(bytes(packet.get_sidedata("skip_samples"))[:_SKIPPED], "little")


def _opus_seconds(packet: Packet[Stream]) -> Fraction:
    data = memoryview(packet)
    if not len(data):
        return Fraction(0)
    first, code = data[0], data[0] & 3
    count = 1 if code == 0 else 2
    if code == 3:
        count = data[1] & 63 if len(data) > 1 else 0
    return _OPUS[first >> 3] * count
