from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from facepipe.datatypes import Crops
from facepipe.errors import ModelError
from facepipe.models import registry
from facepipe.models.face_parser import Parser
from facepipe.models.restorers import create_restorer


def canvases(count: int) -> Crops:
    pixels = np.random.default_rng(count).random((count, 128, 128, 3), np.float32)
    none = np.zeros(count, np.intp)
    return Crops(pixels=pixels, to_frame=np.zeros((count, 2, 3)), frame=none, track=none)


@pytest.mark.parametrize("count", [0, 1, 17])
def test_parses_as_the_default_restorer_does(count: int) -> None:
    restorer = create_restorer("fishsrnet", device="cpu", runtime="onnxruntime")
    expected = restorer(canvases(count)).parse
    parse = Parser()(canvases(count))
    assert parse.shape == (count, 8, 32, 32)
    assert expected is not None
    np.testing.assert_allclose(parse, expected, atol=1e-5)


def test_damaged_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, _ in registry.PARSER.files:
        shutil.copy(registry.verified(registry.PARSER).paths[0].with_name(name), tmp_path)
    monkeypatch.setenv(registry.WEIGHTS_VARIABLE, str(tmp_path))
    Parser()
    (tmp_path / registry.PARSER.files[1][0]).write_bytes(b"no graph")
    with pytest.raises(ModelError, match="damaged or another version"):
        Parser()
