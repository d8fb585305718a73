from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from facepipe.faces.canvas import resampled
from facepipe.training.degradations import (
    CANVAS,
    FILM,
    REACH,
    Codec,
    Degradation,
    Movement,
    _optical,
    _Scene,
    bicubic_reduced,
    degrade,
    degrade_sequence,
    draw_degradation,
)

DrawnFace = Callable[[int], tuple[NDArray[np.uint8], NDArray[np.uint8]]]

CLEAN = Degradation(
    size=40, blur=0, motion=0, motion_angle=0, noise=0, chroma_noise=0, codec="none",
    quality=90, preset="fast", frames=5, kept=2, movement=Movement(), seed=0,
)  # fmt: skip
INNER = np.s_[16:144, 16:144]


def error(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    return float(np.abs(one.astype(float) - other.astype(float)).mean())


def test_same_generator_draws_the_same_degradation() -> None:
    one, other = (draw_degradation(np.random.default_rng([4, 2])) for _ in range(2))
    assert one == other
    assert one != draw_degradation(np.random.default_rng([4, 3]))


def test_draws_stay_in_their_ranges_and_cover_every_codec() -> None:
    rng = np.random.default_rng(0)
    drawn = [draw_degradation(rng) for _ in range(400)]
    assert {d.codec for d in drawn} == {"none", "jpeg", "h264", "h265"}
    assert 0.01 < np.mean([d.interlaced for d in drawn]) < 0.1
    assert all(12 <= d.size <= CANVAS and REACH <= d.kept < d.frames - REACH for d in drawn)
    assert all(30 <= d.quality < 96 for d in drawn if d.codec == "jpeg")
    assert all(18 <= d.quality < 38 for d in drawn if d.codec in FILM)
    assert np.median([d.size for d in drawn]) == pytest.approx(28, rel=0.2)


def test_film_is_mostly_coded_as_video() -> None:
    rng = np.random.default_rng(0)
    drawn = [draw_degradation(rng, film=True) for _ in range(400)]
    assert np.mean([d.codec in FILM for d in drawn]) == pytest.approx(0.85, abs=0.05)
    assert np.median([d.size for d in drawn]) == pytest.approx(36, rel=0.2)


@pytest.mark.parametrize("codec", ["none", "jpeg", "h264", "h265"])
@pytest.mark.parametrize("size", [12.0, 20.3, 77.0])  # 20.3 gives film an odd side
def test_same_record_gives_the_same_pixels(
    codec: Codec, size: float, drawn_face: DrawnFace
) -> None:
    how = replace(
        CLEAN, size=size, codec=codec, quality=30, noise=4, chroma_noise=0.5, blur=0.6, motion=2,
        frames=7, movement=Movement((1.0, -1.0), 0.01, 0.01, 0.5, 0.5),
    )  # fmt: skip
    face, _ = drawn_face(0)
    one, other = degrade(face, how), degrade(face.copy(), how)
    assert one.shape == (CANVAS, CANVAS, 3)
    assert one.dtype == np.uint8
    np.testing.assert_array_equal(one, other)
    assert not np.array_equal(one, degrade(face, replace(how, seed=1)))


def test_nothing_done_to_a_face_leaves_it_exact(drawn_face: DrawnFace) -> None:
    face, _ = drawn_face(1)
    np.testing.assert_array_equal(degrade(face, replace(CLEAN, size=128)), face[INNER])


@pytest.mark.parametrize("codec", ["none", "jpeg", "h264", "h265"])
@pytest.mark.parametrize("size", [12.0, 16.0, 33.3, 90.0])
def test_degraded_face_stays_in_its_place(size: float, codec: Codec) -> None:
    """Whatever moved before it: the frame that is kept shows the face where the truth does."""
    rising = np.repeat(np.repeat(np.arange(160, dtype=np.uint8)[None, :, None], 160, 0), 3, 2)
    quality = 18 if codec in FILM else 95
    how = replace(
        CLEAN, size=size, codec=codec, quality=quality, frames=6, kept=3,
        movement=Movement((3.0, -2.0), misaligned=1.0),
    )  # fmt: skip
    errors = []
    for ramp in (rising, np.ascontiguousarray(rising[:, ::-1])):
        inner = degrade(ramp, how).astype(float)[20:-20, 20:-20]
        errors.append(float((inner - ramp[INNER].astype(float)[20:-20, 20:-20]).mean()))
    shift = (errors[0] - errors[1]) / 2  # what a codec does to brightness is the same in both
    # One code value a pixel. Other frames were up to 11 px away; codecs remember a little of them,
    # a third of a coded pixel at most.
    assert abs(shift) < (max(0.3 * CANVAS / size, 0.8) if codec in FILM else 0.8)


def test_worse_settings_lose_more(drawn_face: DrawnFace) -> None:
    face, _ = drawn_face(2)

    def lost(**changes: object) -> float:
        how = replace(CLEAN, size=64, **changes)  # type: ignore[arg-type]
        return error(degrade(face, how), face[INNER])

    assert lost() < lost(blur=1.0) < lost(blur=3.0)
    assert lost() < lost(noise=12.0)
    assert lost(codec="jpeg", quality=95) < lost(codec="jpeg", quality=10)
    assert lost(codec="h264", quality=18) < lost(codec="h264", quality=45)
    assert lost() < lost(motion=3.0)


def test_movement_leaves_the_kept_frame_where_it_is(drawn_face: DrawnFace) -> None:
    face, _ = drawn_face(3)
    still = replace(CLEAN, size=64, codec="h264", quality=10, frames=7, kept=4)
    moving = replace(still, movement=Movement((4.0, 0.0), 0.02, 0.02, 1.0, 2.0))
    assert error(degrade(face, still), degrade(face, moving)) < 4


@pytest.mark.parametrize("codec", ["none", "jpeg", "h264", "h265"])
def test_a_sequence_has_the_kept_frame_in_its_middle(codec: Codec, drawn_face: DrawnFace) -> None:
    face, _ = drawn_face(1)
    how = replace(
        CLEAN, codec=codec, quality=40, frames=7, kept=3, noise=3, movement=Movement((2.0, 1.0))
    )
    sighted = degrade_sequence(face, how)
    sequence = sighted.canvases
    assert sighted.to_frame.shape == (2 * REACH + 1, 2, 3)
    assert sequence.shape == (2 * REACH + 1, CANVAS, CANVAS, 3)
    np.testing.assert_array_equal(sequence[REACH], degrade(face, how))
    for other in (0, 1, 3, 4):  # noise of its own, sub-pixel places of its own
        assert not np.array_equal(sequence[other], sequence[REACH])


def test_canvases_follow_the_face(drawn_face: DrawnFace) -> None:
    """A face that wanders, turns and grows stands still on its canvases."""
    face, _ = drawn_face(2)
    face = np.asarray(cv2.GaussianBlur(face, (0, 0), 4), np.uint8)
    moved = replace(CLEAN, size=100, movement=Movement((2.5, -1.5), 0.03, 0.02))
    inner = np.s_[:, 24:-24, 24:-24]
    sequence = degrade_sequence(face, moved).canvases.astype(float)[inner]
    assert np.abs(sequence - sequence[REACH]).mean() < 0.6
    for change in ({"misaligned": 3.0}, {"bend": 3.0}):
        off = replace(moved, movement=replace(moved.movement, **change))
        others = degrade_sequence(face, off).canvases.astype(float)[inner]
        assert np.abs(others - others[REACH]).mean() > 1.2, change


def test_canvases_know_where_their_pixels_lie(drawn_face: DrawnFace) -> None:
    """Sampling the small picture again where `to_frame` says gives the canvas."""
    face, _ = drawn_face(2)
    how = replace(CLEAN, size=32, movement=Movement((3.0, -2.0), 0.02, 0.01, misaligned=1.0))
    sighted = degrade_sequence(face, how)
    for number, to_frame in enumerate(sighted.to_frame):
        small = _Scene(_optical(face, how, 40), how, 40).frame(number)
        canvas = resampled(small, to_frame)
        np.testing.assert_array_equal(canvas, sighted.canvases[number])


def test_interlaced_rows_are_seen_half_a_frame_later(drawn_face: DrawnFace) -> None:
    face, _ = drawn_face(3)
    moving = replace(CLEAN, size=128, movement=Movement((8.0, 0.0)))
    apart = np.abs(
        degrade(face, replace(moving, interlaced=True)).astype(int) - degrade(face, moving)
    ).mean((1, 2))
    assert apart[::2].max() == 0
    assert apart[1::2].mean() > 2


def test_a_sequence_needs_frames_on_both_sides(drawn_face: DrawnFace) -> None:
    face, _ = drawn_face(0)
    for kept in (1, 3):
        with pytest.raises(ValueError, match="fewer than 2"):
            degrade_sequence(face, replace(CLEAN, kept=kept))


def test_bicubic_reduced_keeps_flat_areas_and_loses_detail(drawn_face: DrawnFace) -> None:
    flat = np.full((128, 128, 3), 77, np.uint8)
    np.testing.assert_array_equal(bicubic_reduced(flat, 16), flat)
    canvas = drawn_face(0)[0][INNER]
    assert bicubic_reduced(canvas, 16).shape == canvas.shape
    losses = [error(bicubic_reduced(canvas, size), canvas) for size in (64, 32, 16)]
    assert losses == sorted(losses)


@pytest.mark.parametrize("codec", FILM)
def test_video_is_coded_the_same_every_time(codec: Codec) -> None:
    """Small pictures with motion once came out differently, see the encoder's options."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (160, 160, 3), dtype=np.uint8)
    face = cv2.GaussianBlur(noise, (0, 0), 5)
    for size in (19.0, 24.5, 25.6, 108.9):
        how = replace(CLEAN, size=size, codec=codec, quality=30, movement=Movement((1.8, -1.9)))
        junk: list[NDArray[np.uint8]] = []
        seen = set()
        for _ in range(12):
            junk.append(rng.integers(0, 256, int(rng.integers(1, 300_000)), dtype=np.uint8))
            seen.add(degrade(face, how).tobytes())
        assert len(seen) == 1, size
