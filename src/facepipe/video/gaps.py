"""Find lost frames: gaps in time where bytes of the file belong to no packet."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from facepipe.datatypes import Damage

#: Share of a usual packet that a lost frame leaves behind at least.
_LEAST_SHARE = 0.4
#: A frame rate is constant where this share of the steps differs from the usual by so little.
_CONSTANT_SHARE, _TOLERANCE = 0.75, 0.25
#: Packets on each side of a gap among which its bytes are searched: frames are reordered.
_NEIGHBOURS = 2
_NO_PTS = -(2**63)


class Layout:
    """Byte position, size and pts of every packet of all streams, in 24 bytes each."""

    def __init__(self) -> None:
        self._columns = array("q")

    def add(self, position: int | None, size: int, pts: int | None) -> None:
        """Note a packet; `pts` where it is one of the video, None for other streams."""
        if position is not None and position >= 0:
            self._columns.extend((position, size, _NO_PTS if pts is None else pts))

    def lost(self, all_pts: Sequence[int], step: int) -> list[Damage]:
        """Gaps between the sorted pts of the frames, usually `step` ticks long, that held frames.

        A gap alone is no damage: a video may pause. Bytes that belong to no packet must lie there,
        about as many as so many frames take, beyond what the container puts between packets.
        Nothing is found in a video of variable frame rate, or padded to a constant bit rate. Not
        for a container whose index leads to every packet: bytes between them mean nothing there.
        """
        rows = np.array(self._columns, np.int64).reshape(-1, 3)
        rows = rows[np.argsort(rows[:, 0], kind="stable")]
        own = np.flatnonzero(rows[:, 2] != _NO_PTS)
        gaps = _gaps(all_pts, step)
        if len(own) < 2 * _NEIGHBOURS or not gaps:
            return []
        unclaimed = _unclaimed(rows, own)
        usual = float(np.median(unclaimed))
        frame = float(np.median(rows[own, 1]))
        if usual > frame * _LEAST_SHARE:
            return []
        at = {int(pts): number for number, pts in enumerate(rows[own, 2])}
        found = []
        for before, after, missing in gaps:
            if before not in at or after not in at:
                continue
            first = max(min(at[before], at[after]) - _NEIGHBOURS, 0)
            stop = min(max(at[before], at[after]) + _NEIGHBOURS, len(unclaimed))
            spare = float(unclaimed[first:stop].sum()) - usual * (stop - first + missing)
            if spare >= _LEAST_SHARE * frame * missing:
                last = max(after - step, before + step)
                found.append(Damage(before + step, last, missing, "are lost"))
        return found


def _unclaimed(rows: NDArray[np.int64], own: NDArray[np.intp]) -> NDArray[np.int64]:
    """Bytes between each packet of the video and its next that belong to no packet."""
    claimed = np.concatenate([np.zeros(1, np.int64), np.cumsum(rows[:, 1])])
    between: NDArray[np.int64] = np.diff(rows[own, 0]) - np.diff(claimed[own])
    return between


def _gaps(all_pts: Sequence[int], step: int) -> list[tuple[int, int, int]]:
    """Neighbouring pts between which frames are missing by the usual step, and how many."""
    times = np.asarray(all_pts, np.int64)
    steps = np.diff(times) / max(step, 1)
    if not len(steps) or np.mean(np.abs(steps - 1) <= _TOLERANCE) < _CONSTANT_SHARE:
        return []
    missing = np.floor(steps + _TOLERANCE).astype(np.int64) - 1
    at = np.flatnonzero(missing > 0)
    return [(int(times[k]), int(times[k + 1]), int(missing[k])) for k in at]
