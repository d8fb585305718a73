"""Closed groups of pictures (GOPs): runs of packets that decode alone and can be moved whole."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np


class PacketInfo(NamedTuple):
    """What the groups of pictures depend on, of one video packet."""

    pts: int | None
    is_random_access: bool  # a keyframe that can follow any other packet
    is_intact: bool  # shown, not corrupt, and with a pts of its own


def closed_gops(packets: Sequence[PacketInfo]) -> tuple[tuple[int, int], ...]:
    """Find half-open pts ranges, by rising pts, given all packets of a video in decoding order.

    Each begins with a frame that decodes alone, and holds the same frames in decoding order as in
    presentation order. Groups with a packet that is not intact are left out.
    """
    known = [packet.pts for packet in packets if packet.pts is not None]
    if not known:
        return ()
    low, high = min(known) - 1, max(known) + 1
    found: list[tuple[int, int]] = []
    for first, stop in pairwise([*_starts(packets, low, high), len(packets)]):
        if _is_intact(packets[first:stop]):
            end = packets[stop].pts if stop < len(packets) else high
            found.append((packets[first].pts, end))  # type: ignore[arg-type]
    return tuple(found)


def _starts(packets: Sequence[PacketInfo], low: int, high: int) -> list[int]:
    """Places where a group begins; all pts lie between `low` and `high`, both excluded."""
    before = np.array([low] + [low if p.pts is None else p.pts for p in packets])[:-1]
    after = np.array([high if p.pts is None else p.pts for p in packets])
    before = np.maximum.accumulate(before)
    after = np.minimum.accumulate(after[::-1])[::-1]
    return [
        at
        for at, packet in enumerate(packets)
        if packet.is_random_access and packet.pts is not None
        if before[at] < packet.pts <= after[at]
    ]


def _is_intact(group: Sequence[PacketInfo]) -> bool:
    times = {packet.pts for packet in group}
    return all(packet.is_intact for packet in group) and len(times) == len(group)
