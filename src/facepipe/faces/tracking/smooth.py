"""Smoothing of a face's boxes and landmarks: no jitter at rest, no lag where the face moves."""

from __future__ import annotations

import numpy as np

from facepipe.datatypes import Float64

NOISE = 0.035  # sigma of the landmarks of one detection, share of the face's size
# Change of speed in a second, one sigma, of a face at rest and of one in motion: of its place in
# sizes, and of its shape and the logarithm of its size.
CALM, LIVELY = 0.3, 3.0
CALM_SHAPE, LIVELY_SHAPE = 0.1, 1.0
FOLLOWED = 0.1  # share of these for a face that is motion-compensated, and so at rest
MISFIT = 1.2, 2.2  # misfit of the calm path in sigmas: at rest below, in motion above
TRUST = 2.0  # a smoothed value stays within so many sigmas of the detected one


def smoothed(
    seconds: Float64, boxes: Float64, landmarks: Float64, scores: Float64, *, followed: bool
) -> tuple[Float64, Float64]:
    """Smooth boxes (K, 4) and landmarks (K, 5, 2) of one face at K rising times together.

    Place, size (as a logarithm) and shape (about the place, in sizes) are smoothed separately. Each
    follows the smoothest path that its noise allows, weighted by `scores` (K,). Of a face that was
    `followed`, motion has been taken out, so that little is left that changes.
    """
    if len(seconds) < 3:
        return boxes, landmarks
    sides = boxes[:, 2:] - boxes[:, :2]
    size = np.sqrt(np.maximum(sides.prod(1), 1e-6))[:, None]
    typical = float(np.median(size))
    sigma = NOISE / np.clip(scores, 0.3, 1)
    centre = landmarks.mean(1)
    offset = (boxes[:, :2] + boxes[:, 2:]) / 2 - centre
    points = (landmarks - centre[:, None]).reshape(-1, 10)
    much = FOLLOWED if followed else 1.0
    calm, calm_shape, lively = much * CALM, much * CALM_SHAPE, LIVELY_SHAPE
    shape = smooth_path(
        seconds, np.column_stack((points, offset)) / size, sigma, calm_shape, lively
    )
    logs = smooth_path(seconds, np.log(np.maximum(sides, 1e-3)), sigma, calm_shape, lively)
    place = smooth_path(seconds, centre, sigma * typical, calm * typical, LIVELY * typical)
    shape *= np.exp(logs.mean(1))[:, None]
    middle, half = place + shape[:, 10:], np.exp(logs) / 2
    steady = place[:, None] + shape[:, :10].reshape(-1, 5, 2)
    return np.column_stack((middle - half, middle + half)), steady


def smooth_path(
    seconds: Float64, values: Float64, sigma: Float64, calm: float, lively: float
) -> Float64:
    """Smooth `values` (K, D), strongly where they rest and weakly where they move.

    `sigma` (K,) is that of a value; `calm` and `lively` are `drive`s of `whittaker`. The result is
    held within TRUST sigmas of each value, so that fast motion is not rounded off.
    """
    stiff = whittaker(seconds, values, sigma, calm)
    misfit = ((stiff - values) ** 2).mean(1) / sigma**2
    padded = np.pad(misfit, 1, mode="edge")
    sigmas = np.sqrt(padded[:-2] / 4 + padded[1:-1] / 2 + padded[2:] / 4)
    moving = np.clip((sigmas - MISFIT[0]) / (MISFIT[1] - MISFIT[0]), 0, 1)[:, None]
    mixed = (1 - moving) * stiff + moving * whittaker(seconds, values, sigma, lively)
    reach = TRUST * sigma[:, None]
    return values + np.clip(mixed - values, -reach, reach)


def whittaker(seconds: Float64, values: Float64, sigma: Float64, drive: float) -> Float64:
    """Whittaker smoother of `values` (K, D), K at least 3; the same when time runs backwards.

    Weighs each misfit by `sigma` (K,), and each change of speed by `drive`, its sigma over a
    second. Eilers, "A perfect smoother", Anal. Chem. 2003, for uneven times.
    """
    count = len(seconds)
    # Least time between knots: frames at a cut or at the video's end lie close to others.
    steps = np.maximum(np.diff(seconds), 1e-3)
    into, out = 1 / steps[:-1], 1 / steps[1:]
    change = np.stack((into, -(into + out), out))  # (3, K - 2), of speed at each inner knot
    weight = 2 / (drive**2 * (steps[:-1] + steps[1:]))
    bands = np.zeros((3, count))  # upper form: bands[2] is the diagonal
    bands[2] = 1 / sigma**2
    for one in range(3):
        for other in range(one, 3):
            at = slice(other, count - 2 + other)
            bands[2 - (other - one), at] += weight * change[one] * change[other]
    # SciPy takes longer to import than a video without faces to analyze.
    from scipy.linalg import solveh_banded

    return np.asarray(solveh_banded(bands, values / sigma[:, None] ** 2), np.float64)
