"""Temporal smoothing of restored faces."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import cv2
import numpy as np
import pytest

from facepipe.datatypes import Colour, Crops, Float32, Frame, PixelFormat, Restored
from facepipe.faces.restoration.temporal import smoothed
from facepipe.faces.similarity import cell_means, similarity

GRAY = PixelFormat("gray", "gray", 8)
Batch = tuple[list[Frame], Crops, Restored]


def frame(number: int) -> Frame:
    return Frame(
        pts=10 * number, format=GRAY, colour=Colour(), planes=(np.zeros((8, 8), np.uint8),)
    )


def base() -> Float32:
    """(128, 128, 3): an image with light and dark in it."""
    x = np.linspace(0, 3, 128)
    return np.asarray(0.5 + 0.2 * np.sin(np.add.outer(x, x))[..., None].repeat(3, 2), np.float32)


def batch(first: int, canvases: dict[int, dict[int, Float32]], count: int) -> Batch:
    """Frames first .. first + count - 1 and their faces by track; restored is a shade lighter."""
    rows = [
        (number - first, track, canvas)
        for number in range(first, first + count)
        for track, canvas in canvases.get(number, {}).items()
    ]
    pixels = np.array([row[2] for row in rows], np.float32).reshape(-1, 128, 128, 3)
    crops = Crops(
        pixels=pixels,
        to_frame=np.tile(np.eye(2, 3), (len(rows), 1, 1)),
        frame=np.array([row[0] for row in rows], np.intp),
        track=np.array([row[1] for row in rows], np.intp),
        neighbours=None,
        weights=np.full(len(rows), 0.5, np.float32),
    )
    parse = np.full((len(rows), 8, 32, 32), 0.125, np.float32)
    return (
        [frame(k) for k in range(first, first + count)],
        crops,
        Restored(pixels=pixels + 0.1, parse=parse),
    )


def in_batches(canvases: dict[int, dict[int, Float32]], count: int, of: int) -> Iterator[Batch]:
    for first in range(0, count, of):
        yield batch(first, canvases, min(of, count - first))


def noisy(seed: int) -> Float32:
    noise = np.random.default_rng(seed).normal(0, 0.02, (128, 128, 3))
    return np.asarray(base() + noise, np.float32)


def test_noise_goes_and_batches_do_not_show() -> None:
    canvases = {k: {3: noisy(k)} for k in range(11)}
    found = list(smoothed(in_batches(canvases, 11, of=4), max_gap_pts=100))
    assert [at.pts for at, _, _ in found] == [10 * k for k in range(11)]
    _, crops, restored = found[5]
    assert restored.smoothed_source is not None
    np.testing.assert_array_equal(crops.pixels[0], canvases[5][3])
    mean = np.mean([canvases[k][3] for k in range(2, 9)], 0)
    np.testing.assert_allclose(restored.pixels[0], mean + 0.1, atol=0.004)
    np.testing.assert_allclose(restored.smoothed_source[0], mean, atol=0.004)
    assert crops.weights is not None
    assert crops.weights.tolist() == [0.5]
    for of in (1, 11):
        for one, other in zip(
            found, smoothed(in_batches(canvases, 11, of=of), max_gap_pts=100), strict=True
        ):
            np.testing.assert_array_equal(one[2].pixels, other[2].pixels)


def test_real_change_is_not_smeared() -> None:
    shut = base()
    shut[50:70, 40:90] -= 0.25
    canvases = {k: {1: base() if k < 4 else shut} for k in range(8)}
    found = list(smoothed(in_batches(canvases, 8, of=8), max_gap_pts=100))
    for number, (_, _, restored) in enumerate(found):
        np.testing.assert_allclose(restored.pixels[0], canvases[number][1] + 0.1, atol=0.01)


def test_faces_come_and_go_each_for_itself() -> None:
    bright = base() + np.float32(0.3)
    canvases = {0: {1: base()}, 1: {1: base(), 2: bright}, 3: {2: bright}}
    found = list(smoothed(in_batches(canvases, 4, of=2), max_gap_pts=100))
    assert [crops.track.tolist() for _, crops, _ in found] == [[1], [1, 2], [], [2]]
    np.testing.assert_allclose(found[1][2].pixels, [base() + 0.1, bright + 0.1], atol=1e-6)
    assert len(found[2][2].pixels) == 0


@pytest.mark.parametrize(("max_gap_pts", "averaged"), [(9, False), (10, True)])
def test_frames_with_too_long_a_gap_are_not_averaged(max_gap_pts: float, averaged: bool) -> None:
    canvases = {k: {1: noisy(k)} for k in range(3)}
    _, (_, _, middle), _ = smoothed(in_batches(canvases, 3, of=3), max_gap_pts=max_gap_pts)
    assert np.allclose(middle.pixels[0], canvases[1][1] + 0.1, atol=1e-6) != averaged


def test_without_a_parse_there_is_none() -> None:
    frames, crops, restored = batch(0, {0: {1: base()}}, 2)
    plain = Restored(pixels=restored.pixels, parse=None)
    (_, _, first), (_, _, second) = smoothed([(frames, crops, plain)], max_gap_pts=100)
    assert first.parse is None
    assert second.parse is None


def test_heavy_noise_is_averaged_where_it_is_known_to_be_noise() -> None:
    """Grain as coarse as the cells are, so that it changes all of them."""

    def grainy(seed: int) -> Float32:
        grain = np.random.default_rng(seed).normal(0, 0.08, (16, 16, 3)).repeat(8, 0).repeat(8, 1)
        return np.asarray(base() + grain, np.float32)

    canvases = {k: {3: grainy(k)} for k in range(9)}

    def left(noise_variance: float) -> float:
        frames, crops, restored = batch(0, canvases, 9)
        crops = replace(crops, noise_variance=np.full(len(crops), noise_variance, np.float32))
        found = list(smoothed([(frames, crops, restored)], max_gap_pts=1000))
        middle = found[4][2].smoothed_source
        assert middle is not None
        return float(np.std(middle[0] - base()) / np.std(canvases[4][3] - base()))

    assert left(2 * 0.08**2) < 0.6
    assert left(0.0) > 0.95


def test_a_mean_is_weighted_by_similarity_place_by_place() -> None:
    rng = np.random.default_rng(2)
    faces = {}
    for number in range(4):
        blobs = rng.normal(0, 0.02, (8, 8, 3)).astype(np.float32)
        faces[number] = {7: base() + np.asarray(cv2.resize(blobs, (128, 128)), np.float32)}
    *_, (_, crops, last) = smoothed([batch(0, faces, 4)], max_gap_pts=1000)
    canvases = [faces[number][7] for number in (3, 0, 1, 2)]
    cells = [cell_means(canvas) for canvas in canvases]
    weights = [np.ones((128, 128), np.float32)]
    weights += [similarity(cells[0], other, window=3) for other in cells[1:]]
    assert 0.05 < np.mean(weights[1:]) < 0.95
    mean = sum(w[..., None] * c for w, c in zip(weights, canvases, strict=True))
    mean = np.asarray(mean / np.sum(weights, 0)[..., None], np.float32)
    np.testing.assert_allclose(last.smoothed_source[0], mean, atol=1e-5)
    np.testing.assert_allclose(last.pixels[0], mean + 0.1, atol=1e-5)
    np.testing.assert_array_equal(crops.pixels[0], canvases[0])
