"""Options of the command line: those that set a field of Settings are generated from that field."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from enum import StrEnum
from functools import wraps
from inspect import Parameter, Signature, signature
from keyword import iskeyword
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

import typer
from pydantic.fields import FieldInfo

from facepipe.cli.machine import note_stage
from facepipe.configs.fields import Cli, options_of, range_of, types_of
from facepipe.configs.settings import PROFILES, RUN, Settings, load_settings

#: What a command returns: its result.
Returned = TypeVar("Returned")


class ProgressKind(StrEnum):
    auto = "auto"
    bar = "bar"
    lines = "lines"
    jsonl = "jsonl"
    none = "none"


class Device(StrEnum):
    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


#: Readable is checked where it is read: then it is no wrong option, but a source with exit code 3.
Input = Annotated[
    Path, typer.Argument(metavar="INPUT", help="any video that FFmpeg reads", readable=False)
]
Output = Annotated[Path, typer.Option("--output", "-o", help="the video to write")]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="replace an existing output", rich_help_panel=RUN)
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="print the plan, write nothing", rich_help_panel=RUN)
]
Progress = Annotated[
    ProgressKind, typer.Option(help="how progress is shown, on stderr", rich_help_panel=RUN)
]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="print nothing but errors", rich_help_panel=RUN)
]

Profile = Annotated[
    str, typer.Option(help=f"settings that ship: {', '.join(PROFILES)}", rich_help_panel=RUN)
]
Config = Annotated[Path | None, typer.Option(help="a TOML file of settings", rich_help_panel=RUN)]
Assign = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="one setting; may be repeated", rich_help_panel=RUN
    ),
]


def with_settings(
    *taken: str, without: Sequence[str] = ()
) -> Callable[[Callable[..., Returned]], Callable[..., Returned]]:
    """Decorate a command: its argument `settings` is made from options that this adds to it.

    `taken` names sections of Settings ("detect") or fields ("output.start"). Each field there that
    has a `Cli` marker and is not in `without` becomes an option; --profile, --config and --set come
    with them.
    """
    fields = {
        key: (field, marker)
        for key, field, marker in options_of(Settings)
        if (key in taken or key.partition(".")[0] in taken) and key not in without
    }

    def decorate(command: Callable[..., Returned]) -> Callable[..., Returned]:
        shape = signature(command, eval_str=True)
        own = dict(shape.parameters)
        del own["settings"]
        options = {key: _option(field, marker) for key, (field, marker) in fields.items()}

        @wraps(command)
        def with_options(**given: Any) -> Returned:
            settings = load_settings(
                profile=given.pop("profile"),
                config=given.pop("config"),
                assignments=given.pop("assign") or (),
                overrides={
                    key: _value(given.pop(option.name), fields[key][0])
                    for key, option in options.items()
                },
            )
            note_stage("start")
            return command(**given, settings=settings)

        common = [
            _keyword("profile", Profile, PROFILES[0]),
            _keyword("config", Config, None),
            _keyword("assign", Assign, None),
        ]
        parameters = [one.replace(kind=Parameter.KEYWORD_ONLY) for one in own.values()]
        shown = Signature(
            [*options.values(), *parameters, *common], return_annotation=shape.return_annotation
        )
        with_options.__signature__ = shown  # type: ignore[attr-defined]
        with_options.__annotations__ = {n: one.annotation for n, one in shown.parameters.items()}
        settings_of = {option.name: key for key, option in options.items()}
        with_options.settings_of_options = settings_of  # type: ignore[attr-defined]
        return with_options

    return decorate


def _keyword(name: str, annotation: Any, default: object) -> Parameter:
    return Parameter(name, Parameter.KEYWORD_ONLY, annotation=annotation, default=default)


def _option(field: FieldInfo, marker: Cli) -> Parameter:
    """Make the option of a field, as a parameter that typer reads."""
    flag = field.annotation is bool
    kind: Any = bool | None if flag else str | None
    option = typer.Option(
        marker.flag,
        metavar=None if flag else marker.metavar or _metavar(field),
        help=_help(field, marker),
        show_default=False,  # it stands in the help
        rich_help_panel=marker.panel,
    )
    name = marker.flag.partition("/")[0].strip("-").replace("-", "_")
    name += "_" * iskeyword(name)
    return _keyword(name, Annotated[kind, option], None)


def _metavar(field: FieldInfo) -> str:
    kind = types_of(field.annotation)[0]
    if get_origin(kind) is Literal:
        return f"<{'|'.join(map(str, get_args(kind)))}>"
    return f"<{kind.__name__.lower()}>"


def _help(field: FieldInfo, marker: Cli) -> str:
    """Write an option's help: what it is, the range of its values, its default."""
    default = field.default if marker.default is None else marker.default
    if isinstance(default, bool):
        default = marker.flag.partition("/")[0].strip("-") if default else None
    elif isinstance(default, float):
        default = f"{default:g}"
    extras = [range_of(field), "" if default is None else f"default: {default}"]
    bracketed = "; ".join(filter(None, extras))
    return f"{field.description}  [{bracketed}]" if bracketed else f"{field.description}"


def _value(given: str | bool | None, field: FieldInfo) -> object:
    """Read a number where the field takes one; Settings refuses text that is none."""
    kind = types_of(field.annotation)[0]
    if isinstance(given, str) and (kind in (int, float) or get_origin(kind) is Literal):
        for number in (int, float):
            with suppress(ValueError):
                return number(given)
    return given
