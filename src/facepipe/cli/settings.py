"""The command `settings`: all settings as TOML, each with what it is for."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from pathlib import PurePath
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from facepipe.cli.options import with_settings
from facepipe.cli.proof_results import SettingsResult
from facepipe.configs.fields import Cli, allowed
from facepipe.configs.settings import Settings

_WIDTH = 98


@with_settings()
def settings(settings: Settings) -> SettingsResult:
    """Print all settings as TOML, with what each is for, its range and its option.

    What is printed can be a file for --config. --profile shows the values of another profile.
    """
    toml = "\n".join(settings_toml(settings))
    print(toml)
    return SettingsResult(settings.model_dump(mode="json"), toml)


def settings_toml(settings: Settings) -> Iterator[str]:
    """The lines of a TOML file that holds these settings; those without a value as comments."""
    yield "# All settings of facepipe. A file of them, or of some, goes to --config FILE;"
    yield "# --set SECTION.KEY=VALUE sets one. What begins with '#' and ends with '=' has no value."
    yield ""
    yield from _fields(settings)
    for name, value in settings:
        if isinstance(value, BaseModel):
            yield ""
            yield from _comment(type(value).__doc__ or "")
            yield f"[{name}]"
            yield from _fields(value)


def _fields(section: BaseModel) -> Iterator[str]:
    """The fields of a section that are no sections themselves."""
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if isinstance(value, BaseModel):
            continue
        yield from _comment(_words(field))
        yield f"# {name} =" if value is None else f"{name} = {_spelled(value)}"


def _words(field: FieldInfo) -> str:
    marker = next((one for one in field.metadata if isinstance(one, Cli)), None)
    parts = [field.description or "", allowed(field)]
    if marker is not None:
        parts.append(marker.flag)
        parts += [f"without a value: {marker.default}"] if marker.default is not None else []
    return "; ".join(filter(None, parts))


def _comment(text: str) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(" ".join(text.split()), _WIDTH)]


def _spelled(value: Any) -> str:
    """A value as TOML spells it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, PurePath):
        value = str(value)
    if isinstance(value, tuple):
        return f"[{', '.join(map(_spelled, value))}]"
    if isinstance(value, dict):
        inner = (f"{json.dumps(key)} = {_spelled(one)}" for key, one in value.items())
        return f"{{ {', '.join(inner)} }}" if value else "{}"
    return json.dumps(value)
