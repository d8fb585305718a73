"""Transport streams packet by packet: when each byte arrives, and how sound is packed."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from statistics import median_low

_SIZE, _CLOCK = 188, 27_000_000


@dataclass(frozen=True)
class Delivery:
    """Seconds by which PES packets of one PID are whole ahead of their time, and their bytes."""

    least: float
    most: float
    packing: int  # median bytes
    is_sound: bool


def deliveries(path: Path) -> dict[int, Delivery]:
    """How the sound and pictures of a stream of one program arrive, by PID."""
    data = path.read_bytes()
    size = next(
        s for s in (188, 192, 204) if all(data[(s == 192) * 4 + s * n] == 0x47 for n in range(9))
    )
    clock: list[tuple[int, int]] = []
    pes: dict[int, list[list[int]]] = defaultdict(list)
    sound = set()
    for at in range((size == 192) * 4, len(data) - _SIZE + 1, size):
        packet = data[at : at + _SIZE]
        pid, begin = int.from_bytes(packet[1:3], "big") & 0x1FFF, 4
        if packet[3] & 0x20:
            begin = 5 + packet[4]
            if packet[4] > 6 and packet[5] & 0x10:
                clock.append((at, _reference(packet[6:12])))
        body = packet[begin:]
        if packet[1] & 0x40 and body[:3] == b"\0\0\1" and (body[3] == 0xBD or body[3] >= 0xC0):
            if body[7] & 0x80:
                field = body[14:19] if body[7] & 0x40 else body[9:14]
                pes[pid].append([_time(field), at, len(body) - 9 - body[8]])
                sound |= {pid} if 0xC0 <= body[3] < 0xE0 else set()
        elif pes[pid] and packet[3] & 0x10:
            pes[pid][-1][1] = at
            pes[pid][-1][2] += len(body)
    found: dict[int, Delivery] = {}
    if len(clock) < 2:
        return found
    for pid, packets in ((pid, packets) for pid, packets in pes.items() if packets):
        after = [(time, at) for time, at, _ in packets if clock[0][0] < at < clock[-1][0]]
        ahead = [_ahead(time, _arrival(clock, at)) for time, at in after]
        if not ahead:
            continue
        sizes = median_low([length for *_, length in packets])
        found[pid] = Delivery(min(ahead), max(ahead), sizes, pid in sound)
    return found


def _ahead(time: int, arrival: float) -> float:
    """Seconds between two times of a clock that begins anew after 2^33 ticks."""
    around = 300 << 33
    return ((time * 300 - arrival + around / 2) % around - around / 2) / _CLOCK


def _arrival(clock: list[tuple[int, int]], at: int) -> float:
    """When a packet is there. Over a gap in which nothing is sent, all comes at its beginning."""
    number = min(max(bisect_right(clock, (at, 1 << 62)) - 1, 0), len(clock) - 2)
    (one, begin), (two, end) = clock[number : number + 2]
    share = (at + _SIZE - one) / (two - one)
    return begin + ((end - begin) * share if 0 < end - begin < _CLOCK // 5 else 0)


def _reference(field: bytes) -> int:
    return (int.from_bytes(field[:5], "big") >> 7) * 300 + (
        int.from_bytes(field[4:], "big") & 0x1FF
    )


def _time(field: bytes) -> int:
    return (
        (field[0] >> 1 & 7) << 30
        | field[1] << 22
        | field[2] >> 1 << 15
        | field[3] << 7
        | field[4] >> 1
    )
