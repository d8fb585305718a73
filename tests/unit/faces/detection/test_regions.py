from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from facepipe.faces.detection.regions import (
    CELL,
    CHANGE,
    DARK,
    LEAST_CELLS,
    MOST_EXPOSED,
    WORTH,
    Box,
    cell_luma,
    changed,
    merged,
    patches_around,
    tiles,
)

WHOLE = (0, 0, 320, 180)


def area(box: Box, margin: int = 0) -> int:
    return (box[2] - box[0] + 2 * margin) * (box[3] - box[1] + 2 * margin)


def covered(boxes: list[Box]) -> NDArray[np.int64]:
    """(H, W) how many boxes hold each pixel."""
    held = np.zeros((WHOLE[3], WHOLE[2]), np.int64)
    for left, top, right, bottom in boxes:
        held[top:bottom, left:right] += 1
    return held


@st.composite
def boxes_within(draw: st.DrawFn) -> Box:
    left, top = draw(st.integers(0, 310)), draw(st.integers(0, 170))
    return left, top, draw(st.integers(left + 1, 320)), draw(st.integers(top + 1, 180))


@settings(deadline=None)
@given(st.lists(boxes_within(), max_size=12), st.integers(0, 64))
def test_merged_patches_hold_every_box_once_and_cost_no_more(boxes: list[Box], margin: int) -> None:
    patches = merged(boxes, WHOLE, margin=margin)
    held = covered(patches)
    assert held.max(initial=0) <= 1
    assert (held[covered(boxes) > 0] == 1).all()
    if patches != [WHOLE]:
        assert sum(area(one, margin) for one in patches) <= WORTH * area(WHOLE, margin)


def test_patches_that_lie_close_are_one_and_distant_ones_two() -> None:
    near, far = [(0, 0, 40, 40), (48, 0, 88, 40)], [(0, 0, 40, 40), (200, 100, 240, 140)]
    assert merged(near, WHOLE, margin=16) == [(0, 0, 88, 40)]
    assert sorted(merged(far, WHOLE, margin=16)) == far
    assert merged(near, WHOLE, margin=0) != [(0, 0, 88, 40)]


def test_a_patch_around_a_point_is_cut_to_what_it_lies_in() -> None:
    points = np.array([[10, 10], [100, 50], [400, 50], [1e30, -1e30]], np.float32)
    reach = np.array([20, 5, 12, 3], np.float32)
    patches = patches_around(points, reach, (2, 0, 320, 178), margin=0)
    assert sorted(patches) == [(2, 0, 34, 32), (94, 44, 106, 56)]
    assert patches_around(points[:0], reach[:0], WHOLE, margin=8) == []


@settings(deadline=None)
@given(boxes_within(), st.integers(1, 4), st.integers(60_000, 200_000))
def test_tiles_share_out_a_patch_and_none_is_too_large(patch: Box, scale: int, most: int) -> None:
    cores = list(tiles(patch, scale, margin=64, most=most))
    held = covered(cores)
    assert held.sum() == area(patch)
    assert held.max() == 1
    # A core is as large as another but for the rounding of its sides to whole pixels.
    assert max(area(core, -(-64 // scale)) * scale**2 for core in cores) <= most * 1.1


def test_light_that_changes_everywhere_is_no_change_and_a_patch_is() -> None:
    image = np.random.default_rng(0).integers(40, 160, (45, 50, 3)).astype(np.uint8)
    before = cell_luma(image)
    assert before.shape == (12, 13)
    darker = (image * 0.9).astype(np.uint8)
    assert not changed(before, cell_luma(darker)).any()
    darker[8:20, 8:20] = 250
    mask = changed(before, cell_luma(darker))
    assert mask[8 // CELL : 20 // CELL, 8 // CELL : 20 // CELL].all()
    assert mask.sum() == 9


@pytest.mark.parametrize("cut", [(0, 0, 4, 4), (0, 0, 8, 4)])
def test_a_speck_is_no_change(cut: Box) -> None:
    before = cell_luma(np.full((40, 40, 3), 100, np.uint8))
    image = np.full((40, 40, 3), 100, np.uint8)
    image[cut[1] : cut[3], cut[0] : cut[2]] = 255
    assert not changed(before, cell_luma(image)).any()


@given(st.integers(0, 10**6), st.floats(0, 1), st.integers(0, 30))
@settings(max_examples=60, deadline=None)
def test_the_common_change_of_exposure_is_the_median_ratio(
    seed: int, share: float, step: int
) -> None:
    rng = np.random.default_rng(seed)
    before = rng.integers(0, 256, (11, 17)).astype(np.float32)
    moved = rng.random(before.shape) < share
    off = rng.integers(-step, step + 1, before.shape)
    now = np.clip(np.where(moved, before + off, before), 0, 255).astype(np.float32)
    ratios = np.sort(((now + DARK) / (before + DARK)).ravel())
    exposure = np.clip(ratios[ratios.size // 2], 1 / MOST_EXPOSED, MOST_EXPOSED)
    differs = (np.abs(now - before * exposure) > CHANGE).astype(np.uint8)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(differs, connectivity=8)
    large = [k for k in range(1, len(stats)) if stats[k, cv2.CC_STAT_AREA] >= LEAST_CELLS]
    np.testing.assert_array_equal(changed(before, now), np.isin(labels, large))
