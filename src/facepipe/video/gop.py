"""Closed groups of pictures: runs of packets that decode alone and can be moved whole."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np


class PacketInfo(NamedTuple):
    """What a video packet says of itself."""

    pts: int | None
    anew: bool  # a keyframe that can follow any other packet
    sound: bool  # shown, whole, and with a pts of its own


def closed_gops(packets: Sequence[PacketInfo]) -> tuple[tuple[int, int], ...]:
    """Half-open pts ranges, by rising pts, given all packets of a film in decoding order.

    Each begins with a picture that decodes alone, and holds the same pictures in decoding order as
    in the order of showing. Groups with a packet that is not sound are left out.
    """
    told = [p.pts for p in packets if p.pts is not None]
    if not told:
        return ()
    low, high = min(told) - 1, max(told) + 1
    before = np.array([low] + [low if p.pts is None else p.pts for p in packets])[:-1]
    after = np.array([high if p.pts is None else p.pts for p in packets])
    before = np.maximum.accumulate(before)
    after = np.minimum.accumulate(after[::-1])[::-1]
    cuts = [
        at
        for at, packet in enumerate(packets)
        if packet.anew and packet.pts is not None and before[at] < packet.pts <= after[at]
    ]
    found: list[tuple[int, int]] = []
    for first, stop in pairwise([*cuts, len(packets)]):
        group = packets[first:stop]
        times = {packet.pts for packet in group}
        if all(packet.sound for packet in group) and len(times) == len(group):
            end = packets[stop].pts if stop < len(packets) else high
            found.append((packets[first].pts, end))  # type: ignore[arg-type]
    return tuple(found)
