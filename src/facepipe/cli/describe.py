"""The command `describe`: all that a program needs to know to call facepipe."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from inspect import Parameter, Signature, signature
from types import NoneType
from typing import Any, get_args

import typer
from pydantic import TypeAdapter

from facepipe import __version__
from facepipe.cli.error_report import ErrorCode, error_codes
from facepipe.configs.fields import options_of, types_of
from facepipe.configs.settings import PROFILES, Settings, load_settings
from facepipe.contract.schemas import NAMES, VERSION, read_schema
from facepipe.datatypes import CANVAS

#: A JSON Schema.
Schema = dict[str, Any]


@dataclass(frozen=True)
class ParameterEntry:
    """An argument or an option of a command.

    `value` is the JSON Schema of one value: its type, range, choices and default. A `multiple` one
    may be given several times. `setting` is the dotted key of the setting that it sets; None: it
    sets none. A flag takes no value.
    """

    name: str
    kind: str
    flags: tuple[str, ...]
    off_flags: tuple[str, ...]
    is_flag: bool
    required: bool
    multiple: bool
    setting: str | None
    panel: str | None
    help: str
    value: Schema


@dataclass(frozen=True)
class CommandEntry:
    """A command. `result` is the JSON Schema of what --json prints beside what each result has."""

    name: str
    panel: str
    summary: str
    help: str
    parameters: tuple[ParameterEntry, ...]
    result: Schema


@dataclass(frozen=True)
class SettingEntry:
    """A setting: its dotted key, its option, and the JSON Schema of its value."""

    key: str
    flag: str | None
    value: Schema


@dataclass(frozen=True)
class ExitCode:
    """An exit code, and the codes of the errors that end a command with it."""

    exit_code: int
    meaning: str
    errors: tuple[str, ...]


@dataclass(frozen=True)
class Description:
    """What facepipe is and can be told: versions, commands, settings, errors, schemas."""

    facepipe: str
    python: str
    canvas: int
    schemas: Mapping[str, Schema]
    commands: tuple[CommandEntry, ...]
    settings: tuple[SettingEntry, ...]
    profiles: Mapping[str, Mapping[str, Any]]
    errors: tuple[ErrorCode, ...]
    exit_codes: tuple[ExitCode, ...]


def describe() -> Description:
    """Describe commands, options, settings, errors and exit codes: with --json, for programs."""
    from facepipe.cli.main import app

    commands = tuple(_commands(typer.main.get_command(app)))
    errors = tuple(error_codes())
    made = Description(
        facepipe=__version__,
        python=platform.python_version(),
        canvas=CANVAS,
        schemas={name: read_schema(name) for name in NAMES},
        commands=commands,
        settings=tuple(_settings()),
        profiles={name: _changed(name) for name in PROFILES},
        errors=errors,
        exit_codes=tuple(_exit_codes(errors)),
    )
    _print(made)
    return made


def _print(made: Description) -> None:
    print(f"facepipe {made.facepipe}, contract {VERSION}; --json prints all of it, for programs")
    for command in made.commands:
        print(f"  {command.name:18} {command.summary}")
    for code in made.exit_codes:
        print(f"  exit code {code.exit_code:3}: {code.meaning}")


def _commands(group: Any) -> Iterator[CommandEntry]:
    """Each command that does something, by the words that call it."""
    context = typer.Context(group)
    for panel, members in group.panels.items():
        for name, lazy in members.items():
            command = group.get_command(context, name)
            if not (below := getattr(command, "commands", {})):
                yield _command(name, panel, lazy.summary, command)
            for word, one in below.items():
                yield _command(f"{name} {word}", panel, one.get_short_help_str(1000), one)


def _command(name: str, panel: str, summary: str, command: Any) -> CommandEntry:
    settings = getattr(command.callback, "settings_of_options", {})
    shape = signature(command.callback, eval_str=True)
    if shape.return_annotation in (Signature.empty, None, NoneType):
        raise TypeError(f"the command {name} does not say what its result is")
    return CommandEntry(
        name=name,
        panel=panel,
        summary=summary,
        help=" ".join((command.help or "").split()),
        parameters=tuple(_parameter(one, shape, settings) for one in command.params),
        result=TypeAdapter(shape.return_annotation).json_schema(mode="serialization"),
    )


def _parameter(param: Any, shape: Signature, settings: Mapping[str, str]) -> ParameterEntry:
    """An argument or option, as typer has read it of the function of this shape."""
    setting = settings.get(param.name)
    own = shape.parameters.get(param.name)
    is_option = param.param_type_name == "option"
    value: Schema = {"type": "boolean", "default": False}  # --json, which no function knows
    if own is not None:
        value = _setting_schemas()[setting] if setting else _schema_of(own)
    items = value.get("items") if own is not None and not setting else None
    return ParameterEntry(
        name=param.name,
        kind=param.param_type_name,
        flags=tuple(param.opts) if is_option else (),
        off_flags=tuple(param.secondary_opts),
        is_flag=is_option and bool(param.is_flag),
        required=bool(param.required),
        multiple=items is not None,
        setting=setting,
        panel=getattr(param, "rich_help_panel", None),
        help=getattr(param, "help", None) or "",
        value=items or value,
    )


def _schema_of(own: Parameter) -> Schema:
    """The schema of the values of an option of the command's own: type, range, choices, default."""
    kind, *markers = get_args(own.annotation)
    (plain,) = types_of(kind)
    schema = TypeAdapter(plain).json_schema()
    for marker in markers:
        bounds = {"minimum": marker.min, "maximum": marker.max}
        schema |= {word: bound for word, bound in bounds.items() if bound is not None}
    if isinstance(own.default, (bool, int, float, str)):
        schema["default"] = own.default
    return {word: one for word, one in schema.items() if word != "title"}


def _settings() -> Iterator[SettingEntry]:
    """Each setting by its dotted key."""
    flags = {key: marker.flag for key, _, marker in options_of(Settings)}
    for key, schema in _setting_schemas().items():
        yield SettingEntry(key, flags.get(key, "").partition("/")[0] or None, schema)


@cache
def _setting_schemas() -> Mapping[str, Schema]:
    """The schema of each setting, by its dotted key."""
    whole = Settings.model_json_schema()
    sections = whole.get("$defs", {})

    def walk(section: Schema, prefix: str) -> Iterator[tuple[str, Schema]]:
        for name, schema in section["properties"].items():
            # pydantic below 2.9 has the reference of a section in a list of one.
            named = schema.get("$ref") or schema.get("allOf", [{}])[0].get("$ref")
            if named:
                below = sections[named.rpartition("/")[2]]
                yield from walk(below, f"{prefix}{name}.")
            else:
                yield f"{prefix}{name}", {k: v for k, v in schema.items() if k != "title"}

    return dict(walk(whole, ""))


def _changed(profile: str) -> dict[str, Any]:
    """The settings of a profile that differ from the defaults, by their dotted keys."""
    usual, own = Settings().model_dump(mode="json"), load_settings(profile=profile)
    dumped = own.model_dump(mode="json")

    def walk(before: Mapping[str, Any], after: Mapping[str, Any], prefix: str) -> Iterator[Any]:
        for name, value in after.items():
            if isinstance(value, dict) and isinstance(before[name], dict):
                yield from walk(before[name], value, f"{prefix}{name}.")
            elif value != before[name]:
                yield f"{prefix}{name}", value

    return dict(walk(usual, dumped, ""))


#: What the exit codes of an interrupted command mean.
_STOPPED = {129: "The terminal closed.", 130: "Ctrl-C.", 143: "A request to end (SIGTERM)."}


def _exit_codes(errors: tuple[ErrorCode, ...]) -> Iterator[ExitCode]:
    """Each exit code with the errors that have it."""
    yield ExitCode(0, "All is done.", ())
    codes = {one.exit_code: one.meaning for one in reversed(errors)}
    for code, meaning in sorted((codes | _STOPPED).items()):
        named = tuple(one.code for one in errors if one.exit_code == code)
        yield ExitCode(code, meaning, named or ("interrupted",))
