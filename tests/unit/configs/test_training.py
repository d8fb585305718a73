"""Recipes: the shipped ones are valid, are found by name, and every mistake is refused."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

import pytest

from facepipe.configs.training import (
    copy_recipe,
    find_recipe,
    load_recipe,
    shipped_recipes,
)
from facepipe.errors import OutputError, UsageError
from facepipe.models.registry import SYSTEMS

RECIPES = Path(str(files("facepipe.configs").joinpath("recipes")))
SHIPPED = sorted(RECIPES.rglob("*.toml"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_recipes_are_valid(path: Path) -> None:
    settings = load_recipe(path)
    assert re.sub("-(natural|first|second|fit)$", "", path.stem) == settings.network
    assert path.name in path.read_text()  # its head gives the command
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
    same = {row.model_copy(update={"network": "srcnn", "out": Path()}) for row in rows}
    assert len(same) == 1
    assert rows[0].width == 16


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "no such recipe"),
        (b"network = ", "not valid TOML"),
        (b"\xff\xfe", "cannot be read"),
        (
            b'network = "fishsrnet"\nfaces = ["a"]\nout = "b"\nsteps = 0',
            r"toml: steps must be a whole number above 0, not 0$",
        ),
        (
            b'network = "fishsrnet"\nfaces = ["a"]\nout = "b"\nstep = 1',
            "toml: step: unknown setting; known here: .* steps, ",
        ),
    ],
)
def test_a_bad_recipe_is_refused(tmp_path: Path, content: bytes | None, reason: str) -> None:
    path = tmp_path / "recipe.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=reason):
        load_recipe(path)


def test_recipes_that_ship_have_names() -> None:
    assert {"fishsrnet", "parsing-teacher", "comparison/srcnn"} <= shipped_recipes().keys()
    assert sorted(shipped_recipes().values()) == SHIPPED


@pytest.mark.parametrize("name", ["parsing-teacher", "parsing-teacher.toml", "comparison/vdsr"])
def test_a_recipe_that_ships_is_found_by_its_name(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "parsing-teacher").mkdir()  # a folder of that name is no recipe
    assert find_recipe(name) == RECIPES / f"{name.removesuffix('.toml')}.toml"


def test_a_file_comes_before_what_ships(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    own = copy_recipe("fishsrnet", Path())
    assert own.read_bytes() == (RECIPES / "fishsrnet.toml").read_bytes()
    assert find_recipe("fishsrnet.toml") == own
    assert find_recipe("fishsrnet") == RECIPES / "fishsrnet.toml"


def test_a_name_of_no_recipe_is_refused(tmp_path: Path) -> None:
    for find in (find_recipe, lambda name: copy_recipe(name, tmp_path)):
        with pytest.raises(UsageError, match=r"none\.toml: no such recipe; .* --list names those"):
            find("none.toml")


def test_a_copy_replaces_nothing(tmp_path: Path) -> None:
    (tmp_path / "srcnn.toml").write_text("mine")
    with pytest.raises(OutputError, match="exists already"):
        copy_recipe("comparison/srcnn", tmp_path)
    assert (tmp_path / "srcnn.toml").read_text() == "mine"
    with pytest.raises(OutputError, match="cannot be written"):
        copy_recipe("comparison/srcnn", tmp_path / "none")
