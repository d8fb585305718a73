"""Stream copy: packets of the streams that are not enhanced, as they are and at their times."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream

from facepipe.video.clock import timed
from facepipe.video.muxing.handover import HeaderHandover
from facepipe.video.muxing.head import head_packets
from facepipe.video.muxing.pace import SoundPace, sound_base
from facepipe.video.muxing.target_streams import MuxJob, TargetStreams
from facepipe.video.streams import codec_name, header_of, is_cover

if TYPE_CHECKING:
    from av.container.core import Chapter  # known to type checkers alone


class Copier:
    """Reads the source's packets of the copied streams, cut to the window where there is one.

    The target must be started, so that its time bases are known.
    """

    def __init__(self, opened: InputContainer, streams: TargetStreams, job: MuxJob) -> None:
        self._opened = opened
        self._copies = streams.copies
        self._converters = streams.converters
        self._window = job.window
        self._info = job.video.info
        self._earlier = job.earlier
        self.container = job.container
        self._max_packets = job.max_packets
        self._last_dts: dict[int, int] = {}
        self._last_pts: dict[int, int] = {}
        self._begun: Counter[int] = Counter()
        self._paces = {
            index: SoundPace(source, base)
            for index, (_, source) in streams.copies.items()
            if index not in streams.converters
            and (base := sound_base(source, job.container)) is not None
        }
        self._headers = {
            index: HeaderHandover(codec_name(source), header_of(source), job.container)
            for index, (_, source) in streams.copies.items()
            if source.type in ("audio", "video") and not is_cover(source)
        }

    def packets(self) -> Iterator[Packet[Stream]]:
        """Packets in the source's order, each bound to its target stream."""
        for packet in self._read():
            target, source = self._copies[packet.stream.index]
            handover = self._headers.get(source.index)
            if handover is not None:
                handover.feed(packet)
            if not self._cut_to_window(packet, source):
                continue
            headed = packet if handover is None else handover.taken(packet)
            if headed is not None:  # else the check before the work has said so
                yield from self._bound(headed, source, target)
        for index, converter in self._converters.items():
            target, source = self._copies[index]
            for made in converter.rest():
                self._order(made, source, target)
                made.stream = target
                yield made

    def _bound(
        self, packet: Packet[Stream], source: Stream, target: Stream
    ) -> Iterator[Packet[Stream]]:
        """What a packet of the source becomes, timed for the target."""
        converter = self._converters.get(source.index)
        for made in converter.packets(packet) if converter else [packet]:
            if source.index in self._paces:
                self._paces[source.index].place(made)
            self._set_duration(made, source)
            self._order(made, source, target)
            made.stream = target
            yield made

    def _read(self) -> Iterator[Packet[Stream]]:
        wanted = [source for _, source in self._copies.values()]
        if not wanted:
            return
        if self._max_packets is None:
            packets = timed(self._opened, self._info.clock, *wanted)
        else:
            packets = head_packets(self._opened, wanted, self._info, self._max_packets)
        while True:
            try:
                packet = next(packets)
            except (StopIteration, av.FFmpegError):  # probe has reported what cannot be read
                return
            if packet.size:
                yield packet

    def _cut_to_window(self, packet: Packet[Stream], source: Stream) -> bool:
        """Move a packet to the window's time; False when it lies outside."""
        if is_cover(source):
            packet.pts = packet.dts = 0
            return True
        if not source.time_base:
            return True
        if self._window is None:
            self._shift(packet, source, round(self._earlier / source.time_base))
            return True
        ratio = Fraction(self._info.time_base) / source.time_base
        start, stop = self._window[0] * ratio, self._window[1] * ratio
        time = packet.pts if packet.pts is not None else packet.dts
        if time is None or not self._is_wanted(packet, source, time, start, stop):
            return False
        duration = packet.duration or 1
        shift = round(start)
        packet.pts = time - shift
        packet.dts = packet.dts - shift if packet.dts is not None else None
        if source.type == "subtitle":
            end = min(time + duration, math.ceil(stop)) - shift
            packet.pts = packet.dts = max(packet.pts, 0)
            packet.duration = max(end - packet.pts, 1)
        return True

    @staticmethod
    def _shift(packet: Packet[Stream], source: Stream, ticks: int) -> None:
        """Make a packet's times earlier; what precedes all pictures and sound comes with them."""
        pts, dts = packet.pts, packet.dts
        if source.type not in ("video", "audio") and ticks > 0:
            pts, dts = (None if time is None else max(time, ticks) for time in (pts, dts))
        packet.pts = pts - ticks if pts is not None else None
        packet.dts = dts - ticks if dts is not None else None

    def _is_wanted(
        self, packet: Packet[Stream], source: Stream, time: int, start: Fraction, stop: Fraction
    ) -> bool:
        """Whether a packet shown at `time` is copied into the window from `start` to `stop`.

        Video before the window is needed to decode what follows, from a keyframe on, and copied
        where the container can hide it before time zero.
        """
        can_be_hidden = self.container.negative_times
        if time >= stop:
            return False
        if source.type == "video":
            if time < start and not can_be_hidden:
                return False
            self._begun[source.index] |= packet.is_keyframe
            return bool(self._begun[source.index])
        if time + (packet.duration or 1) <= start:
            return False
        return time >= start or can_be_hidden or source.type == "subtitle"

    def _set_duration(self, packet: Packet[Stream], source: Stream) -> None:
        """Set the duration of audio and data where the source has none: mov drops a last one."""
        if source.type not in ("audio", "data") or packet.pts is None:
            return
        before = self._last_pts.get(source.index)
        if not packet.duration and before is not None and packet.pts > before:
            packet.duration = packet.pts - before
        self._last_pts[source.index] = packet.pts

    def _order(self, packet: Packet[Stream], source: Stream, target: Stream) -> None:
        """Give a packet a decoding time above its predecessor's, as muxers demand.

        It is moved by ticks of the target: those of the source may be so coarse that moving by
        them would add up, as with TrueHD in Matroska.
        """
        if is_cover(source):
            return
        if packet.dts is None:
            if source.type == "video":
                return  # frames are reordered: the muxer works it out
            packet.dts = packet.pts
        base = target.time_base
        if packet.dts is None or not base:
            return
        last = self._last_dts.get(source.index)
        due = _rescaled(packet.dts, packet.time_base, base)
        lowest = None if last is None else last + (not self.container.equal_times)
        if lowest is not None and due < lowest:
            rescale(packet, base)
            packet.dts = due = lowest
            packet.pts = None if packet.pts is None else max(packet.pts, due)
        self._last_dts[source.index] = due


def rescale(packet: Packet[Stream], base: Fraction) -> None:
    """Give a packet's times and duration in another time base."""
    if packet.pts is not None:
        packet.pts = _rescaled(packet.pts, packet.time_base, base)
    if packet.dts is not None:
        packet.dts = _rescaled(packet.dts, packet.time_base, base)
    if packet.duration:
        packet.duration = _rescaled(packet.duration, packet.time_base, base)
    packet.time_base = base


def _rescaled(ticks: int, old: Fraction, new: Fraction) -> int:
    """Ticks of one time base in another, rounded as FFmpeg rounds them."""
    exact = ticks * Fraction(old) / new
    return math.floor(abs(exact) + Fraction(1, 2)) * (1 if exact >= 0 else -1)


def shifted_chapters(chapters: list[Chapter], job: MuxJob) -> list[Chapter]:
    """Chapters cut to the window, where there is one, and moved as all times are."""
    kept: list[Chapter] = []
    for chapter in chapters:
        base = chapter["time_base"] or Fraction(1, 1000)
        start, moved = round(job.earlier / base), chapter.copy()
        lowest = min(chapter["start"], 0)
        if job.window is not None:
            lowest = 0
            stop = round(job.window[1] * job.video.info.time_base / base)
            if chapter["end"] <= start or chapter["start"] >= stop:
                continue
            moved["end"] = min(chapter["end"], stop)
        moved["start"] = max(chapter["start"] - start, lowest)
        moved["end"] = max(moved["end"] - start, moved["start"])
        kept.append(moved)
    return kept
