"""The command `train`: recipes that ship are listed, copied and found."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from facepipe.cli.main import app
from facepipe.configs.training import shipped_recipes
from facepipe.errors import FacepipeError, UsageError


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_list_names_each_recipe_and_what_it_makes() -> None:
    lines = CliRunner().invoke(app, ["train", "--list"]).output.splitlines()
    assert [line.partition(": ")[0] for line in lines] == list(shipped_recipes())
    assert "parsing-teacher: The teacher: labels sharp faces" in "\n".join(lines)


def test_a_copy_comes_into_this_folder(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["train", "--copy", "parsing-teacher"])
    assert (done.exit_code, done.output) == (0, "parsing-teacher.toml\n")
    assert [path.name for path in tmp_path.iterdir()] == ["parsing-teacher.toml"]
    again = CliRunner().invoke(app, ["train", "--copy", "parsing-teacher"])
    assert isinstance(again.exception, FacepipeError)
    assert again.exception.exit_code == 4


def test_a_recipe_that_ships_is_trained_by_its_name() -> None:
    """It is found and read: what is missing is its faces."""
    done = CliRunner().invoke(app, ["train", "parsing-teacher.toml"])
    assert isinstance(done.exception, FacepipeError)
    assert "faces/train-0.zip" in str(done.exception)


def test_without_a_recipe_the_list_is_named() -> None:
    done = CliRunner().invoke(app, ["train"])
    assert isinstance(done.exception, UsageError)
    assert "facepipe train --list" in str(done.exception)
