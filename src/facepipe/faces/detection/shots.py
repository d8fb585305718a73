"""Scene cut detection on thumbnails: a new shot differs from the old one, and goes on to differ."""

from __future__ import annotations

from itertools import pairwise
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from facepipe.datatypes import Frame, Plane

BEFORE, AFTER = 3, 2  # thumbnails before and after the one that a decision is about
LEAST_CHANGE = 6.0  # mean difference, code values of 8 bits, under which nothing is a cut
# Correlation of two shots at most, and of the frames before and after a flash at least.
CUT_CORRELATION, FLASH_CORRELATION = 0.6, 0.9
CUT_PEAK = 2.0  # a cut's difference over the median of its neighbours': fast motion has no peak
# A new shot may correlate so much with the old one where its difference has so high a peak.
SUDDEN_CORRELATION, SUDDEN_PEAK = 0.8, 6.0
_WIDTH, _HEIGHT, _SHIFT = 32, 18, 3
#: Change of a place's mean luma, code values of 8 bits, up to which it shows the same.
STILL = 3
_NOISE = 4.0  # variance, code values squared, that bounds the correlation of flat thumbnails

#: Weights of R, G and B in a grey (ITU-R BT.601).
_GRAY = np.array([[0.299, 0.587, 0.114]])

Thumbnail = NDArray[np.float32]


def reduced_luma(frame: Frame) -> Plane:
    """Mean luma of each 4 x 4 px, in levels of the frame; of tiny frames the luma itself."""
    return _reduced(frame.luma)


def reduced_gray(frame: Frame, luma: Plane) -> Plane:
    """What `is_still` compares: the `reduced_luma`, and of RGB all three colours by weight.

    Of RGB the luma is the green plane alone, which red or blue light leaves as it is.
    """
    if frame.format.model != "rgb":
        return luma
    red, _, blue = frame.planes[:3]
    colours = cv2.merge((_reduced(red), luma, _reduced(blue)))
    return cast("Plane", cv2.transform(colours, _GRAY))


def _reduced(small: Plane) -> Plane:
    """Means of each 4 x 4 px, in two steps, which is several times as fast as one."""
    for _ in range(2):
        height, width = small.shape[0] // 2, small.shape[1] // 2
        if height < 2 * _HEIGHT or width < 2 * _WIDTH:
            break
        half = cv2.resize(small, (width, height), interpolation=cv2.INTER_AREA)
        small = cast("Plane", half)
    return small


def thumbnail(reduced: Plane, bits: int) -> Thumbnail:
    """(18, 32) mean luma in code values of 8 bits, from the `reduced_luma` of a frame of `bits`."""
    small = cv2.resize(reduced, (_WIDTH, _HEIGHT), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32) / np.float32(1 << (bits - 8))


def is_still(before: Plane, now: Plane, bits: int) -> bool:
    """Whether nothing moved between the `reduced_gray` of two frames of `bits`.

    Then no place changed by more than STILL, which is half of what is searched again.
    """
    if before.shape != now.shape:
        return False
    return cv2.norm(before, now, cv2.NORM_INF) <= STILL * (1 << (bits - 8))


def is_cut(before: list[Thumbnail], after: list[Thumbnail]) -> bool:
    """Whether `after[0]` begins a new shot.

    `before` are the 1 to BEFORE thumbnails that precede it; `after` are it and up to AFTER that
    follow, both in order of time.
    """
    old, new = before[-1], after[0]
    change = _change(old, new)
    similar = correlation(old, new) if change >= LEAST_CHANGE else 1.0
    if similar > SUDDEN_CORRELATION:
        return False
    steps = [_change(one, other) for one, other in pairwise([*before, *after])]
    del steps[len(before) - 1]
    usual = float(np.median(steps)) if steps else 0.0
    if change < (CUT_PEAK if similar <= CUT_CORRELATION else SUDDEN_PEAK) * usual:
        return False
    flash_begins = any(correlation(old, later) > FLASH_CORRELATION for later in after[1:])
    flash_ends = any(correlation(earlier, new) > FLASH_CORRELATION for earlier in before[:-1])
    return not (flash_begins or flash_ends)


def correlation(one: Thumbnail, other: Thumbnail) -> float:
    """The highest normalized cross-correlation of the two over small shifts, in [-1, 1].

    So a pan or a change of light is no cut.
    """
    middle = one[_SHIFT:-_SHIFT, _SHIFT:-_SHIFT]
    height, width = middle.shape
    flat = middle - middle.mean()
    spread = float((flat * flat).mean()) + _NOISE
    # Of every shift at once: the mean product with `flat`, whose mean is 0, and the variance.
    shared = cv2.matchTemplate(other, flat, cv2.TM_CCORR) / flat.size + _NOISE
    inner = np.s_[height // 2 :, width // 2 :]
    mean, square = (
        np.asarray(cv2.blur(part, (width, height)))[inner][: shared.shape[0], : shared.shape[1]]
        for part in (other, other * other)
    )
    return float((shared / np.sqrt(spread * (square - mean * mean + _NOISE))).max())


def _change(one: Thumbnail, other: Thumbnail) -> float:
    return float(np.abs(one - other).mean())
