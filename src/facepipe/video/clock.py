"""The clock of a source: packets with times that rise, whatever its clock does.

`clock_scan` finds what is to be moved; every reader of a source's packets reads them by `timed`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import TypeVar, cast

from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream

from facepipe.datatypes import Clock, ClockJoint
from facepipe.video.pyav.flv import HEADER_BYTES
from facepipe.video.sources import demuxed

#: Ticks after which the clock of a transport or program stream begins at 0 again.
WRAP, TICKS = 2**33, 90000
WRAP_SECONDS = Fraction(WRAP, TICKS)
_LARGEST = 2**62
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
            moved[index] = step_at(steps, place)
        shift = moved.get(index, 0)
        if given.is_discard and clock.marks and steps and place >= steps[0][0]:
            packet = _unmarked(given)
        if shift:
            packet.pts, packet.dts = _sum(packet.pts, shift), _sum(packet.dts, shift)
        yield packet


def _sum(time: int | None, shift: int) -> int | None:
    """A time that is moved; as it is where it is none, or damaged beyond what 62 bits hold."""
    return time if time is None or abs(time + shift) > _LARGEST else time + shift


def _unmarked(packet: Packet[StreamT]) -> Packet[StreamT]:
    """The same packet, which is shown."""
    made = cast("Packet[StreamT]", Packet(bytes(packet)))
    made.stream, made.time_base, made.duration = packet.stream, packet.time_base, packet.duration
    made.pts, made.dts, made.is_keyframe = packet.pts, packet.dts, packet.is_keyframe
    return made


def moved_by(clock: Clock, *, kept: bool) -> Fraction:
    """Seconds by which all times of a target are earlier than the source's.

    `kept`: the target keeps such a clock, and only times below zero are counted from the wrap. In
    others the video begins at 0. What an index says of the begin is meant so, and sound that lies
    below zero to be skipped by players stays there.
    """
    if clock.indexed:
        return Fraction(0)
    if clock.begin < 0:
        wrapped = -WRAP_SECONDS if kept else clock.begin
        return wrapped if clock.wraps else Fraction(0)
    return Fraction(0) if kept else clock.begin


def describe_clock(clock: Clock) -> tuple[str, ...]:
    """What is unusual about a clock, a sentence each."""
    found = []
    whole = [joint for joint in clock.joints if joint.stream is None]
    if whole:
        found.append(
            f"the clock begins anew at {_places(whole)}; "
            "what follows is joined to what was, all streams alike"
        )
    found += _of_streams(clock.joints)
    if clock.strays:
        found.append(
            f"{clock.strays} packet{'s have' if clock.strays > 1 else ' has'} a time far from "
            "those around; it was worked out from them"
        )
    return tuple(found)


def _of_streams(joints: Sequence[ClockJoint]) -> Iterator[str]:
    """A sentence for each stream whose times alone begin anew."""
    for stream in sorted({joint.stream for joint in joints if joint.stream is not None}):
        alone = [joint for joint in joints if joint.stream == stream]
        yield (
            f"the times of stream {stream} alone begin anew at {_places(alone)}; "
            "what follows in it is joined to what was"
        )


def _places(joints: Sequence[ClockJoint]) -> str:
    places = [f"{joint.seconds:.2f} s ({_jump(joint.jump)})" for joint in joints[:_MAX_TOLD]]
    left = len(joints) - _MAX_TOLD
    return ", ".join(places) + (f" and {left} more" if left > 0 else "")


def _jump(seconds: float) -> str:
    return f"it jumps {'back' if seconds < 0 else 'ahead'} by {abs(seconds):.2f} s"


def step_at(steps: Sequence[tuple[int, int]], position: int) -> int:
    """The value that holds at a position, of those that hold from a position on."""
    number = bisect_right(steps, position, key=lambda step: step[0])
    return steps[number - 1][1] if number else 0
