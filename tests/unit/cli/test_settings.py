"""`facepipe settings`: all of them, as a file that can be read back."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from facepipe.cli.main import app
from facepipe.cli.settings import settings_toml
from facepipe.configs.fields import keys_of
from facepipe.configs.settings import FLAGS, PROFILES, Settings, load_settings


@pytest.mark.parametrize("profile", PROFILES)
def test_what_is_printed_is_read_back(profile: str, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["settings", "--profile", profile])
    assert done.exit_code == 0
    path = tmp_path / "own.toml"
    path.write_text(done.output, encoding="utf-8")
    assert load_settings(config=path) == load_settings(profile=profile)


def test_values_of_every_kind_are_read_back(tmp_path: Path) -> None:
    given = load_settings(
        assignments=[
            "choose.tracks=[3, 7]", "choose.region=[1, 2, 30.5, 40]", 'output.codec="ü \\"x\\""',
            'output.options={"x y" = "1"}', "detect.turned=90", "restore.mirrored=true",
            'detect.pack="a folder"', "detect.max_face=70",
        ]
    )  # fmt: skip
    path = tmp_path / "own.toml"
    path.write_text("\n".join(settings_toml(given)), encoding="utf-8")
    assert load_settings(config=path) == given


def test_every_setting_is_there_with_its_option() -> None:
    text = "\n".join(settings_toml(Settings()))
    words = " ".join(text.replace("\n# ", " ").split())
    section = ""
    shown = set()
    for line in text.splitlines():
        if line.startswith("["):
            section = f"{line.strip('[]')}."
        elif " =" in line and line.split(" =")[0].removeprefix("# ").isidentifier():
            shown.add(section + line.split(" =")[0].removeprefix("# "))
    assert shown == set(keys_of(Settings))
    assert all(flag in words for flag in FLAGS.values())
    assert all(len(line) <= 100 for line in text.splitlines())
    tomllib.loads(text)
