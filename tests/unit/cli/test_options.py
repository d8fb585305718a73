"""Options generated from Settings: each reaches its field, and the help says what it takes."""

from __future__ import annotations

import inspect
from keyword import iskeyword
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from facepipe.cli import batch, run
from facepipe.cli.options import with_settings
from facepipe.configs.fields import options_of
from facepipe.configs.settings import Settings, load_settings
from facepipe.errors import UsageError

OPTIONS = {key: (field, marker) for key, field, marker in options_of(Settings)}
#: For each option, words to give it and what its field is then.
GIVEN: dict[str, tuple[list[str], object]] = {
    "detect.detector": (["--detector", "scrfd"], "scrfd"),
    "detect.pack": (["--pack", "7"], "7"),
    "detect.score": (["--score", "1"], 1.0),
    "detect.min_face": (["--min-face", "9.5"], 9.5),
    "detect.max_face": (["--max-face", "60"], 60.0),
    "detect.every": (["--detect-every", "9"], 9),
    "detect.turned": (["--turned", "180"], 180),
    "choose.tracks": (["--tracks", "3,7"], (3, 7)),
    "choose.region": (["--region", "1,2,3,4"], (1.0, 2.0, 3.0, 4.0)),
    "choose.largest": (["--largest", "2"], 2),
    "restore.restorer": (["--restorer", "5"], "5"),
    "restore.strength": (["--strength", ".5"], 0.5),
    "restore.fidelity": (["--fidelity", "0"], 0.0),
    "restore.device": (["--device", "cpu"], "cpu"),
    "output.scale": (["--scale", "4"], 4),
    "output.size": (["--size", "640x360"], "640x360"),
    "output.purpose": (["--for", "web"], "web"),
    "output.keyframes": (["--keyframes", "2"], 2.0),
    "output.codec": (["--codec", "264"], "264"),
    "output.quality": (["--quality", "small"], "small"),
    "output.crf": (["--crf", "18"], 18.0),
    "output.preset": (["--preset", "7"], "7"),
    "output.pix_fmt": (["--pix-fmt", "gray"], "gray"),
    "output.copy_unchanged": (["--no-copy"], False),
    "output.allow_loss": (["--allow-loss"], True),
    "output.fragmented": (["--fragmented", "yes"], "yes"),
    "output.dates": (["--dates", "now"], "now"),
    "output.start": (["--start", "1"], 1.0),
    "output.end": (["--end", "1e1"], 10.0),
    "stream": (["--stream", "1"], 1),
    "strict_input": (["--strict-input"], True),
    "workers": (["--workers", "3"], 3),
    "profile_time": (["--profile-time"], True),
}


def settings_by(*words: str, **how: Any) -> Settings:
    """The settings that a command with every option gets from these words."""
    got: list[Settings] = []

    @with_settings(
        "detect",
        "choose",
        "restore",
        "output",
        "stream",
        "strict_input",
        "workers",
        "profile_time",
        **how,
    )
    def command(settings: Settings) -> None:
        got.append(settings)

    app = typer.Typer()
    app.command()(command)
    done = CliRunner().invoke(app, words)
    if isinstance(done.exception, UsageError):
        raise done.exception
    assert done.exit_code == 0, done.output
    return got[0]


def value_of(settings: Settings, key: str) -> object:
    found: Any = settings
    for part in key.split("."):
        found = getattr(found, part)
    return found


def test_these_are_all_options_of_settings() -> None:
    assert OPTIONS.keys() == GIVEN.keys()


@pytest.mark.parametrize("key", GIVEN)
def test_an_option_sets_its_field_and_no_other(key: str) -> None:
    words, value = GIVEN[key]
    changed = settings_by(*words)
    found = value_of(changed, key)
    assert (found if isinstance(value, (int, float, tuple)) else str(found)) == value
    assert changed != Settings()
    assert changed == load_settings(overrides={key: value})


def test_without_options_the_settings_are_the_defaults() -> None:
    assert settings_by() == Settings()


def test_profile_config_and_assignments_arrive(tmp_path: Any) -> None:
    config = tmp_path / "own.toml"
    config.write_text("[detect]\nevery = 7\nscore = 0.5\n")
    words = ["--profile", "fast", "--config", str(config), "--set", "link.detail=0.2"]
    settings = settings_by(*words, "--set", "detect.score=0.6")
    assert settings.detect.enlarge == 1
    assert (settings.detect.every, settings.detect.score, settings.link.detail) == (7, 0.6, 0.2)


@pytest.mark.parametrize(
    ("flag", "value", "reason"),
    [
        ("--scale", "3", "must be 1, 2 or 4, not 3"),
        ("--scale", "x", "must be 1, 2 or 4, not 'x'"),
        ("--quality", "best", "must be visually-lossless, archive or small, not 'best'"),
        ("--device", "gpu", "must be auto, cpu or cuda, not 'gpu'"),
        ("--for", "tv", "must be web, edit, archive or device, not 'tv'"),
        ("--keyframes", "-1", "must be a number from 0 to 600, not -1"),
        ("--score", "2", "must be a number from 0 to 1, not 2"),
        ("--strength", "nan", "must be a number from 0 to 1, not nan"),
        ("--min-face", "3.5", "must be a number from 4 up, not 3.5"),
        ("--max-face", "0", "must be a number above 0, not 0"),
        ("--detect-every", "2.5", "must be a whole number from 1 to 250, not 2.5"),
        ("--largest", "-1", "must be a whole number from 1 up, not -1"),
        ("--tracks", "3,x", "must be a list of whole numbers, not 'x'"),
        ("--region", "1,2,3", "must be x,y,width,height in px, or an image, not '1,2,3'"),
        ("--workers", "", "must be a whole number from 1 to 256, not ''"),
        ("--end", "0", "must be a number above 0, up to 1000000000, not 0"),
    ],
)
def test_a_refusal_names_the_option_and_what_is_allowed(flag: str, value: str, reason: str) -> None:
    with pytest.raises(UsageError) as refused:
        settings_by(flag, value)
    assert str(refused.value) == f"{flag} {reason}"


def test_a_field_without_an_option_has_none() -> None:
    done = CliRunner().invoke(one_command(), ["--enlarge", "3"])
    assert done.exit_code == 2
    assert "No such option: --enlarge" in done.output


def test_the_help_says_range_and_default_of_every_option() -> None:
    text = " ".join(CliRunner().invoke(one_command(), ["--help"]).output.split())
    assert "[from 0 to 1; default: 0.7]" in text
    assert "[above 0; default: what fills the canvas]" in text
    assert "--scale <1|2|4> enlarge the video [default: 1]" in text
    assert "--copy / --no-copy" in text
    assert "[default: copy]" in text
    assert "..." not in text.replace("N,N...", "")


def one_command() -> typer.Typer:
    """The command `run` alone."""
    app = typer.Typer(rich_markup_mode=None)
    app.command()(run.run)
    return app


@pytest.mark.parametrize("command", [run.run, run.analyze, run.render, batch.batch])
def test_every_parameter_is_an_option_of_settings_or_the_commands_own(command: Any) -> None:
    """An option that nobody reads cannot be: what is not generated, the function itself takes."""
    offered = inspect.signature(command).parameters.keys()
    own = inspect.signature(command.__wrapped__).parameters.keys() - {"settings"}
    flags = (marker.flag.partition("/")[0] for _, marker in OPTIONS.values())
    names = {flag.strip("-").replace("-", "_") for flag in flags}
    assert own <= offered
    names = {name + "_" * iskeyword(name) for name in names}
    assert offered - own <= names | {"profile", "config", "assign"}
