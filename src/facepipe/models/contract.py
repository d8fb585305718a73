"""The contract of a restorer: what it takes and gives. All of facepipe goes by it.

Networks of others state theirs in a TOML file beside the weights, or in Python.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

from facepipe.datatypes import CANVAS, TEMPLATES, Alignment, Points
from facepipe.errors import ModelError

Colour = Literal["rgb", "bgr"]
Mask = Literal["own", "parsing", "square"]
#: Canvases of other sizes than these are refused, in px.
_SIDES = (32, 2048)
_MOST_AT_ONCE = 256
#: Values of white and black, and the least distance between them, the other way round.
_MOST = 1e6


@dataclass(frozen=True, kw_only=True)
class Contract:
    """What a network takes and gives: N canvases of float32, (N, 3, `input`, `input`).

    The result is (N, 3, `canvas`, `canvas`). A wrong value raises ValueError, which says what is
    allowed.
    """

    #: Side of the restored canvas, px.
    canvas: int = CANVAS
    #: Side of the canvas that the network is given, px; 0: as large as the restored one.
    input: int = 0
    #: Whether it is made for pixels as the frame has them: a face that is small in the frame is
    #: then given to it smaller than `input`, by powers of two, down to `least_input` px.
    native: bool = False
    least_input: int = 32
    #: Where the five landmarks lie: a name of TEMPLATES, or five (x, y) as shares of the side.
    template: str | Points = "ffhq"
    #: Order of the three colours, of input and output.
    colour: Colour = "rgb"
    #: Values of black and white, of input and output.
    range: tuple[float, float] = (0.0, 1.0)
    #: Most canvases that the network takes at once.
    batch: int = 16
    #: Whether it takes seven more channels: what the neighbouring frames add
    #: (`faces.restoration.fusion`). These keep their values, whatever `range` says.
    neighbours: bool = False
    #: Whether faces that are larger than the canvas are restored too.
    any_size: bool = False
    #: What limits the paste: the network's own parse (N, 8, 32, 32), its second result;
    #: ParsingNet's parse of the source's face; or only the canvas's border.
    mask: Mask = "parsing"
    #: Whether it may be computed in half precision or bfloat16 where that is faster.
    half: bool = False
    #: What users are allowed to do with it.
    licence: str

    def __post_init__(self) -> None:
        for field in fields(self):
            value, rule = getattr(self, field.name), _RULES[field.name]
            if not rule.holds(value):
                raise ValueError(f"{field.name} must be {rule.allowed}, not {value!r}")
        if self.range[1] - self.range[0] < 1 / _MOST:
            raise ValueError(f"range must rise from black to white, not be {self.range!r}")
        if self.neighbours and self.input_side != self.canvas:
            raise ValueError("neighbours go with an input of the canvas's own size alone")

    @cached_property
    def alignment(self) -> Alignment:
        """The canvas that a face is put on."""
        template = TEMPLATES[self.template] if isinstance(self.template, str) else self.template
        return Alignment(self.canvas, template, self.any_size)

    @property
    def input_side(self) -> int:
        """Side of the canvas that the network is given, px."""
        return self.input or self.canvas


@dataclass(frozen=True)
class _Rule:
    """Which values a field takes, and how that is said."""

    holds: Callable[[Any], bool]
    allowed: str


def _is_whole(value: object, least: int, most: int) -> bool:
    return type(value) is int and least <= value <= most


def _is_pair(value: object) -> bool:
    return (
        isinstance(value, tuple)
        and len(value) == 2
        and all(type(one) in (int, float) and -_MOST <= one <= _MOST for one in value)
    )


def _is_template(value: object) -> bool:
    if isinstance(value, str):
        return value in TEMPLATES
    if not (isinstance(value, tuple) and len(value) == 5 and all(map(_is_pair, value))):
        return False
    return all(0 <= share <= 1 for pair in value for share in pair) and len(set(value)) == 5


def _is_true_or_false(value: object) -> bool:
    return type(value) is bool


_SIDE = "a whole number of px from {} to {}".format(*_SIDES)
_RULES = {
    "canvas": _Rule(lambda v: _is_whole(v, *_SIDES), _SIDE),
    "input": _Rule(lambda v: v == 0 or _is_whole(v, *_SIDES), f"{_SIDE}, or 0"),
    "native": _Rule(_is_true_or_false, "true or false"),
    "least_input": _Rule(lambda v: _is_whole(v, 1, _SIDES[1]), f"a whole number up to {_SIDES[1]}"),
    "template": _Rule(
        _is_template,
        f"{' or '.join(TEMPLATES)}, or five different [x, y] as shares of the side from 0 to 1",
    ),
    "colour": _Rule(lambda v: v in get_args(Colour), " or ".join(get_args(Colour))),
    "range": _Rule(_is_pair, "two numbers, [black, white]"),
    "batch": _Rule(
        lambda v: _is_whole(v, 1, _MOST_AT_ONCE), f"a whole number from 1 to {_MOST_AT_ONCE}"
    ),
    "neighbours": _Rule(_is_true_or_false, "true or false"),
    "any_size": _Rule(_is_true_or_false, "true or false"),
    "mask": _Rule(lambda v: v in get_args(Mask), ", ".join(get_args(Mask))),
    "half": _Rule(_is_true_or_false, "true or false"),
    "licence": _Rule(lambda v: isinstance(v, str) and bool(v.strip()), "a text that is not empty"),
}


def read_contract(path: Path) -> Contract:
    """The contract that a TOML file states. Raises ModelError: not there, or what is wrong."""
    try:
        stated = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ModelError(
            f"{path}: no such file; it must state the contract of the network beside it, such as\n"
            '  canvas = 512\n  range = [-1, 1]\n  licence = "MIT"'
        ) from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise ModelError(f"{path}: cannot be read as TOML ({error})") from error
    known = {field.name for field in fields(Contract)}
    if unknown := sorted(stated.keys() - known):
        raise ModelError(f"{path}: {unknown[0]}: unknown; known are {', '.join(sorted(known))}")
    if "licence" not in stated:
        raise ModelError(f"{path}: licence must be given: what users may do with the network")
    try:
        return Contract(**{name: _frozen(value) for name, value in stated.items()})
    except ValueError as error:
        raise ModelError(f"{path}: {error}") from error


def _frozen(value: object) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list) else value
