"""Commands as typer runs them: loaded when called, their options listed by panel in the help."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, ClassVar

import typer
from typer.core import TyperCommand, TyperGroup

from facepipe.cli import machine
from facepipe.cli.error_report import CLICK_ERROR, report_of
from facepipe.errors import UsageError, did_you_mean

#: Commands that take one file, and click's words for one more.
_ONE_FILE = ("run", "analyze")
_EXTRA_FILE = re.compile(r"unexpected extra argument\S* \((.*)\)")
#: What --compare of `preview` takes.
_COMPARISON = re.compile(r"[a-z_.]+=[^;]+(;[^;]+)+")
#: Click's error of wrong words, wherever typer has its click from.
_WRONG_WORDS: type[Any] = typer.BadParameter.__mro__[1]


@cache
def _json_option() -> Any:
    """The option --json, which each command has."""

    def command(
        as_json: Annotated[
            bool,
            typer.Option(
                machine.FLAG,
                help="print the result, or the error, as one JSON object; all else goes to stderr",
            ),
        ] = False,
    ) -> None: ...

    made = typer.Typer(add_completion=False)
    made.command()(command)
    (option,) = (one for one in typer.main.get_command(made).params if machine.FLAG in one.opts)
    option.expose_value = False  # machine.py has looked for it before
    return option


def _words_of(ctx: Any) -> str:
    """The words that call a command, without the program's name."""
    words: list[str] = []
    while ctx.parent is not None:
        words.insert(0, ctx.info_name)
        ctx = ctx.parent
    return " ".join(words)


class Command(TyperCommand):
    """A command whose help lists options by panel, without rich. It has --json."""

    def __init__(self, *args: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        self.params.append(_json_option())

    def invoke(self, ctx: Any) -> Any:
        """Run the command, and note what it returns as its result."""
        if not hasattr(self.callback, "settings_of_options"):  # which are read first
            machine.note_stage("start")
        result = super().invoke(ctx)
        if result is not None:
            machine.note_result(result)
        return result

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments, the options without a panel, then each panel."""
        panels: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
        for param in self.get_params(ctx):
            usual = "Arguments" if param.param_type_name == "argument" else "Options"
            if record := param.get_help_record(ctx):
                panel = getattr(param, "rich_help_panel", None) or usual
                panels.setdefault(panel, []).append(record)
        for panel, records in panels.items():
            if records:
                with formatter.section(panel):
                    formatter.write_dl(records)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Refuse options after `--`, where they would be taken as names of files."""
        machine.note_command(_words_of(ctx))
        self._check_names(ctx, args[args.index("--") + 1 :] if "--" in args else [])
        args = _repeated(args)
        try:
            return super().parse_args(ctx, args)
        except _WRONG_WORDS as error:
            extra = _EXTRA_FILE.search(error.format_message())
            if extra is None or self.name not in _ONE_FILE:
                raise
            raise UsageError(
                f"{ctx.command_path} takes one file, and {extra[1]} is one more; "
                "`facepipe batch FILE... -o FOLDER` takes several"
            ) from error

    def _check_names(self, ctx: Any, names: list[str]) -> None:
        """Raise UsageError for an option among names of files."""
        flags = {flag for param in self.params for flag in (*param.opts, *param.secondary_opts)}
        for word in names:
            if word.startswith("-") and word in flags and not Path(word).exists():
                raise UsageError(
                    f"{word} stands after --, where all is taken as a name; options stand before "
                    f"it: {ctx.command_path} {word} ... -- {names[0]}"
                )


def _repeated(args: list[str]) -> list[str]:
    """The words with --compare before each comparison: it may stand once before several."""
    made: list[str] = []
    for word in args:
        is_further = len(made) > 1 and made[-2] == "--compare" and _COMPARISON.fullmatch(word)
        made += ["--compare", word] if is_further else [word]
    return made


class Group(TyperGroup):
    """A group whose help gives each command the whole first sentence of its docstring.

    It has --json, for what it does without a command.
    """

    def __init__(self, *args: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        self.params.append(_json_option())

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Note which command it is."""
        machine.note_command(_words_of(ctx))
        rest: list[str] = super().parse_args(ctx, args)
        return rest

    def invoke(self, ctx: Any) -> Any:
        """Run the command, and note what it returns as its result."""
        result = super().invoke(ctx)
        if result is not None:
            machine.note_result(result)
        return result

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write a line for each command."""
        found = {name: self.get_command(ctx, name) for name in self.list_commands(ctx)}
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, one.get_short_help_str(1000)) for name, one in found.items() if one]
            )


@contextmanager
def _noting_wrong_words() -> Iterator[None]:
    """Note click's errors, which typer prints and turns into exit codes."""
    try:
        yield
    except CLICK_ERROR as error:
        said = error.format_message()  # type: ignore[attr-defined]
        machine.note_error(report_of(error, said, UsageError.exit_code))
        raise


@dataclass(frozen=True)
class Lazy:
    """A command that is imported when it is called.

    `target` is "module:name" of a function or a Typer, `summary` its line in the help of the whole.
    """

    target: str
    summary: str

    def load(self, name: str) -> Any:
        """Import the command."""
        module, _, attribute = self.target.partition(":")
        found: Callable[..., None] | typer.Typer = getattr(import_module(module), attribute)
        if not isinstance(found, typer.Typer):
            function, found = found, typer.Typer(add_completion=False, rich_markup_mode=None)
            found.command(name, cls=Command)(function)
        command = typer.main.get_command(found)
        command.name = name
        return command


class LazyGroup(TyperGroup):
    """A group whose commands are imported when they are called; a subclass names them.

    `panels` holds the commands by the heading of the help that they stand under.
    """

    panels: ClassVar[Mapping[str, Mapping[str, Lazy]]]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Note what is wrong with the words."""
        with _noting_wrong_words():
            rest: list[str] = super().parse_args(ctx, args)
        return rest

    def invoke(self, ctx: Any) -> Any:
        """Run the command, and note what is wrong with its words."""
        with _noting_wrong_words():
            return super().invoke(ctx)

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        """Name the commands, in the order of the help."""
        return [name for commands in self.panels.values() for name in commands]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        """Import the command of a name; None where there is none."""
        for commands in self.panels.values():
            if cmd_name in commands:
                return commands[cmd_name].load(cmd_name)
        return None

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command that is called; UsageError for a word that is none."""
        known = self.list_commands(ctx)
        if args and args[0] not in known and not args[0].startswith("-"):
            raise UsageError(
                f"there is no command {args[0]!r}{did_you_mean(args[0], known)}"
                f" (`{ctx.command_path} -h` lists them)"
            )
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002
        """Write each command's summary, by panel, without importing it."""
        for panel, commands in self.panels.items():
            with formatter.section(panel):
                formatter.write_dl([(name, lazy.summary) for name, lazy in commands.items()])
