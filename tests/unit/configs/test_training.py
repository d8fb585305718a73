"""Recipes: the shipped ones are valid, and what every mistake is told."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

import pytest

from facepipe.configs.training import load_recipe
from facepipe.errors import UsageError
from facepipe.models.registry import SYSTEMS

RECIPES = Path(str(files("facepipe.configs").joinpath("recipes")))
SHIPPED = sorted(RECIPES.rglob("*.toml"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_recipes_are_valid(path: Path) -> None:
    settings = load_recipe(path)
    assert re.sub("-(natural|first|second)$", "", path.stem) == settings.network
    assert path.name in path.read_text()  # its head tells the command
    others = [p for p in (settings.masks, settings.parsing, settings.start_from) if p]
    assert not any(p.is_absolute() for p in (*settings.faces, settings.out, *others))


def test_every_network_that_is_compared_has_a_recipe_and_one_budget() -> None:
    compared = {path.stem: load_recipe(path) for path in (RECIPES / "comparison").iterdir()}
    legs = [compared.pop(f"fishsrnet-{leg}") for leg in ("first", "second")]
    assert sum(leg.petamacs or 0 for leg in legs) == pytest.approx(0.1)
    assert legs[1].start_from == legs[0].out / "fishsrnet.safetensors"
    systems = {system.name for system in SYSTEMS} - {"fishsrnet-large"}
    assert compared.keys() - {"paper-parsingnet"} == systems | {"fishsrnet"}
    rows = [settings for name, settings in compared.items() if name != "paper-parsingnet"]
    rows += [leg.model_copy(update={"petamacs": 0.1}) for leg in legs]
    assert {(s.petamacs, s.batch, s.exact_bicubic, s.faces) for s in rows} == {
        (0.1, 4, 1.0, rows[0].faces)
    }


def test_the_ablation_differs_in_its_network_alone() -> None:
    rows = [load_recipe(path) for path in sorted((RECIPES / "ablation").iterdir())]
    assert len(rows) == 3
    alike = {row.model_copy(update={"network": "srcnn", "out": Path()}) for row in rows}
    assert len(alike) == 1
    assert rows[0].width == 16


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
