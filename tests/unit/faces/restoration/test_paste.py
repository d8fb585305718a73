"""Pasting: only the canvas changes, in every pixel format; nothing is taken away."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from facepipe.datatypes import Colour, Crops, Frame, PixelFormat, Restored
from facepipe.faces.canvas import frame_px_per_canvas_px
from facepipe.faces.restoration.enlarge import enlarge
from facepipe.faces.restoration.paste import _change, face_mask, paste
from media.planes import FORMATS, noise_frame

TO_FRAME = np.array([[0.25, 0.02, 30], [-0.02, 0.25, 24]])


def one_face(to_frame: np.ndarray = TO_FRAME, *, colour: float = 0.2) -> tuple[Crops, Restored]:
    rng = np.random.default_rng(3)
    crop = rng.uniform(0.3, 0.6, (1, 128, 128, 3)).astype(np.float32)
    crop[..., 0] += colour
    restored = np.clip(crop + rng.normal(0, 0.2, crop.shape), 0, 1).astype(np.float32)
    parse = np.zeros((1, 8, 32, 32), np.float32)
    parse[:, 1] = 1
    index = np.zeros(1, np.intp)
    return Crops(pixels=crop, to_frame=to_frame[None], frame=index, track=index), Restored(
        pixels=restored, parse=parse
    )


@pytest.mark.parametrize(("weight", "share"), [(0.0, 0.0), (0.5, 0.5), (1.0, 1.0)])
def test_a_face_is_changed_as_far_as_it_weighs(weight: float, share: float) -> None:
    frame = noise_frame(PixelFormat("gray", "gray", 8))
    crops, restored = one_face()
    weighed = replace(crops, weights=np.full(1, weight, np.float32))
    full, part = (
        paste([frame], given, restored, strength=1, fidelity=0.7, scale=1)[0].planes[0].astype(int)
        - frame.planes[0]
        for given in (crops, weighed)
    )
    np.testing.assert_allclose(part, share * full, atol=1)


@pytest.mark.parametrize("pixel", FORMATS, ids=lambda p: p.name)
def test_only_the_canvas_changes(pixel: PixelFormat) -> None:
    frame = noise_frame(pixel)
    crops, restored = one_face()
    (pasted,) = paste([frame], crops, restored, strength=1, fidelity=0.7, scale=1)
    for number, (before, after) in enumerate(zip(frame.planes, pasted.planes, strict=True)):
        assert before.dtype == after.dtype
        changed = np.argwhere(before != after)
        if pixel.alpha and number == 3:
            assert len(changed) == 0
            continue
        sx = before.shape[1] / frame.width
        sy = before.shape[0] / frame.height
        assert len(changed) > 20
        assert changed[:, 1].min() >= 29 * sx
        assert changed[:, 1].max() <= 66 * sx
        assert changed[:, 0].min() >= 20 * sy
        assert changed[:, 0].max() <= 57 * sy


def test_a_frame_without_a_face_is_the_same_object() -> None:
    frames = [noise_frame(FORMATS[0], seed=k) for k in range(2)]
    crops, restored = one_face()
    pasted = paste(frames, crops, restored, strength=1, fidelity=0.7, scale=1)
    assert pasted[1] is frames[1]
    assert pasted[0] is not frames[0]


def test_a_restorer_that_adds_nothing_changes_nothing() -> None:
    frame = noise_frame(FORMATS[0])
    crops, restored = one_face()
    same = Restored(pixels=crops.pixels, parse=restored.parse)
    for strength, given in ((1.0, same), (0.0, restored)):
        (pasted,) = paste([frame], crops, given, strength=strength, fidelity=0.7, scale=1)
        for before, after in zip(frame.planes, pasted.planes, strict=True):
            np.testing.assert_array_equal(before, after)


def test_light_and_colour_stay_the_source() -> None:
    frame = noise_frame(FORMATS[0])
    crops, _ = one_face()
    cast = np.array([0.2, -0.1, 0.1], np.float32)
    shifted = Restored(pixels=np.clip(crops.pixels + cast, 0, 1), parse=None)
    (pasted,) = paste([frame], crops, shifted, strength=1, fidelity=0.7, scale=1)
    for before, after in zip(frame.planes, pasted.planes, strict=True):
        assert np.abs(before.astype(int) - after).max() <= 3


def test_full_fidelity_adds_only_what_is_finer_than_the_source() -> None:
    frame = noise_frame(FORMATS[5], 160, 160)
    crops, restored = one_face(np.array([[0.25, 0, 40], [0, 0.25, 40]]))
    seen = []
    for fidelity in (0.0, 1.0):
        (pasted,) = paste([frame], crops, restored, strength=1, fidelity=fidelity, scale=1)
        seen.append(np.abs(pasted.planes[0].astype(int) - frame.planes[0]).mean())
    assert seen[1] < 0.6 * seen[0]


def test_grey_footage_stays_grey() -> None:
    plane = np.full((80, 100), 120, np.uint8)
    neutral = np.full((40, 50), 128, np.uint8)
    frame = Frame(pts=0, format=FORMATS[0], colour=Colour(), planes=(plane, neutral, neutral))
    crops, restored = one_face(colour=0)
    grey = np.repeat(crops.pixels.mean(3, keepdims=True), 3, 3)
    crops = Crops(pixels=grey, to_frame=crops.to_frame, frame=crops.frame, track=crops.track)
    (pasted,) = paste([frame], crops, restored, strength=1, fidelity=0.7, scale=1)
    assert (pasted.planes[0] != plane).any()
    np.testing.assert_array_equal(pasted.planes[1], neutral)
    np.testing.assert_array_equal(pasted.planes[2], neutral)


def test_a_face_as_large_as_the_canvas_is_handed_over() -> None:
    frame = noise_frame(FORMATS[0], 300, 300)
    changed = []
    for size in (0.8, 0.92, 0.999):
        crops, restored = one_face(np.array([[size, 0, 20], [0, size, 20]]))
        (pasted,) = paste([frame], crops, restored, strength=1, fidelity=0.7, scale=1)
        changed.append(float(np.abs(pasted.planes[0].astype(int) - frame.planes[0]).mean()))
    assert changed[0] > changed[1] > changed[2]
    assert changed[2] < 0.02 * changed[0]


def test_the_nearer_face_covers_the_one_behind() -> None:
    frame = noise_frame(FORMATS[5], 160, 160)
    near = np.array([[0.8, 0, 10], [0, 0.8, 10]])
    far = np.array([[0.2, 0, 48], [0, 0.2, 48]])  # wholly behind the near one's middle
    crops, restored = one_face()
    both = Crops(
        pixels=np.repeat(crops.pixels, 2, 0),
        to_frame=np.stack([far, near]),
        frame=np.zeros(2, np.intp),
        track=np.arange(2),
    )
    twice = Restored(pixels=np.repeat(restored.pixels, 2, 0), parse=np.repeat(restored.parse, 2, 0))
    alone = Crops(
        pixels=crops.pixels,
        to_frame=near[None],
        frame=np.zeros(1, np.intp),
        track=np.zeros(1, np.intp),
    )
    (together,) = paste([frame], both, twice, strength=1, fidelity=0.7, scale=1)
    (single,) = paste([frame], alone, restored, strength=1, fidelity=0.7, scale=1)
    np.testing.assert_array_equal(together.planes[0], single.planes[0])


def test_a_large_paste_lies_where_the_small_one_does() -> None:
    frame = noise_frame(FORMATS[5])
    crops, restored = one_face()
    (small,) = paste([frame], crops, restored, strength=1, fidelity=0.7, scale=1)
    (large,) = paste([frame], crops, restored, strength=1, fidelity=0.7, scale=2)
    before = enlarge(frame, 2)
    rows = np.argwhere(large.planes[0] != before.planes[0])
    rows_small = np.argwhere(small.planes[0] != frame.planes[0])
    np.testing.assert_allclose(rows.mean(0), 2 * rows_small.mean(0) + 0.5, atol=1.5)


def test_the_mask_ends_before_the_canvas_does() -> None:
    parse = np.zeros((8, 32, 32), np.float32)
    parse[1] = 1
    for mask in (face_mask(None), face_mask(parse)):
        assert mask[64, 64] == 1
        assert mask[0].max() < 0.01
        assert mask[:, -1].max() < 0.01
    parse[0, :, 20:], parse[1, :, 20:] = 1, 0
    assert face_mask(parse)[64, 100] == 0


@pytest.mark.parametrize("colour", [0.0, 0.02, 0.2])
def test_a_change_is_what_the_plain_formulas_give(colour: float) -> None:
    crops, restored = one_face(colour=colour)
    crop, new = crops.pixels[0] * 0.1 + 0.4, restored.pixels[0]
    if colour == 0:
        crop = np.repeat(crop[..., :1], 3, -1)
    source = np.asarray(crop + 0.01, np.float32)
    parse = np.random.default_rng(1).random((8, 32, 32)).astype(np.float32)
    found = _change(crop, source, new, parse, TO_FRAME, 0.8, 0.3)

    alpha = face_mask(parse)
    invented = new - source
    known = cv2.GaussianBlur(invented, (0, 0), 0.35 / frame_px_per_canvas_px(TO_FRAME))
    invented = invented - np.float32(0.3) * known
    stacked = np.dstack([invented * alpha[..., None], alpha])
    small = cv2.resize(stacked, (32, 32), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), 7.5)
    drift = cv2.resize(small[..., :3] / np.maximum(small[..., 3:], 1e-3), (128, 128))
    difference = source - crop + invented - drift
    chroma = (crop.max(2) - crop.min(2)).mean()
    colourful = np.clip((chroma - 0.012) / (0.03 - 0.012), 0, 1)
    light = difference @ np.array([0.299, 0.587, 0.114])
    expected = colourful * difference + (1 - colourful) * light[..., None]
    np.testing.assert_allclose(found.alpha, 0.8 * alpha, atol=1e-6)
    np.testing.assert_allclose(found.rgb, 0.8 * alpha[..., None] * expected, atol=1e-5)
