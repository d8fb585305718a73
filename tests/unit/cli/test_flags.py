"""The flags of every command, frozen: one that is added, removed or renamed fails here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import typer

from facepipe.cli.main import app

FACES = {
    "--min-face",
    "--max-face",
    "--score",
    "--detect-every",
    "--detector",
    "--pack",
    "--turned",
}
SELECTION = {"--tracks", "--region", "--largest"}
RESTORATION = {"--restorer", "--strength", "--fidelity", "--device"}
ENCODING = {
    "--scale", "--size", "--codec", "--quality", "--crf", "--preset", "--pix-fmt", "--copy",
    "--no-copy", "--allow-loss", "--for", "--keyframes", "--fragmented", "--dates",
}  # fmt: skip
PROOF = {"--label", "--sign-key", "--sign-cert"}
PART = {"--start", "--end"}
COMMON = {
    "--output", "-o", "--stream", "--strict-input", "--workers", "--profile", "--config", "--set",
    "--overwrite", "--progress", "--quiet", "-q",
}  # fmt: skip
SETTINGS = {"--profile", "--config", "--set"}
PAGE = SETTINGS | {
    "--output", "-o", "--scale", "--workers", "--source", "--overwrite", "--quiet", "-q",
}  # fmt: skip
TABLES = {"--figures", "--markdown"}
HELP = {"--help", "-h"}
RESULT = {"--json"}
FLAGS = {
    "": {"--version", "--install-completion", "--show-completion"},
    "settings": SETTINGS,
    "run": FACES | SELECTION | RESTORATION | ENCODING | PART | COMMON
    | PROOF | {"--dry-run", "--report", "--profile-time"},
    "analyze": FACES | (SELECTION - {"--tracks"}) | PART | COMMON | {"--size"},
    "render": SELECTION | RESTORATION | ENCODING | PROOF | PART | COMMON
    | {"--report", "--profile-time"},
    "preview": FACES | SELECTION | RESTORATION | PART | (COMMON - {"--strict-input"})
    | {"--scale", "--size", "--compare", "--analysis", "--faces"},
    "report": RESTORATION | PAGE,
    "gallery": RESTORATION | PAGE,
    "compare": PART | SETTINGS
    | {"--output", "-o", "--overwrite", "--progress", "--quiet", "-q", "--codec", "--quality",
       "--crf", "--preset", "--style", "--labels", "--insets", "--tracks"},
    "batch": FACES | RESTORATION | ENCODING | PROOF | COMMON
    | {"--dry-run", "--work", "--ray", "--shared", "--gpus", "--max-pixels", "--pack-archives",
       "--watch", "--settle", "--done-to", "--failed-to"},
    "verify": {"--source", "--trust"},
    "reproduce": {
        "--source", "--analysis", "--keep", "--workers", "--trust-report", "--progress",
        "--quiet", "-q",
    },
    "doctor": set(),
    "describe": set(),
    "models": set(),
    "models list": set(),
    "models show": set(),
    "train": {"--workers", "--ray", "--list", "--copy"},
    "align": {"--output", "-o"},
    "label": {"--teacher", "--output", "-o"},
    "export": {"--parsing", "--restore", "--output", "-o", "--mix", "--share"},
    "ui": {"--port", "--open", "--no-open"},
    "evaluate": set(),
    "evaluate faces": TABLES
    | {"--protocol", "--restorer", "--limit", "--sheet", "--worst", "--mirrored", "--device"},
    "evaluate parsing": TABLES | {"--masks", "--weights", "--size", "--limit"},
    "evaluate video": TABLES | {"--restorer", "--face", "--scale", "--crf", "--frames"},
    "evaluate crowd": TABLES
    | {"--background", "--restorer", "--scale", "--frames", "--count", "--smallest", "--largest",
       "--motion", "--noise", "--crf", "--seed"},
}  # fmt: skip


def commands(
    command: Any, parent: typer.Context | None = None, path: tuple[str, ...] = ()
) -> Iterator[tuple[str, set[str]]]:
    """`command` and each command below it: the words that call it, and its flags."""
    context = typer.Context(command, parent=parent, **command.context_settings)
    yield (
        " ".join(path),
        {
            flag
            for param in command.get_params(context)
            if param.param_type_name == "option"
            for flag in (*param.opts, *param.secondary_opts)
        },
    )
    for name in getattr(command, "list_commands", lambda _: ())(context):
        yield from commands(command.get_command(context, name), context, (*path, name))


def test_the_commands_are_these() -> None:
    assert dict(commands(typer.main.get_command(app))).keys() == FLAGS.keys()


@pytest.mark.parametrize("command", FLAGS)
def test_the_flags_of_a_command_are_these(command: str) -> None:
    assert dict(commands(typer.main.get_command(app)))[command] == FLAGS[command] | HELP | (
        RESULT if command else set()
    )
