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
    SIDE_FRAMES,
    VIDEO_CODECS,
    Codec,
    Degradation,
    FaceMotion,
    _optical_blur,
    _Scene,
    degrade,
    degrade_sequence,
    draw_degradation,
)

DrawnFace = Callable[[int], tuple[NDArray[np.uint8], NDArray[np.uint8]]]

CLEAN = Degradation(
    size=40, blur=0, motion_blur=0, motion_blur_angle=0, noise=0, chroma_noise=0, codec="none",
    quality=90, preset="fast", frames=5, reference=2, motion=FaceMotion(), seed=0,
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
    assert all(
        12 <= d.size <= CANVAS and SIDE_FRAMES <= d.reference < d.frames - SIDE_FRAMES
        for d in drawn
    )
    assert all(30 <= d.quality < 96 for d in drawn if d.codec == "jpeg")
    assert all(18 <= d.quality < 38 for d in drawn if d.codec in VIDEO_CODECS)
    assert np.median([d.size for d in drawn]) == pytest.approx(28, rel=0.2)


def test_typical_videos_are_mostly_coded() -> None:
    rng = np.random.default_rng(0)
    drawn = [draw_degradation(rng, video=True) for _ in range(400)]
    assert np.mean([d.codec in VIDEO_CODECS for d in drawn]) == pytest.approx(0.85, abs=0.05)
    assert np.median([d.size for d in drawn]) == pytest.approx(36, rel=0.2)


@pytest.mark.parametrize("codec", ["none", "jpeg", "h264", "h265"])
@pytest.mark.parametrize("size", [12.0, 20.3, 77.0])  # 20.3 gives video an odd side
def test_same_record_gives_the_same_pixels(
    codec: Codec, size: float, drawn_face: DrawnFace
) -> None:
    params = replace(
        CLEAN, size=size, codec=codec, quality=30, noise=4, chroma_noise=0.5, blur=0.6,
        motion_blur=2, frames=7, motion=FaceMotion((1.0, -1.0), 0.01, 0.01, 0.5, 0.5),
    )  # fmt: skip
    face, _ = drawn_face(0)
    one, other = degrade(face, params), degrade(face.copy(), params)
    assert one.shape == (CANVAS, CANVAS, 3)
    assert one.dtype == np.uint8
    np.testing.assert_array_equal(one, other)
    assert not np.array_equal(one, degrade(face, replace(params, seed=1)))


def test_nothing_done_to_a_face_leaves_it_exact(drawn_face: DrawnFace) -> None:
    face, _ = drawn_face(1)
    np.testing.assert_array_equal(degrade(face, replace(CLEAN, size=128)), face[INNER])


@pytest.mark.parametrize("codec", ["none", "jpeg", "h264", "h265"])
@pytest.mark.parametrize("size", [12.0, 16.0, 33.3, 90.0])
def test_degraded_face_stays_in_its_place(size: float, codec: Codec) -> None:
    """The reference frame shows the face where the truth does, whatever moved before it."""
    rising = np.repeat(np.repeat(np.arange(160, dtype=np.uint8)[None, :, None], 160, 0), 3, 2)
    quality = 18 if codec in VIDEO_CODECS else 95
    params = replace(
        CLEAN, size=size, codec=codec, quality=quality, frames=6, reference=3,
        motion=FaceMotion((3.0, -2.0), misalignment=1.0),
    )  # fmt: skip
    errors = []
    for ramp in (rising, np.ascontiguousarray(rising[:, ::-1])):
        inner = degrade(ramp, params).astype(float)[20:-20, 20:-20]
        errors.append(float((inner - ramp[INNER].astype(float)[20:-20, 20:-20]).mean()))
    shift = (errors[0] - errors[1]) / 2  # what a codec does to brightness is the same in both
    # One code value a pixel. Other frames were up to 11 px away; codecs remember a little of them,
    # a third of a coded pixel at most.
    assert abs(shift) < (max(0.3 * CANVAS / size, 0.8) if codec in VIDEO_CODECS else 0.8)


def test_worse_settings_lose_more(drawn_face: DrawnFace) -> None:
    face, _ = drawn_face(2)

    def lost(**changes: object) -> float:
        params = replace(CLEAN, size=64, **changes)  # type: ignore[arg-type]
        return error(degrade(face, params), face[INNER])

    assert lost() < lost(blur=1.0) < lost(blur=3.0)
    assert lost() < lost(noise=12.0)
    assert lost(codec="jpeg", quality=95) < lost(codec="jpeg", quality=10)
    assert lost(codec="h264", quality=18) < lost(codec="h264", quality=45)
    assert lost() < lost(motion_blur=3.0)


def test_motion_does_not_move_the_reference_frame(drawn_face: DrawnFace) -> None:
    face, _ = drawn_face(3)
    still = replace(CLEAN, size=64, codec="h264", quality=10, frames=7, reference=4)
    moving = replace(still, motion=FaceMotion((4.0, 0.0), 0.02, 0.02, 1.0, 2.0))
    assert error(degrade(face, still), degrade(face, moving)) < 4


@pytest.mark.parametrize("codec", ["none", "jpeg", "h264", "h265"])
def test_a_sequence_has_the_reference_frame_in_its_middle(
    codec: Codec, drawn_face: DrawnFace
) -> None:
    face, _ = drawn_face(1)
    params = replace(
        CLEAN,
        codec=codec,
        quality=40,
        frames=7,
        reference=3,
        noise=3,
        motion=FaceMotion((2.0, 1.0)),
    )
    sequence = degrade_sequence(face, params)
    canvases = sequence.canvases
    assert sequence.to_frame.shape == (2 * SIDE_FRAMES + 1, 2, 3)
    assert canvases.shape == (2 * SIDE_FRAMES + 1, CANVAS, CANVAS, 3)
    np.testing.assert_array_equal(canvases[SIDE_FRAMES], degrade(face, params))
    for other in (0, 1, 3, 4):  # noise of its own, sub-pixel places of its own
        assert not np.array_equal(canvases[other], canvases[SIDE_FRAMES])


def test_canvases_follow_the_face(drawn_face: DrawnFace) -> None:
    """A face that wanders, turns and grows stands still on its canvases."""
    face, _ = drawn_face(2)
    face = np.asarray(cv2.GaussianBlur(face, (0, 0), 4), np.uint8)
    moved = replace(CLEAN, size=100, motion=FaceMotion((2.5, -1.5), 0.03, 0.02))
    inner = np.s_[:, 24:-24, 24:-24]
    sequence = degrade_sequence(face, moved).canvases.astype(float)[inner]
    assert np.abs(sequence - sequence[SIDE_FRAMES]).mean() < 0.6
    for change in ({"misalignment": 3.0}, {"bend": 3.0}):
        off = replace(moved, motion=replace(moved.motion, **change))
        others = degrade_sequence(face, off).canvases.astype(float)[inner]
        assert np.abs(others - others[SIDE_FRAMES]).mean() > 1.2, change


def test_canvases_know_where_their_pixels_lie(drawn_face: DrawnFace) -> None:
    """Sampling the frame again by `to_frame` gives the canvas."""
    face, _ = drawn_face(2)
    params = replace(CLEAN, size=32, motion=FaceMotion((3.0, -2.0), 0.02, 0.01, misalignment=1.0))
    sequence = degrade_sequence(face, params)
    for number, to_frame in enumerate(sequence.to_frame):
        small = _Scene(_optical_blur(face, params, 40), params, 40).frame(number)
        canvas = resampled(small, to_frame)
        np.testing.assert_array_equal(canvas, sequence.canvases[number])


def test_interlaced_rows_are_seen_half_a_frame_later(drawn_face: DrawnFace) -> None:
    face, _ = drawn_face(3)
    moving = replace(CLEAN, size=128, motion=FaceMotion((8.0, 0.0)))
    difference = np.abs(
        degrade(face, replace(moving, interlaced=True)).astype(int) - degrade(face, moving)
    ).mean((1, 2))
    assert difference[::2].max() == 0
    assert difference[1::2].mean() > 2


def test_a_sequence_needs_frames_on_both_sides(drawn_face: DrawnFace) -> None:
    face, _ = drawn_face(0)
    for reference in (1, 3):
        with pytest.raises(ValueError, match="fewer than 2"):
            degrade_sequence(face, replace(CLEAN, reference=reference))


@pytest.mark.parametrize("codec", VIDEO_CODECS)
def test_video_is_coded_the_same_every_time(codec: Codec) -> None:
    """Small frames with motion were once coded differently each time, see _DETERMINISTIC."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (160, 160, 3), dtype=np.uint8)
    face = cv2.GaussianBlur(noise, (0, 0), 5)
    for size in (19.0, 24.5, 25.6, 108.9):
        params = replace(CLEAN, size=size, codec=codec, quality=30, motion=FaceMotion((1.8, -1.9)))
        junk: list[NDArray[np.uint8]] = []
        seen = set()
        for _ in range(12):
            junk.append(rng.integers(0, 256, int(rng.integers(1, 300_000)), dtype=np.uint8))
            seen.add(degrade(face, params).tobytes())
        assert len(seen) == 1, size
