"""The canvas: aligned to the landmarks, sampled in any pixel format, never larger than the face."""

from __future__ import annotations

import numpy as np
import pytest

from facepipe.datatypes import CANVAS, Colour, Crops, Frame, PixelFormat, Track
from facepipe.faces.canvas import TEMPLATE
from facepipe.faces.restoration.crop import crop, sample

GRAY = PixelFormat("gray", "gray", 8)


def gray_frame(values: np.ndarray, pts: int = 0) -> Frame:
    return Frame(
        pts=pts, format=GRAY, colour=Colour("bt601", True), planes=(values.astype(np.uint8),)
    )


def still_track(landmarks: np.ndarray, number: int = 1, *, last: int = 100) -> Track:
    points = np.repeat(landmarks[None], 2, 0).astype(np.float32)
    corner = np.concatenate([landmarks.min(0), landmarks.max(0)]).astype(np.float32)
    return Track(
        number=number,
        pts=np.array([0, last]),
        boxes=np.repeat(corner[None], 2, 0),
        landmarks=points,
        scores=np.ones(2, np.float32),
    )


def test_a_ramp_is_sampled_where_it_lies() -> None:
    ramp = np.tile(np.arange(200), (160, 1))
    to_frame = np.array([[0.5, 0, 40.25], [0, 0.5, 30.0]])
    canvas = sample(gray_frame(ramp), to_frame)
    assert canvas is not None
    assert canvas.shape == (CANVAS, CANVAS, 3)
    expected = (0.5 * np.arange(CANVAS) + 40.25) / 255
    # OpenCV places samples to a thirty-second of a pixel.
    np.testing.assert_allclose(canvas[64, :, 0], expected, atol=0.02 / 2)


def test_the_edge_is_replicated_outside_the_frame() -> None:
    frame = gray_frame(np.full((40, 40), 77))
    canvas = sample(frame, np.array([[0.4, 0, -20.0], [0, 0.4, 5.0]]))
    assert canvas is not None
    np.testing.assert_allclose(canvas, 77 / 255, atol=1e-3)


def test_a_canvas_outside_the_frame_is_none() -> None:
    assert sample(gray_frame(np.zeros((40, 40))), np.array([[0.4, 0, 90.0], [0, 0.4, 5.0]])) is None


def test_a_window_is_cropped_as_one_batch() -> None:
    small = (TEMPLATE * 0.3 + 20).astype(np.float32)
    large = (TEMPLATE * 1.2).astype(np.float32)
    frames = [gray_frame(np.full((160, 160), 50 + k), pts=k * 60) for k in range(3)]
    tracks = [still_track(small, 4), still_track(large, 5), still_track(small + 30, 6, last=60)]
    refused = still_track(small, 7)
    refused = Track(
        number=7,
        pts=refused.pts,
        boxes=refused.boxes,
        landmarks=refused.landmarks,
        scores=refused.scores,
        enhance=False,
        reason="too short",
    )
    crops = crop(frames, [*tracks, refused])
    assert crops.frame.tolist() == [0, 0, 1, 1]
    assert crops.track.tolist() == [4, 6, 4, 6]
    np.testing.assert_allclose(crops.pixels[2], 51 / 255, atol=1e-3)


def shown_by_neighbours(crops: Crops) -> list[list[float]]:
    """The mean of all frames less the canvas, in steps of light, and the frames that agree."""
    seen = crops.network_input(0, 99)[:, 64, 64]
    return [[round(float(row[3]) * 255, 2), round(float(row[9]) * 4, 2)] for row in seen]


def test_frames_outside_the_window_are_neighbours() -> None:
    landmarks = (TEMPLATE * 0.3 + 20).astype(np.float32)
    frames = [gray_frame(np.full((100, 100), 2 * k), pts=100 * k) for k in range(9)]
    track = still_track(landmarks, last=600)  # shown by frames 0..6
    crops = crop(frames, [track], window=range(3, 6))
    assert crops.frame.tolist() == [0, 1, 2]
    # Two frames on each side, as bright in the mean; the last one lacks its second.
    assert shown_by_neighbours(crops) == [[0, 4], [0, 4], [pytest.approx(-1, abs=0.01), 3]]
    np.testing.assert_array_equal(crops.network_input(1, 2), crops.network_input(0, 3)[1:2])


def test_frames_with_a_long_gap_between_them_are_not_neighbours() -> None:
    landmarks = (TEMPLATE * 0.3 + 20).astype(np.float32)
    frames = [
        gray_frame(np.full((100, 100), 2 * k), pts=pts) for k, pts in enumerate((0, 10, 20, 60, 70))
    ]
    crops = crop(frames, [still_track(landmarks)], max_gap_pts=15)
    assert [count for _, count in shown_by_neighbours(crops)] == [1, 2, 1, 1, 1]
    assert crops.neighbours is not None
    alone = crop(frames, [still_track(landmarks)], max_gap_pts=5)
    assert alone.neighbours is not None
    assert not alone.neighbours.any()


def test_a_face_that_grew_too_large_is_still_a_neighbour() -> None:
    small, large = TEMPLATE * 0.9 + 20, TEMPLATE * 1.1
    points = np.stack([small, large]).astype(np.float32)
    corner = np.zeros((2, 4), np.float32)
    track = Track(
        number=1,
        pts=np.array([0, 10]),
        boxes=corner,
        landmarks=points,
        scores=np.ones(2, np.float32),
    )
    frames = [gray_frame(np.full((160, 160), 50), pts=pts) for pts in (0, 10)]
    crops = crop(frames, [track])
    assert crops.frame.tolist() == [0]
    assert shown_by_neighbours(crops) == [[0, 1]]


def test_a_profile_is_left_out() -> None:
    turned = TEMPLATE * 0.3 + 20
    turned[:, 0] = turned[:, 0].mean() + (turned[:, 0] - turned[:, 0].mean()) * 0.1
    frame = gray_frame(np.full((100, 100), 50))
    tracks = [still_track(turned.astype(np.float32)), still_track(TEMPLATE * 0.3 + 20, 2)]
    assert crop([frame], tracks).track.tolist() == [2]


def test_what_passes_in_front_of_a_face_is_left_out() -> None:
    rng = np.random.default_rng(2)
    wall = np.kron(rng.integers(60, 200, (25, 25)), np.ones((4, 4)))
    frames = [gray_frame(wall + rng.normal(0, 3, wall.shape), pts=k) for k in range(7)]
    hidden = wall.copy()
    hidden[:, :60] = 240
    frames[3] = gray_frame(hidden, pts=3)
    lit = gray_frame(wall + 40, pts=6)  # a flash is the same face in another light
    track = still_track((TEMPLATE * 0.5 + 15).astype(np.float32))
    crops = crop([*frames[:6], lit], [track])
    assert crops.frame.tolist() == [0, 1, 2, 4, 5, 6]
    assert crops.weights is not None
    assert crops.weights.min() == 1
    assert crop([frames[3]], [track]).frame.tolist() == [0]  # no other frame to compare it with


def test_noise_is_not_taken_for_something_in_front() -> None:
    """A face of 15 px in the noise of a night: all frames differ, and none is hidden."""
    rng = np.random.default_rng(4)
    wall = np.kron(rng.integers(80, 180, (25, 25)), np.ones((4, 4)))
    frames = [gray_frame(wall + rng.normal(0, 25, wall.shape), pts=k) for k in range(5)]
    crops = crop(frames, [still_track((TEMPLATE * 0.2 + 30).astype(np.float32))])
    assert crops.frame.tolist() == [0, 1, 2, 3, 4]
    assert crops.weights is not None
    assert crops.weights.min() > 0.9
    assert crops.noise_variance is not None
    assert crops.noise_variance.min() > 0
    calm = crop(
        [gray_frame(wall, pts=k) for k in range(3)],
        [still_track((TEMPLATE * 0.2 + 30).astype(np.float32))],
    )
    assert calm.noise_variance is not None
    assert not calm.noise_variance.any()


def test_no_face_is_an_empty_batch() -> None:
    crops = crop([gray_frame(np.zeros((20, 20)))], [])
    assert len(crops) == 0
    assert crops.pixels.shape == (0, CANVAS, CANVAS, 3)
