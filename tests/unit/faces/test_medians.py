from __future__ import annotations

import numpy as np
import pytest

from facepipe.faces.noise import median


@pytest.mark.parametrize("shape", [(1,), (3, 5), (101,), (60, 80)])
def test_is_the_median(shape: tuple[int, ...]) -> None:
    values = np.random.default_rng(len(shape)).normal(size=shape).astype(np.float32)
    upper = np.sort(values.ravel())[values.size // 2]
    assert median(values) == upper
    assert median(values) == pytest.approx(np.median(values), abs=0.1)
