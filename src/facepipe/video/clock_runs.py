"""Runs: stretches of one stream in which times rise, and where several streams begin one.

The scan of a clock (`clock_scan`) feeds each stream's packets to `StreamRuns`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from av.audio.stream import AudioStream
from av.packet import Packet
from av.stream import Stream

from facepipe.video.clock import WRAP, step_at
from facepipe.video.streams import has_decoder

#: Places by which a frame may be moved from its place in presentation order.
_REORDERED = 16
#: Seconds by which sound may go back without a new clock: packets that overlap.
_OVERLAP = Fraction(1, 10)
#: Seconds without any packet after which a clock is taken to have jumped, if that is also this
#: many times longer than any frame before.
FAR, _TIMES_LONGER = 10, 8
#: Bytes by which streams of one clock may lie apart in a file.
_INTERLEAVED = 2 * 2**20
#: A frame is taken to last this long where nothing says it, and no longer than this, in seconds.
_USUAL, _LONGEST = Fraction(1, 25), 60


@dataclass
class Run:
    """Packets of one stream whose times rise; times in ticks of the stream."""

    position: int  # of its first packet in the file, in bytes
    start: int  # the earliest pts
    last: int  # the latest pts
    end: int  # up to which something is shown
    stop: int  # position of its last packet
    first_dts: int
    last_dts: int
    dts_step: int = 0
    packets: int = 1
    longest: int = 0  # step
    is_opened: bool = True  # whether it begins with a keyframe
    #: Packets that came after its begin and went on with the run before, and where those lie.
    late: int = 0
    due: int = 0  # dts that its first packet would have, had it gone on with the run before
    late_places: list[tuple[int, int | None]] = field(default_factory=list)
    recent: deque[int] = field(default_factory=lambda: deque(maxlen=_REORDERED + 1))  # pts

    @property
    def step(self) -> int:
        """How long a packet lasts in the mean; 0 where there is but one."""
        return (self.last - self.start) // (self.packets - 1) if self.packets > 1 else 0

    def begin_late(self, position: int) -> None:
        """Note a packet that goes on with the run before."""
        self.late += 1
        if not self.late_places or self.late_places[-1][1] is not None:
            self.late_places.append((position, None))

    def end_late(self, position: int) -> None:
        """Note that the next packet is this run's own."""
        if self.late_places and self.late_places[-1][1] is None:
            self.late_places[-1] = self.late_places[-1][0], position

    def add(self, time: int, end: int, position: int, dts: int) -> None:
        self.dts_step, self.last_dts = dts - self.last_dts, dts
        self.longest = max(self.longest, time - self.last)
        self.start, self.last = min(self.start, time), max(self.last, time)
        self.end, self.stop = max(self.end, end), position
        self.packets += 1
        self.recent.append(time)


@dataclass(frozen=True)
class _Given:
    """A packet with its time as it is, and where it lies in the file."""

    time: int
    packet: Packet[Stream]
    position: int


@dataclass
class Cluster:
    """Runs of several streams that begin together: the number of the run by the stream's index."""

    runs: dict[int, int] = field(default_factory=dict)
    first: int = 0  # positions
    last: int = 0


@dataclass
class StreamRuns:
    """The runs of one stream; `turns` says how often its clock has wrapped, by position."""

    base: Fraction
    is_video: bool
    wraps: bool
    runs: list[Run] = field(default_factory=list)
    turns: list[tuple[int, int]] = field(default_factory=list)
    strays: int = 0  # packets with a wrong time
    moved: list[tuple[int, int]] = field(default_factory=list)  # what mends those, by position
    skipped: Fraction = Fraction(0)  # seconds at its beginning that players skip
    _position: int | None = None

    def feed(self, packet: Packet[Stream], time: int) -> None:
        if packet.pos is not None and packet.pos >= 0:
            self._position = packet.pos
        given = _Given(time, packet, self._position or 0)
        if not self.runs:
            self.skipped = _skipped(packet)
            self._begin(given, time)
            return
        run = self.runs[-1]
        here = self._unwrapped(run, time)
        if not self._is_new(run, here, packet):
            run.end_late(given.position)
            self._add(run, given, here)
            return
        before = self.runs[-2] if len(self.runs) > 1 else None
        if before is not None and self._is_late(run, before, given):
            run.begin_late(given.position)
            self._add(before, given, self._unwrapped(before, time))
            if run.late > max(_REORDERED, run.packets):
                self._forget(run)
        else:
            self._begin(given, here)

    def close(self) -> None:
        """Forget a last run after which more packets went on with the one before."""
        if len(self.runs) > 1 and self.runs[-1].late > self.runs[-1].packets:
            self._forget(self.runs[-1])

    def _begin(self, given: _Given, time: int) -> None:
        end = time + self._lasting(None, given.packet.duration or 0)
        dts = self._note_turns(given, time)
        made = Run(given.position, time, time, end, given.position, dts, dts)
        if self.runs:
            made.due = self.runs[-1].last_dts + max(self.runs[-1].dts_step, 1)
        made.is_opened = not self.is_video or given.packet.is_keyframe
        made.recent.append(time)
        self.runs.append(made)

    def _add(self, run: Run, given: _Given, time: int) -> None:
        end = time + self._lasting(run, given.packet.duration or 0)
        run.add(time, end, given.position, self._note_turns(given, time))

    def _note_turns(self, given: _Given, time: int) -> int:
        """Note how often the clock has wrapped at a packet; its dts, counted on likewise."""
        turns = (time - given.time) // WRAP
        if turns != (self.turns[-1][1] if self.turns else 0):
            self.turns.append((given.position, turns))
        dts = given.packet.dts
        return time if dts is None else dts + turns * WRAP

    def _is_late(self, run: Run, before: Run, given: _Given) -> bool:
        """Whether a packet goes on from the run before: it is decoded late, or the run strays."""
        if run.packets > _REORDERED:
            return False
        time, step = self._unwrapped(before, given.time), self._lasting(before, 0)
        if self.is_video:
            near = abs(time - before.end) <= _REORDERED * step
            return near and (time > before.last or not given.packet.is_keyframe)
        return before.last < time <= before.end + (run.packets + 1) * step

    def _forget(self, run: Run) -> None:
        """Take a run for packets with a wrong time: what was before has gone on."""
        self.moved += [(run.position, run.due - run.first_dts), (run.late_places[0][0], 0)]
        self.strays += run.packets
        self.runs.remove(run)

    def seconds(self, ticks: int) -> Fraction:
        """Ticks of the stream in seconds."""
        return ticks * self.base

    def goes_on(self, cluster: Cluster) -> bool:
        """Whether one run begins before the runs of a cluster, and goes on behind them."""
        number = bisect_left(self.runs, cluster.first, key=lambda run: run.position) - 1
        return number >= 0 and self.runs[number].stop > cluster.last

    def begin(self, shifts: Sequence[tuple[int, int]]) -> Fraction:
        """The time of what is seen or heard first, in seconds."""
        first = self.runs[0]
        return self.seconds(first.start + step_at(shifts, first.position)) + self.skipped

    def _unwrapped(self, run: Run, time: int) -> int:
        """The time counted on from the run, as if the clock had more bits."""
        return time + (run.last - time + WRAP // 2) // WRAP * WRAP if self.wraps else time

    def _lasting(self, run: Run | None, duration: int) -> int:
        """For how many ticks a packet lasts."""
        if not duration and run is not None:
            duration = run.step
        return min(duration or round(_USUAL / self.base) or 1, int(_LONGEST / self.base))

    def _is_new(self, run: Run, time: int, packet: Packet[Stream]) -> bool:
        """Whether a packet does not go on from a run: it is earlier, or far later."""
        if time < run.last:
            if not self.is_video:
                return self.seconds(run.last - time) > _OVERLAP
            # Nothing that is decoded before a keyframe is shown after it, and no frame is moved
            # further than so many places.
            moved = len(run.recent) > _REORDERED and min(run.recent) > time
            return packet.is_keyframe or moved or self._is_far(run, run.last - time)
        return self._is_far(run, time - run.end)

    def _is_far(self, run: Run, ticks: int) -> bool:
        return self.seconds(ticks) > FAR and ticks > _TIMES_LONGER * run.longest


def _skipped(packet: Packet[Stream]) -> Fraction:
    """Seconds of sound at the beginning of a packet that players skip."""
    stream: Stream = packet.stream
    if not isinstance(stream, AudioStream) or not has_decoder(stream):
        return Fraction(0)
    if not packet.has_sidedata("skip_samples"):
        return Fraction(0)
    samples = int.from_bytes(bytes(packet.get_sidedata("skip_samples"))[:4], "little")
    return Fraction(samples, stream.codec_context.sample_rate or 1)


def clusters_of(streams: Mapping[int, StreamRuns], main: int) -> list[Cluster]:
    """Runs that begin at one joint: those of the video, and of others the nearest in the file."""
    anchors = streams[main].runs[1:] if main in streams else []
    places = [run.position for run in anchors]
    found = [Cluster({main: number}) for number in range(1, len(anchors) + 1)]
    for index, stream in streams.items():
        if index == main:
            continue
        joined = _joined(stream.runs, places)
        for joint, number in joined.items():
            found[joint].runs[index] = number
        alone = sorted(set(range(1, len(stream.runs))) - set(joined.values()))
        found += [Cluster({index: number}) for number in alone]
    for cluster in found:
        begun = [streams[i].runs[number].position for i, number in cluster.runs.items()]
        cluster.first, cluster.last = min(begun), max(begun)
    return sorted(found, key=lambda cluster: cluster.first)


def _joined(runs: Sequence[Run], places: Sequence[int]) -> dict[int, int]:
    """Number of the run that begins at a joint, by the joint's: of several the nearest."""
    found: dict[int, int] = {}
    for number in range(1, len(runs)):
        joint = _nearest(places, runs[number - 1], runs[number])
        if joint is not None:
            rival = found.get(joint, number)
            far, rival_far = (abs(places[joint] - runs[n].position) for n in (number, rival))
            found[joint] = number if far < rival_far else rival
    return found


def _nearest(places: Sequence[int], before: Run, after: Run) -> int | None:
    """The nearest of the places at which a run may begin, as the one before it had ended there."""
    first = bisect_left(places, before.stop - _INTERLEAVED)
    at = max(bisect_left(places, after.position), first)
    near = [number for number in (at - 1, at) if first <= number < len(places)]
    return min(near, key=lambda n: abs(places[n] - after.position), default=None)
