"""`facepipe describe`: all that there is, by a schema."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
import typer
from jsonschema import Draft202012Validator

from facepipe import errors
from facepipe.cli.describe import describe
from facepipe.cli.machine import plain
from facepipe.cli.main import app
from facepipe.configs.settings import FLAGS, Settings
from facepipe.contract.schemas import VERSION, read_schema


@cache
def described() -> dict[str, Any]:
    head = {"schema_version": VERSION, "command": "describe", "exit_code": 0}
    found: dict[str, Any] = json.loads(json.dumps(head | plain(describe())))
    return found


def parameters() -> Iterator[tuple[str, dict[str, Any]]]:
    for command in described()["commands"]:
        for parameter in command["parameters"]:
            yield command["name"], parameter


def test_it_is_as_its_schema_says() -> None:
    for name in ("describe", "result"):
        Draft202012Validator(read_schema(name)).validate(described())


def test_every_command_is_there_with_its_flags() -> None:
    """As the command line itself lists them: nobody can forget one."""
    group: Any = typer.main.get_command(app)
    context = typer.Context(group)
    expected: dict[str, set[str]] = {}
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        below = getattr(command, "commands", {}) or {"": command}
        for word, one in below.items():
            flags = {flag for param in one.params for flag in (*param.opts, *param.secondary_opts)}
            expected[f"{name} {word}".strip()] = {flag for flag in flags if flag.startswith("-")}
    found: dict[str, set[str]] = {}
    for name, one in parameters():
        found.setdefault(name, set()).update(one["flags"], one["off_flags"])
    assert found == expected
    assert {"run", "describe", "models list", "evaluate faces"} < found.keys()
    assert all("--json" in flags for flags in found.values())


def test_an_option_that_sets_a_setting_has_its_type_range_and_default() -> None:
    settings = {one["key"]: one for one in described()["settings"]}
    assert {key: one["flag"] for key, one in settings.items() if one["flag"]} == FLAGS
    by_flag = {one["flags"][0]: one for name, one in parameters() if name == "run" and one["flags"]}
    score = by_flag["--score"]
    assert score["setting"] == "detect.score"
    assert score["value"] == settings["detect.score"]["value"]
    assert (score["value"]["minimum"], score["value"]["maximum"]) == (0, 1)
    assert score["value"]["default"] == Settings().detect.score
    assert by_flag["--scale"]["value"]["enum"] == [1, 2, 4]
    assert by_flag["--copy"]["off_flags"] == ["--no-copy"]
    assert by_flag["--output"]["required"]


def test_an_option_of_a_command_has_its_range_and_choices() -> None:
    found = {(name, one["name"]): one for name, one in parameters()}
    assert found["compare", "insets"]["value"] == {
        "type": "integer", "minimum": 0, "maximum": 6, "default": 3
    }  # fmt: skip
    assert found["compare", "style"]["value"]["enum"] == ["side", "wipe", "flicker"]
    assert found["batch", "sources"]["multiple"]
    assert found["evaluate video", "scale"]["setting"] is None  # of the same name as a setting's


def test_defaults_are_values_that_are_allowed() -> None:
    told = [(name, one["value"]) for name, one in parameters()]
    told += [(one["key"], one["value"]) for one in described()["settings"]]
    with_default = [(name, value) for name, value in told if "default" in value]
    assert len(with_default) > 100
    for name, value in with_default:
        assert Draft202012Validator(value).is_valid(value["default"]), (name, value)


def test_profiles_set_settings_that_there_are() -> None:
    keys = {one["key"] for one in described()["settings"]}
    assert described()["profiles"]["strict"]["detect.score"] == 0.8
    assert all(set(profile) <= keys for profile in described()["profiles"].values())


def test_every_error_of_facepipe_is_there() -> None:
    codes = {one["code"]: one for one in described()["errors"]}
    assert len(codes) == len(described()["errors"])
    for kind in vars(errors).values():
        if isinstance(kind, type) and issubclass(kind, errors.FacepipeError):
            assert codes[kind.code]["exit_code"] == kind.exit_code
            assert codes[kind.code]["meaning"].endswith(".")
    exits = {one["exit_code"] for one in described()["exit_codes"]}
    assert exits == {0, *range(1, 11), 129, 130, 143}


def test_a_command_without_a_result_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    from facepipe.cli import doctor

    def silent() -> None:
        """Say nothing."""

    monkeypatch.setattr(doctor, "doctor", silent)
    with pytest.raises(TypeError, match="doctor does not say what its result is"):
        describe()
