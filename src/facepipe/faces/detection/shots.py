"""Scene cuts from thumbnails: a new shot is unlike the old one, and stays so."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from facepipe.datatypes import Frame

BEFORE, AFTER = 3, 2  # thumbnails that a decision looks back and ahead
LEAST_CHANGE = 6.0  # mean code values of 8 bits under which nothing is a cut
UNLIKE, ALIKE = 0.6, 0.9  # correlation of two shots at most, of one before and after a flash
OUTSTANDING = 2.0  # a cut's change over the median of its neighbours': fast motion has no peak
# Where nothing else moves so, a new shot that happens to look like the old one is one, too.
SUDDEN, LESS_UNLIKE = 6.0, 0.8
_WIDTH, _HEIGHT, _SHIFT = 32, 18, 3
_NOISE = 4.0  # variance in code values squared that keeps a flat thumbnail's correlation tame

Thumbnail = NDArray[np.float32]


def thumbnail(frame: Frame) -> Thumbnail:
    """(18, 32) mean luma in code values of 8 bits."""
    small = cv2.resize(frame.luma, (_WIDTH, _HEIGHT), interpolation=cv2.INTER_AREA)
    return small.astype(np.float32) / np.float32(1 << (frame.format.bits - 8))


def is_cut(before: list[Thumbnail], after: list[Thumbnail]) -> bool:
    """Whether `after[0]` begins a new shot.

    `before` are up to BEFORE thumbnails that precede it, at least one; `after` it and up to AFTER
    that follow. Both in order of time.
    """
    old, new = before[-1], after[0]
    change = _change(old, new)
    alike = likeness(old, new) if change >= LEAST_CHANGE else 1.0
    if alike > LESS_UNLIKE:
        return False
    steps = [_change(one, other) for one, other in pairwise([*before, *after])]
    del steps[len(before) - 1]
    usual = float(np.median(steps)) if steps else 0.0
    if change < (OUTSTANDING if alike <= UNLIKE else SUDDEN) * usual:
        return False
    flash_begins = any(likeness(old, later) > ALIKE for later in after[1:])
    flash_ends = any(likeness(earlier, new) > ALIKE for earlier in before[:-1])
    return not (flash_begins or flash_ends)


def likeness(one: Thumbnail, other: Thumbnail) -> float:
    """The best correlation of the two over small shifts: a pan or a change of light is no cut."""
    best = -1.0
    middle = one[_SHIFT:-_SHIFT, _SHIFT:-_SHIFT]
    height, width = middle.shape
    flat = middle - middle.mean()
    spread = float((flat * flat).mean()) + _NOISE
    for top in range(2 * _SHIFT + 1):
        for left in range(2 * _SHIFT + 1):
            part = other[top : top + height, left : left + width]
            moved = part - part.mean()
            shared = float((flat * moved).mean()) + _NOISE
            best = max(best, shared / (spread * (float((moved * moved).mean()) + _NOISE)) ** 0.5)
    return best


def _change(one: Thumbnail, other: Thumbnail) -> float:
    return float(np.abs(one - other).mean())
