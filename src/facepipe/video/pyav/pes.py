"""How a transport stream packs its sound: how many packets lie in one PES packet.

FFmpeg does not hand that on. Players get sound in pieces of that size.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from statistics import median_low

from facepipe.video.pyav.mpegts import HEAD, transport_packets

_TICKS = 90000
_PREFIX, _WITH_PTS = b"\0\0\1", 0x80
_HEADER = 9  # bytes of a PES packet ahead of its further header
_LARGEST = 65_000  # bytes, of the 65,535 that a PES packet may say to have
_FEWEST = 4  # PES packets by which a packing is known

_Pes = tuple[int, int]  # pts, and bytes of sound


def packing_options(path: Path, lasting: Mapping[int, Fraction]) -> dict[str, str]:
    """The muxer's option that packs sound as a file does; none where that is not known.

    `lasting` are seconds of one packet of each sound, by PID. Errors: OSError as the disk does.
    """
    with path.open("rb") as file:
        data = file.read(HEAD)
    sizes: list[int] = []
    for pid, found in _pes_packets(data, lasting).items():
        steps = [two - one for (one, _), (two, _) in pairwise(found) if two > one]
        if len(steps) < _FEWEST:
            continue
        together = round(Fraction(median_low(steps), _TICKS) / lasting[pid])
        sizes.append(max(size for _, size in found) if together > 1 else 0)
    if not sizes:
        return {}
    return {"pes_payload_size": str(min(max(sizes), _LARGEST))}


def _pes_packets(data: bytes, wanted: Mapping[int, Fraction]) -> dict[int, list[_Pes]]:
    """The PES packets on those PIDs that say when they are shown, and how long they are."""
    found: dict[int, list[_Pes]] = defaultdict(list)
    for packet in transport_packets(data):
        pid = int.from_bytes(packet[1:3], "big") & 0x1FFF
        if pid not in wanted or not packet[1] & 0x40 or not packet[3] & 0x10:
            continue
        at = 5 + packet[4] if packet[3] & 0x20 else 4
        head = packet[at:]
        if head[:3] != _PREFIX or len(head) < _HEADER + 5 or not head[7] & _WITH_PTS:
            continue
        length = int.from_bytes(head[4:6], "big")
        if length:
            found[pid].append((_time(head[_HEADER : _HEADER + 5]), length + 6 - _HEADER - head[8]))
    return found


def _time(field: bytes) -> int:
    """The 33 bits of a time, between which marker bits lie."""
    number = int.from_bytes(field, "big")
    return number >> 3 & 7 << 30 | number >> 2 & 0x7FFF << 15 | number >> 1 & 0x7FFF
