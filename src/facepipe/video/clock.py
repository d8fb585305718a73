"""Clocks that begin anew: where they do, and how what follows is joined end to end with what was.

Recordings that are put one behind the other (`cat`, cells of a DVD, a camera that starts again)
each have a clock of their own. A run is a stretch of one stream in which times rise. Where the runs
of all streams end together, the clock began anew: all streams are then moved alike, by as much as
leaves no overlap in any of them.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TypeVar, cast

from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream

from facepipe.datatypes import Clock, ClockJoint
from facepipe.video.pyav.flv import HEADER_BYTES
from facepipe.video.sources import COUNTING, JUMPING, WRAPPING, demuxed
from facepipe.video.streams import is_still

#: Ticks after which the clock of a transport or program stream begins at 0 again.
WRAP, TICKS = 2**33, 90000
WRAP_SECONDS = Fraction(WRAP, TICKS)
#: Places by which a frame may be moved from its place in presentation order.
_REORDERED = 16
#: Seconds by which sound may go back without a new clock: packets that overlap.
_OVERLAP = Fraction(1, 10)
#: Seconds without any packet after which a clock is taken to have jumped, if that is also this
#: many times longer than any frame before.
_FAR, _TIMES_LONGER = 10, 8
#: Seconds of the longest stray run: a few packets with a wrong time, after which it goes on.
_STRAY, _STRAY_STEPS = 1, 3
#: Bytes by which streams of one clock may lie apart in a file.
_INTERLEAVED = 2 * 2**20
#: A frame is taken to last this long where nothing says it, and no longer than this, in seconds.
_USUAL, _LONGEST = Fraction(1, 25), 60
#: Joints that are told one by one.
_MAX_TOLD = 6
StreamT = TypeVar("StreamT", bound=Stream)


def timed(
    opened: InputContainer, clock: Clock, *streams: StreamT, position: int = 0
) -> Iterator[Packet[StreamT]]:
    """The packets of those streams of a source, or of all, with times that rise by its clock.

    `position` is the byte position that was sought. Errors: FFmpegError for what cannot be read.
    """
    packets = _through(opened, clock.heads, streams, position) if clock.heads else None
    packets = packets or demuxed(opened, *streams)
    return _moved(packets, clock) if clock.shifts else packets


def _through(
    opened: InputContainer, heads: Sequence[int], streams: Sequence[StreamT], position: int
) -> Iterator[Packet[StreamT]]:
    """The packets of files one behind the other, which begin at `heads`.

    An empty packet comes before each, as at the end of a file: seeking empties the decoders.
    """
    for head in heads:
        if head <= position:
            continue
        for packet in demuxed(opened, *streams):
            if (packet.pos or 0) > head or not packet.size:
                break
            yield packet
        yield cast("Packet[StreamT]", Packet())
        position = head + HEADER_BYTES
        opened.seek(position, unsupported_byte_offset=True)
    yield from demuxed(opened, *streams)


def _moved(packets: Iterator[Packet[StreamT]], clock: Clock) -> Iterator[Packet[StreamT]]:
    moved: dict[int, int] = {}  # by the stream's index; packets without a position follow others
    for given in packets:
        if not given.size:
            yield given
            continue
        packet, index = given, given.stream.index
        steps = clock.shifts.get(index, ())
        place = packet.pos if packet.pos is not None else -1
        if place >= 0:
            moved[index] = _at(steps, place)
        shift = moved.get(index, 0)
        if given.is_discard and clock.marks and steps and place >= steps[0][0]:
            packet = _unmarked(given)
        if shift:
            packet.pts = packet.pts + shift if packet.pts is not None else None
            packet.dts = packet.dts + shift if packet.dts is not None else None
        yield packet


def _unmarked(packet: Packet[StreamT]) -> Packet[StreamT]:
    """The same packet, which is shown."""
    made = cast("Packet[StreamT]", Packet(bytes(packet)))
    made.stream, made.time_base, made.duration = packet.stream, packet.time_base, packet.duration
    made.pts, made.dts, made.is_keyframe = packet.pts, packet.dts, packet.is_keyframe
    return made


def moved_by(clock: Clock, *, kept: bool) -> Fraction:
    """Seconds by which all times of a target are earlier than the source's.

    `kept`: the target keeps such a clock, and only times below zero are counted from the wrap. In
    others the film begins at 0. Sound that lies below zero to be skipped by players stays there.
    """
    if clock.begin < 0:
        wrapped = -WRAP_SECONDS if kept else clock.begin
        return wrapped if clock.wraps else Fraction(0)
    return Fraction(0) if kept else clock.begin


def describe_joints(clock: Clock) -> tuple[str, ...]:
    """A sentence for the user, where the clock begins anew."""
    if not clock.joints:
        return ()
    places = [f"{joint.seconds:.2f} s ({_jump(joint.jump)})" for joint in clock.joints[:_MAX_TOLD]]
    left = len(clock.joints) - _MAX_TOLD
    more = f" and {left} more" if left > 0 else ""
    return (
        f"the clock begins anew at {', '.join(places)}{more}; "
        "what follows is joined to what was, all streams alike",
    )


def _jump(seconds: float) -> str:
    return f"it jumps {'back' if seconds < 0 else 'ahead'} by {abs(seconds):.2f} s"


def _at(steps: Sequence[tuple[int, int]], position: int) -> int:
    """The value that holds at a position, of those that hold from a position on."""
    number = bisect_right(steps, position, key=lambda step: step[0])
    return steps[number - 1][1] if number else 0


@dataclass
class _Run:
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
    recent: deque[int] = field(default_factory=lambda: deque(maxlen=_REORDERED + 1))  # pts

    @property
    def step(self) -> int:
        """How long a packet lasts in the mean; 0 where there is but one."""
        return (self.last - self.start) // (self.packets - 1) if self.packets > 1 else 0

    def add(self, time: int, end: int, position: int, dts: int) -> None:
        self.dts_step, self.last_dts = dts - self.last_dts, dts
        self.longest = max(self.longest, time - self.last)
        self.start, self.last = min(self.start, time), max(self.last, time)
        self.end, self.stop = max(self.end, end), position
        self.packets += 1
        self.recent.append(time)


@dataclass
class _StreamRuns:
    """The runs of one stream; `turns` says how often its clock has wrapped, by position."""

    base: Fraction
    is_video: bool
    wraps: bool
    jumps: bool
    runs: list[_Run] = field(default_factory=list)
    turns: list[tuple[int, int]] = field(default_factory=list)
    skipped: Fraction = Fraction(0)  # seconds at its beginning that players skip
    _position: int | None = None

    def feed(self, packet: Packet[Stream], time: int) -> None:
        if packet.pos is not None and packet.pos >= 0:
            self._position = packet.pos
        at = self._position or 0
        run = self.runs[-1] if self.runs else None
        decoded = (packet.dts if packet.dts is not None else time) - time
        if run is not None and self.wraps:
            time = self._unwrapped(run, time, at)
        dts = time + decoded
        lasting = self._lasting(run, packet.duration or 0)
        if run is None:
            self.skipped = _skipped(packet)
        if run is None or self._is_new(run, time, packet):
            self.runs.append(_Run(at, time, time, time + lasting, at, dts, dts))
            self.runs[-1].recent.append(time)
        else:
            run.add(time, time + lasting, at, dts)

    def seconds(self, ticks: int) -> Fraction:
        """Ticks of the stream in seconds."""
        return ticks * self.base

    def begin(self, shifts: Sequence[tuple[int, int]]) -> Fraction:
        """The time of what is seen or heard first, in seconds."""
        first = self.runs[0]
        return self.seconds(first.start + _at(shifts, first.position)) + self.skipped

    def without_strays(self) -> list[tuple[int, int]]:
        """Join runs between which a few packets have a wrong time; what moves those, by position.

        They stray alone, and what comes after goes on where it would be had they not.
        """
        moved: list[tuple[int, int]] = []
        number = 1
        while number + 1 < len(self.runs):
            before, stray, after = self.runs[number - 1 : number + 2]
            length = stray.end - stray.start
            step = max(length // stray.packets, 1)
            returns = abs(after.start - before.end - length) <= _STRAY_STEPS * step
            strays = abs(stray.start - before.end) > 2 * _STRAY_STEPS * step
            if returns and strays and self.seconds(length) <= _STRAY:
                due = before.last_dts + max(before.dts_step, 1)
                moved += [(stray.position, due - stray.first_dts), (after.position, 0)]
                before.last, before.end, before.stop = after.last, after.end, after.stop
                before.last_dts = after.last_dts
                before.packets += stray.packets + after.packets
                del self.runs[number : number + 2]
            else:
                number += 1
        return moved

    def _unwrapped(self, run: _Run, time: int, position: int) -> int:
        """The time counted on from the run, as if the clock had more bits."""
        turns = (run.last - time + WRAP // 2) // WRAP
        if turns != (self.turns[-1][1] if self.turns else 0):
            self.turns.append((position, turns))
        return time + turns * WRAP

    def _lasting(self, run: _Run | None, duration: int) -> int:
        """For how many ticks a packet lasts."""
        if not duration and run is not None:
            duration = run.step
        return min(duration or round(_USUAL / self.base) or 1, int(_LONGEST / self.base))

    def _is_new(self, run: _Run, time: int, packet: Packet[Stream]) -> bool:
        """Whether a packet does not go on from a run: it is earlier, or far later."""
        if time < run.last:
            if not self.is_video:
                return self.seconds(run.last - time) > _OVERLAP
            # Nothing that is decoded before a keyframe is shown after it, and no frame is moved
            # further than so many places.
            moved = len(run.recent) > _REORDERED and min(run.recent) > time
            return packet.is_keyframe or moved or self._is_far(run, run.last - time)
        return self.jumps and self._is_far(run, time - run.end)

    def _is_far(self, run: _Run, ticks: int) -> bool:
        return self.seconds(ticks) > _FAR and ticks > _TIMES_LONGER * run.longest


def _skipped(packet: Packet[Stream]) -> Fraction:
    """Seconds of sound at the beginning of a packet that players skip."""
    stream: Stream = packet.stream
    if not isinstance(stream, AudioStream) or not packet.has_sidedata("skip_samples"):
        return Fraction(0)
    samples = int.from_bytes(bytes(packet.get_sidedata("skip_samples"))[:4], "little")
    return Fraction(samples, stream.codec_context.sample_rate or 1)


@dataclass
class _Cluster:
    """Runs of several streams that begin together: the number of the run by the stream's index."""

    runs: dict[int, int] = field(default_factory=dict)
    first: int = 0  # positions
    last: int = 0


class ClockScan:
    """Finds where the clock of a source begins anew; fed all packets as they are, then closed."""

    def __init__(
        self, container: InputContainer, heads: tuple[int, ...] = (), *, fragmented: bool = False
    ) -> None:
        """`heads` and `fragmented` as `sources.heads_of` and `sources.is_fragmented` say."""
        self._heads, self._fragmented = heads, fragmented
        names = container.format.name.split(",")
        self._wraps = any(name in WRAPPING for name in names)
        self._counts = any(name in COUNTING for name in names)
        jumps = any(name in JUMPING for name in names)
        self._bases = {
            stream.index: Fraction(stream.time_base)
            for stream in container.streams
            if stream.time_base
        }
        self._streams: dict[int, _StreamRuns] = {}
        for stream in container.streams:
            moves = stream.type in ("video", "audio") and not is_still(stream)
            if moves and stream.index in self._bases:
                is_video, base = stream.type == "video", self._bases[stream.index]
                self._streams[stream.index] = _StreamRuns(
                    base, is_video, self._wraps and base == Fraction(1, TICKS), jumps
                )
        #: Ticks by position: from joints, and from packets with a wrong time.
        self._shifts: dict[int, list[tuple[int, int]]] = {index: [] for index in self._bases}
        self._strays: dict[int, list[tuple[int, int]]] = {index: [] for index in self._bases}
        self._joints: list[ClockJoint] = []

    def feed(self, packet: Packet[Stream]) -> None:
        """Note a packet."""
        runs = self._streams.get(packet.stream.index)
        time = packet.pts if packet.pts is not None else packet.dts
        hidden = packet.is_discard and not self._fragmented
        if runs is not None and time is not None and not hidden:
            runs.feed(packet, time)

    def close(self, main: int) -> Clock:
        """The clock but for its begin; `main` is the index of the video that is enhanced."""
        heard = {index: runs for index, runs in self._streams.items() if runs.runs}
        if not self._counts and any(len(runs.runs) > 1 for runs in heard.values()):
            for index, runs in heard.items():
                self._strays[index] = runs.without_strays()
            for cluster in _clusters(heard, main):
                self._join(cluster, heard, main)
        shifts = {index: self._steps(index) for index in self._bases}
        return Clock(
            joints=tuple(self._joints),
            shifts={index: steps for index, steps in shifts.items() if steps},
            wraps=self._wraps,
            heads=self._heads,
            marks=self._fragmented,
        )

    def begin(self, clock: Clock, main: int, first: Fraction) -> Fraction:
        """The time of the first picture or sound, where that of the video is `first`; seconds."""
        others = (
            runs.begin(clock.shifts.get(index, ()))
            for index, runs in self._streams.items()
            if index != main and runs.runs
        )
        return min([first, *others])

    def _join(self, cluster: _Cluster, heard: Mapping[int, _StreamRuns], main: int) -> None:
        """Move what follows so that it begins where all that was before has ended."""
        alone = any(
            run.position < cluster.first and run.stop > cluster.last
            for index, runs in heard.items()
            if index not in cluster.runs
            for run in runs.runs
        )
        needs: dict[int, Fraction] = {}
        for index, number in cluster.runs.items():
            runs = heard[index]
            before, after = runs.runs[number - 1], runs.runs[number]
            ended = before.end + _at(self._shifts[index], before.position)
            if not alone:
                needs[index] = runs.seconds(ended - after.start)
            elif runs.seconds(before.end - after.start) > _FAR:
                # Only this stream goes back: the others say that no time has passed.
                self._shifts[index].append((after.position, ended - after.start))
        if not needs:
            return
        tick = self._bases[main]
        shift = math.ceil(max(needs.values()) / tick) * tick
        for index, base in self._bases.items():
            begun = cluster.runs.get(index)
            position = cluster.first if begun is None else heard[index].runs[begun].position
            self._shifts[index].append((position, round(shift / base)))
        self._tell(cluster, heard, main, shift)

    def _tell(
        self, cluster: _Cluster, heard: Mapping[int, _StreamRuns], main: int, shift: Fraction
    ) -> None:
        index = main if main in cluster.runs else next(iter(cluster.runs))
        runs, number = heard[index], cluster.runs[index]
        jump = runs.seconds(runs.runs[number].start - runs.runs[number - 1].end)
        at = runs.seconds(runs.runs[number].start - heard[index].runs[0].start) + shift
        self._joints.append(ClockJoint(float(at), float(jump)))

    def _steps(self, index: int) -> tuple[tuple[int, int], ...]:
        """All that moves a stream, by position: joints, strays and turns of its clock."""
        runs = self._streams.get(index)
        turns = [(at, turn * WRAP) for at, turn in runs.turns] if runs is not None else []
        kinds = (sorted(self._shifts[index]), sorted(self._strays[index]), turns)
        places = sorted({at for steps in kinds for at, _ in steps})
        found = [(place, sum(_at(steps, place) for steps in kinds)) for place in places]
        return tuple(found) if any(shift for _, shift in found) else ()


def _clusters(heard: Mapping[int, _StreamRuns], main: int) -> list[_Cluster]:
    """Runs that begin at one joint: those of the video, and of others the nearest in the file."""
    anchors = heard[main].runs[1:] if main in heard else []
    places = [run.position for run in anchors]
    found = [_Cluster({main: number}) for number in range(1, len(anchors) + 1)]
    for index, runs in heard.items():
        taken: dict[int, tuple[int, int]] = {}  # distance and number of the run, by the joint
        for number in range(1, len(runs.runs)) if index != main else ():
            nearest = _nearest(places, runs.runs[number - 1], runs.runs[number])
            if nearest is None:
                found.append(_Cluster({index: number}))
                continue
            distance = abs(places[nearest] - runs.runs[number].position)
            rival = taken.get(nearest)
            if rival is not None:
                found.append(_Cluster({index: max(rival, (distance, number))[1]}))
            taken[nearest] = min((distance, number), rival or (distance, number))
        for joint, (_, number) in taken.items():
            found[joint].runs[index] = number
    for cluster in found:
        positions = [heard[i].runs[number].position for i, number in cluster.runs.items()]
        cluster.first, cluster.last = min(positions), max(positions)
    return sorted(found, key=lambda cluster: cluster.first)


def _nearest(places: Sequence[int], before: _Run, after: _Run) -> int | None:
    """The nearest of the places at which a run may begin, as the one before it had ended there."""
    near = [
        (abs(place - after.position), number)
        for number, place in enumerate(places)
        if before.stop <= place + _INTERLEAVED
    ]
    return min(near)[1] if near else None
