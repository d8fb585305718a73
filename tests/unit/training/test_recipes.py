from __future__ import annotations

import tomllib
from importlib.resources import files

import pytest

from facepipe.configs.training import TrainSettings


@pytest.mark.parametrize("network", ["parsingnet", "fishsrnet"])
def test_shipped_recipe_is_valid_and_complete(network: str) -> None:
    text = (files("facepipe.configs") / "recipes" / f"{network}.toml").read_text("utf-8")
    settings = TrainSettings(**tomllib.loads(text))
    assert settings.network == network
    guide = settings.masks if network == "parsingnet" else settings.parsing
    assert guide is not None
    assert not any(path.is_absolute() for path in (*settings.faces, settings.out, guide))
