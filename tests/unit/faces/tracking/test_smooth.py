from __future__ import annotations

import numpy as np

from facepipe.faces.tracking.smooth import smooth_path, whittaker


def test_smoothing_is_the_same_backwards_and_keeps_straight_lines() -> None:
    rng = np.random.default_rng(0)
    seconds = np.cumsum(rng.uniform(0.02, 0.4, 30))
    values, sigma = rng.normal(0, 1, (30, 3)), rng.uniform(0.5, 1.5, 30)
    forth = smooth_path(seconds, values, sigma, 0.3, 3.0)
    back = smooth_path(-seconds[::-1], values[::-1], sigma[::-1], 0.3, 3.0)[::-1]
    np.testing.assert_allclose(forth, back, atol=1e-9)
    line = 3 * seconds[:, None] + 2
    np.testing.assert_allclose(whittaker(seconds, line, sigma, 0.3), line, atol=1e-6)
    np.testing.assert_allclose(smooth_path(seconds, line, sigma, 0.3, 3.0), line, atol=1e-6)
