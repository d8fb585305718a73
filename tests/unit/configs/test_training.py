"""Recipes: the shipped ones are valid, and what every mistake is told."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import pytest

from facepipe.configs.training import load_recipe
from facepipe.errors import UsageError


@pytest.mark.parametrize("network", ["fishsrnet", "parsingnet"])
def test_shipped_recipes_are_valid(network: str) -> None:
    path = Path(str(files("facepipe.configs").joinpath("recipes", f"{network}.toml")))
    settings = load_recipe(path)
    assert settings.network == network
    guide = settings.masks if network == "parsingnet" else settings.parsing
    assert guide is not None
    assert not any(path.is_absolute() for path in (*settings.faces, settings.out, guide))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "no such recipe"),
        (b"network = ", "not valid TOML"),
        (b"\xff\xfe", "cannot be read"),
        (b'network = "fishsrnet"\nfaces = ["a"]\nout = "b"\nsteps = 0', "steps"),
        (b'network = "fishsrnet"\nfaces = ["a"]\nout = "b"\nstep = 1', "step: Extra inputs"),
    ],
)
def test_a_bad_recipe_is_told(tmp_path: Path, content: bytes | None, told: str) -> None:
    path = tmp_path / "recipe.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=told):
        load_recipe(path)
