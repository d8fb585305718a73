from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from facepipe.datatypes import Colour, Frame, PixelFormat
from facepipe.faces.detection.shots import (
    correlation,
    is_cut,
    is_still,
    reduced_gray,
    reduced_luma,
    thumbnail,
)
from media.shots import frame, shot


def cuts_of(images: list[NDArray[np.uint8]]) -> list[int]:
    small = [thumbnail(reduced_luma(frame(0, image)), 8) for image in images]
    return [k for k in range(1, len(small)) if is_cut(small[max(k - 3, 0) : k], small[k : k + 3])]


def test_pans_light_and_noise_are_no_cuts() -> None:
    rng = np.random.default_rng(0)
    assert cuts_of([shot(1, k, 4.0) for k in range(20)]) == []
    assert cuts_of([shot(1, k) // (2 if k > 9 else 1) for k in range(20)]) == []
    noisy = [np.clip(shot(1, 0) + rng.normal(0, 25, (72, 128, 1)), 0, 255) for _ in range(9)]
    assert cuts_of([image.astype(np.uint8) for image in noisy]) == []


@pytest.mark.parametrize("length", [1, 2])
def test_a_flash_is_no_cut(length: int) -> None:
    white = np.full((72, 128, 3), 250, np.uint8)
    assert cuts_of([white if 8 <= k < 8 + length else shot(1, k) for k in range(20)]) == []


def test_a_fade_to_black_is_no_cut_and_a_cut_from_black_is_one() -> None:
    fade = [(shot(1, k) * max(1 - k / 10, 0)).astype(np.uint8) for k in range(14)]
    assert cuts_of(fade) == []
    assert cuts_of([*fade, *(shot(4, k) for k in range(6))]) == [14]


@pytest.mark.parametrize("seed", range(2, 8))
def test_a_cut_is_one(seed: int) -> None:
    assert cuts_of([shot(1 if k < 6 else seed, k, 2.0) for k in range(12)]) == [6]
    assert correlation(*(thumbnail(reduced_luma(frame(0, shot(1, k))), 8) for k in (0, 1))) > 0.95


def test_thumbnails_are_in_codes_of_eight_bits() -> None:
    plane = np.full((20, 40), 400, np.uint16)
    ten = Frame(pts=0, format=PixelFormat("gray10le", "gray", 10), colour=Colour(), planes=(plane,))
    np.testing.assert_array_equal(thumbnail(reduced_luma(ten), 10), 100)


@pytest.mark.parametrize("size", [(72, 128), (432, 768), (271, 481), (1080, 1920), (20, 40)])
def test_a_thumbnail_is_the_mean_of_the_whole_frame(size: tuple[int, int]) -> None:
    blobs = np.random.default_rng(size[0]).uniform(20, 230, (9, 16)).astype(np.float32)
    image = cv2.resize(blobs, size[::-1], interpolation=cv2.INTER_CUBIC)
    luma = np.clip(image, 0, 255).astype(np.uint8)
    plain = cv2.resize(luma, (32, 18), interpolation=cv2.INTER_AREA)
    found = thumbnail(reduced_luma(frame(0, luma[..., None].repeat(3, -1))), 8)
    off = np.abs(found - np.asarray(plain, np.float32))
    assert off.max() <= 2  # each of three steps rounds, and so does the plain one


def test_a_scene_is_still_until_a_place_of_it_changes() -> None:
    before = np.full((72, 128, 3), 100, np.uint8)
    lighter, moved = before + 3, before.copy()
    moved[40:44, 60:64] += 4
    first, *others = [reduced_luma(frame(0, image)) for image in (before, lighter, moved)]
    assert is_still(first, others[0], 8)
    assert not is_still(first, others[1], 8)
    assert not is_still(first, first[:9], 8)
    assert is_still(first.astype(np.uint16) << 2, (first.astype(np.uint16) << 2) + 12, 10)
    assert not is_still(first.astype(np.uint16) << 2, (first.astype(np.uint16) << 2) + 13, 10)


@pytest.mark.parametrize("side", [1, 4])
@pytest.mark.parametrize("colour", range(3))
def test_a_change_in_light_of_any_colour_is_none_of_a_still_scene(colour: int, side: int) -> None:
    before = np.full((18 * side, 32 * side, 3), 20, np.uint8)
    after = before.copy()
    after[:side, :side, colour] = 120
    first, second = (
        reduced_gray(shown, reduced_luma(shown)) for shown in (frame(0, before), frame(1, after))
    )
    assert is_still(first, first.copy(), 8)
    assert not is_still(first, second, 8)
    assert second[0, 0] == round(20 + 100 * (0.299, 0.587, 0.114)[colour])


@pytest.mark.parametrize("seed", range(6))
def test_the_correlation_is_the_highest_of_every_shift_by_itself(seed: int) -> None:
    rng = np.random.default_rng(seed)
    one = rng.uniform(0, 255, (18, 32)).astype(np.float32) if seed else np.full((18, 32), 90.0)
    other = np.roll(0.7 * one + rng.normal(0, 9 * seed, one.shape), seed - 2, 1)
    one, other = one.astype(np.float32), other.astype(np.float32)
    middle = one[3:-3, 3:-3] - one[3:-3, 3:-3].mean()
    parts = [other[top : top + 12, left : left + 26] for top in range(7) for left in range(7)]
    plain = [
        ((middle * (part - part.mean())).mean() + 4)
        / np.sqrt(((middle**2).mean() + 4) * (part.var() + 4))
        for part in parts
    ]
    assert correlation(one, other) == pytest.approx(max(plain), abs=1e-4)
