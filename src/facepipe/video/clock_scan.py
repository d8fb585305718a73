"""Scan for `probe`: where the clock of a source begins anew, jumps or wraps.

Recordings that are put one behind the other (`cat`, cells of a DVD, a camera that starts again)
each have a clock of their own. Where the runs of all streams end together (`clock_runs`), the clock
began anew: all streams are then moved alike, by as much as leaves no overlap in any of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction

from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream

from facepipe.datatypes import Clock, ClockJoint
from facepipe.video.clock import TICKS, WRAP, step_at
from facepipe.video.clock_runs import FAR, Cluster, StreamRuns, clusters_of
from facepipe.video.containers import is_indexed
from facepipe.video.demuxers import COUNTING, JUMPING, WRAPPING
from facepipe.video.streams import is_still


class ClockScan:
    """Finds where the clock of a source begins anew; fed all packets as they are, then closed."""

    def __init__(
        self, container: InputContainer, heads: tuple[int, ...] = (), *, fragmented: bool = False
    ) -> None:
        """`heads` and `fragmented` as `sources.heads_of` and `sources.is_fragmented` say."""
        self._heads, self._fragmented = heads, fragmented
        self._indexed = is_indexed(container.format.name) and not fragmented
        names = container.format.name.split(",")
        self._wraps, self._counts, self._jumps = (
            not demuxers.isdisjoint(names) for demuxers in (WRAPPING, COUNTING, JUMPING)
        )
        self._bases = {
            stream.index: Fraction(stream.time_base)
            for stream in container.streams
            if stream.time_base
        }
        wrapping = Fraction(1, TICKS) if self._wraps else None
        self._streams = {
            index: StreamRuns(base, container.streams[index].type == "video", base == wrapping)
            for index, base in self._bases.items()
            if _goes_by(container.streams[index])
        }
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
        if not self._counts:
            for index, runs in self._streams.items():
                runs.close()
                self._strays[index] = runs.moved
            for cluster in clusters_of(self._streams, main):
                self._join(cluster, main)
        shifts = {index: self._steps(index) for index in self._bases}
        return Clock(
            joints=tuple(self._joints),
            strays=sum(runs.strays for runs in self._streams.values()),
            shifts={index: steps for index, steps in shifts.items() if steps},
            wraps=self._wraps,
            heads=self._heads,
            indexed=self._indexed,
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

    def _join(self, cluster: Cluster, main: int) -> None:
        """Move what follows so that it begins where all that was before has ended."""
        others = (runs for index, runs in self._streams.items() if index not in cluster.runs)
        alone = any(runs.goes_on(cluster) for runs in others)
        needs = self._needs(cluster, alone)
        if alone:
            self._join_alone(cluster, needs)
        elif needs:
            tick = self._bases[main]
            most = max(self._bases[index] * ticks for index, ticks in needs.items())
            shift = math.ceil(most / tick) * tick
            for index, base in self._bases.items():
                self._move(cluster, index, round(shift / base))
            first = main if main in cluster.runs else next(iter(cluster.runs))
            self._tell(cluster, first, shift, alone=False)

    def _needs(self, cluster: Cluster, alone: bool) -> dict[int, int]:
        """Ticks by which streams would have to be moved."""
        needs = {}
        for index, number in cluster.runs.items():
            before, after = self._streams[index].runs[number - 1 : number + 1]
            ahead = self._jumps and after.is_opened and not after.late
            if after.start < before.end or (ahead and not alone):
                shift = step_at(self._shifts[index], before.position)
                needs[index] = before.end + shift - after.start
        return needs

    def _join_alone(self, cluster: Cluster, needs: Mapping[int, int]) -> None:
        """Move streams whose times go back far, where the others say that no time has passed."""
        for index, ticks in needs.items():
            before, after = self._streams[index].runs[cluster.runs[index] - 1 :][:2]
            if self._bases[index] * (before.end - after.start) > FAR:
                self._shifts[index].append((after.position, ticks))
                self._tell(cluster, index, self._bases[index] * ticks, alone=True)

    def _move(self, cluster: Cluster, index: int, ticks: int) -> None:
        """Move a stream from a joint on, but for packets that are still from before it."""
        moved, number = self._shifts[index], cluster.runs.get(index)
        if number is None:
            moved.append((cluster.first, ticks))
            return
        run = self._streams[index].runs[number]
        old = step_at(moved, run.position)
        moved.append((run.position, ticks))
        for begin, end in run.late_places:
            moved.append((begin, old))
            moved += [(end, ticks)] if end is not None else []

    def _tell(self, cluster: Cluster, index: int, shift: Fraction, *, alone: bool) -> None:
        runs, number, base = self._streams[index].runs, cluster.runs[index], self._bases[index]
        jump = base * (runs[number].start - runs[number - 1].end)
        at = base * (runs[number].start - runs[0].start) + shift
        self._joints.append(ClockJoint(float(at), float(jump), index if alone else None))

    def _steps(self, index: int) -> tuple[tuple[int, int], ...]:
        """All that moves a stream, by position: joints, strays and turns of its clock."""
        runs = self._streams.get(index)
        turns = [(at, turn * WRAP) for at, turn in runs.turns] if runs is not None else []
        kinds = (sorted(self._shifts[index]), sorted(self._strays[index]), turns)
        places = sorted({at for steps in kinds for at, _ in steps})
        found = [(place, sum(step_at(steps, place) for steps in kinds)) for place in places]
        return tuple(found) if any(shift for _, shift in found) else ()


def _goes_by(stream: Stream) -> bool:
    return stream.type in ("video", "audio") and not is_still(stream)
