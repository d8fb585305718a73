"""Change detection: the patches of an image in which a search for faces is worth its time.

Works on cells of CELL x CELL pixels; a patch is a box in pixels: left, top, right, bottom.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

CELL, CHANGE = 4, 6  # px a side of a cell; change of its mean luma from which it has changed
LEAST_CELLS = 3  # fewer connected ones that changed are smaller than any face
# Ratio of exposure up to which nothing is searched anew; luma that may be noise alone.
MOST_EXPOSED, DARK = 1.15, 4
WORTH = 0.85  # share of the whole from which the whole is searched

Box = tuple[int, int, int, int]


def cell_luma(bgr: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Mean luma of each cell of a (H, W, 3) BGR image; the last row and column may be narrower."""
    height, width = bgr.shape[:2]
    size = (-(-width // CELL), -(-height // CELL))
    grey = cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY)
    grey = cv2.copyMakeBorder(
        grey, 0, size[1] * CELL - height, 0, size[0] * CELL - width, cv2.BORDER_REPLICATE
    )
    return cv2.resize(grey, size, interpolation=cv2.INTER_AREA).astype(np.float32)


def changed(before: NDArray[np.float32], now: NDArray[np.float32]) -> NDArray[np.uint8]:
    """1 for each cell whose `cell_luma` differs, after the common change of exposure is removed.

    A change of exposure alone shows nothing new. Fewer than LEAST_CELLS connected cells are noise.
    """
    exposure = _median_ratio(before + DARK, now + DARK)
    expected = before * np.float32(np.clip(exposure, 1 / MOST_EXPOSED, MOST_EXPOSED))
    mask = (np.abs(now - expected) > CHANGE).astype(np.uint8)
    if not mask.any():
        return mask
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    large = stats[:, cv2.CC_STAT_AREA] >= LEAST_CELLS
    large[0] = False
    return np.asarray(large[labels], np.uint8)


def _median_ratio(before: NDArray[np.float32], now: NDArray[np.float32]) -> float:
    """The upper median of `now` / `before`.

    What did not change is counted, not partitioned: that is slow where values are equal.
    """
    middle = now.size // 2
    darker = now < before
    less, same = np.count_nonzero(darker), np.count_nonzero(now == before)
    if less <= middle < less + same:
        return 1.0
    which, place = (darker, middle) if middle < less else (now > before, middle - less - same)
    return float(np.partition(now[which] / before[which], place)[place])


def dilated(mask: NDArray[np.uint8], reach: int) -> NDArray[np.uint8]:
    """The mask dilated by `reach` pixels: all cells within that distance are set."""
    side = 2 * (reach // CELL + 1) + 1
    return np.asarray(cv2.dilate(mask, np.ones((side, side), np.uint8)), np.uint8)


def patches_around(
    points: NDArray[np.float32], reach: NDArray[np.float32], within: Box, *, margin: int
) -> list[Box]:
    """Patches of `within` that reach (N,) pixels around (N, 2) points (x, y), as by `merged`."""
    low = np.clip(points - reach[:, None], within[:2], within[2:]) - within[:2]
    high = np.clip(points + reach[:, None] + 1, within[:2], within[2:]) - within[:2]
    there = (high > low).all(1)
    first = np.floor(low[there] / CELL).astype(int)
    stop = np.ceil(high[there] / CELL).astype(int)
    width, height = within[2] - within[0], within[3] - within[1]
    mask = np.zeros((-(-height // CELL), -(-width // CELL)), np.uint8)
    for (x0, y0), (x1, y1) in zip(first.tolist(), stop.tolist(), strict=True):
        mask[y0:y1, x0:x1] = 1
    return components(mask, within, margin=margin)


def components(mask: NDArray[np.uint8], within: Box, *, margin: int) -> list[Box]:
    """Patches around the connected components of a mask of `within`'s cells, by `merged`."""
    left, top, right, bottom = within
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    boxes = [
        (
            *(left + x * CELL, top + y * CELL),
            *(min(left + (x + w) * CELL, right), min(top + (y + h) * CELL, bottom)),
        )
        for x, y, w, h, _ in stats[1:].tolist()
    ]
    return merged(boxes, within, margin=margin)


def merged(boxes: Sequence[Box], whole: Box, *, margin: int) -> list[Box]:
    """Disjoint patches that cover all `boxes`, merged so that few pixels are searched.

    Each is searched with `margin` pixels around it. So two that lie close are merged, and `whole`
    is returned where the patches are nearly all of it (WORTH).
    """
    kept: list[Box] = []
    waiting = list(boxes)
    while waiting:
        box = waiting.pop()
        for other in kept:
            both = _around_both(box, other)
            cheaper = _area(both, margin) <= _area(box, margin) + _area(other, margin)
            if cheaper or _meet(box, other):
                kept.remove(other)
                waiting.append(both)
                break
        else:
            kept.append(box)
    dear = sum(_area(box, margin) for box in kept) > WORTH * _area(whole, margin)
    return [whole] if dear else kept


def tiles(patch: Box, scale: int, *, margin: int, most: int) -> Iterator[Box]:
    """Tiles that partition `patch`, each of at most `most` pixels with its margin at `scale`."""
    left, top, right, bottom = patch
    width, height = (right - left) * scale, (bottom - top) * scale
    columns = rows = 1
    while (width / columns + 2 * margin) * (height / rows + 2 * margin) > most:
        if width / columns >= height / rows:
            columns += 1
        else:
            rows += 1
    across = np.linspace(left, right, columns + 1).astype(int).tolist()
    down = np.linspace(top, bottom, rows + 1).astype(int).tolist()
    for y0, y1 in pairwise(down):
        for x0, x1 in pairwise(across):
            yield x0, y0, x1, y1


def _around_both(one: Box, other: Box) -> Box:
    low = min(one[0], other[0]), min(one[1], other[1])
    return (*low, max(one[2], other[2]), max(one[3], other[3]))


def _meet(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _area(box: Box, margin: int) -> int:
    return (box[2] - box[0] + 2 * margin) * (box[3] - box[1] + 2 * margin)
