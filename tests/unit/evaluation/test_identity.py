"""Likeness to the truth, by the real metric where it is installed."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from facepipe.datatypes import CANVAS
from facepipe.errors import ModelError
from facepipe.evaluation import identity
from facepipe.evaluation.identity import IdentityMetric, _chip, find_identity_weights
from facepipe.faces.canvas import TEMPLATE
from media import portraits


def test_chip_shows_the_face_where_dlib_would_put_it() -> None:
    canvas = np.zeros((CANVAS, CANVAS, 3), np.uint8)
    for x, y in TEMPLATE:
        cv2.circle(canvas, (round(x), round(y)), 2, (255, 255, 255), -1)
    chip = _chip(canvas)
    assert chip.shape == (150, 150, 3)
    count, _, _, centres = cv2.connectedComponentsWithStats((chip[..., 0] > 127).astype(np.uint8))
    assert count == 6  # the five points, and what is behind them
    eyes = sorted(centres[1:].tolist(), key=lambda point: point[1])[:2]
    assert np.mean([x for x, _ in eyes]) == pytest.approx(75, abs=2)
    assert abs(eyes[0][0] - eyes[1][0]) == pytest.approx(31.5 * 150 / 89.85, abs=2)


def test_nothing_is_found_where_nothing_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "find_spec", lambda _: None)
    assert find_identity_weights() is None


def test_a_blurred_face_is_less_alike(tmp_path: Path) -> None:
    pytest.importorskip("dlib")
    weights = find_identity_weights()
    if weights is None:
        pytest.skip("the weights are not installed")
    metric = IdentityMetric(weights)
    face = cv2.resize(portraits.portrait()[20:180, 60:220], (CANVAS, CANVAS))
    blurred = [cv2.GaussianBlur(face, (0, 0), sigma) for sigma in (1.0, 6.0)]
    faces = np.stack([face, *blurred]).astype(np.uint8)
    alike = metric(faces, np.stack([face] * 3).astype(np.uint8))
    assert alike[0] == pytest.approx(1)
    assert alike[0] > alike[1] > alike[2]
    (tmp_path / "no.dat").write_bytes(b"nothing")
    with pytest.raises(ModelError, match="dlib cannot load"):
        IdentityMetric(tmp_path / "no.dat")
