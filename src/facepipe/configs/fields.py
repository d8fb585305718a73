"""Settings fields described as text, for help and for error messages; the `Cli` marker."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from reprlib import Repr
from types import NoneType, UnionType
from typing import Any, Literal, TypeGuard, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from facepipe.errors import did_you_mean

_SHORT = Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 120
_BOUNDS = {
    "gt": "above {}",
    "ge": "from {} up",
    "le": "up to {}",
    "multiple_of": "a multiple of {}",
    "min_length": "with at least {}",
}
_NAMES = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    Path: "a path",
    dict: "a table",
}


@dataclass(frozen=True)
class Cli:
    """Marks a field of Settings that has an option on the command line.

    `flag` is the option's name and `panel` the heading of the help that it stands under. `default`
    says what None stands for, `metavar` what a value looks like.
    """

    flag: str
    panel: str
    default: str | None = None
    metavar: str | None = None


def options_of(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo, Cli]]:
    """Yield each field that has an option: its dotted key, the field and the marker."""
    for name, field in model.model_fields.items():
        if _is_section(field.annotation):
            yield from options_of(field.annotation, f"{prefix}{name}.")
        for marker in field.metadata:
            if isinstance(marker, Cli):
                yield f"{prefix}{name}", field, marker


def keys_of(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Yield the dotted key of each field that holds a value."""
    for name, field in model.model_fields.items():
        if _is_section(field.annotation):
            yield from keys_of(field.annotation, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def types_of(annotation: Any) -> tuple[Any, ...]:
    """Return the members of a union, None left out; any other type alone."""
    if get_origin(annotation) in (Union, UnionType):
        return tuple(kind for kind in get_args(annotation) if kind is not NoneType)
    return (annotation,)


def range_of(field: FieldInfo) -> str:
    """Describe the bounds of a field's value: "from 0 to 1", "above 0"; "" where it has none."""
    bounds = {
        name: f"{getattr(bound, name):.15g}"
        for bound in field.metadata
        for name in _BOUNDS
        if hasattr(bound, name)
    }
    if {"ge", "le"} <= bounds.keys():
        return f"from {bounds['ge']} to {bounds['le']}"
    return ", ".join(_BOUNDS[name].format(value) for name, value in bounds.items())


def allowed(field: FieldInfo) -> str:
    """Say which values a field takes: "a number from 0 to 1", "1, 2 or 4"."""
    kinds = " or ".join(_describe(kind) for kind in types_of(field.annotation))
    return f"{kinds} {range_of(field)}".rstrip()


def refusal(error: ValidationError, model: type[BaseModel], name_of: Callable[[str], str]) -> str:
    """Say the first fault of `error` in one line; `name_of` gives a dotted key as it was typed."""
    fault = error.errors(include_url=False)[0]
    key, field, section = _locate(model, fault["loc"])
    name = name_of(key)
    if field is None:
        hint = did_you_mean(key, keys_of(model))
        known = ", ".join(sorted(section.model_fields))
        return f"{name}: unknown setting; known here: {known}{hint}"
    if fault["type"] == "missing":
        return f"{name} must be given: {allowed(field)}"
    if fault["type"] == "value_error":
        rule = str(fault["ctx"]["error"])
    else:
        rule = f"must be {allowed(field)}"
    hint = did_you_mean(fault["input"], _choices(field))
    return f"{name} {rule}, not {shortened(fault['input'])}{hint}"


def shortened(value: object) -> str:
    """Return the repr of a value, cut to what an error may show of a large or deep one."""
    return _SHORT.repr(value)


def _locate(
    model: type[BaseModel], location: tuple[int | str, ...]
) -> tuple[str, FieldInfo | None, type[BaseModel]]:
    """Find the field of a fault: dotted key, field (None: no such), the section it belongs to."""
    parts: list[str] = []
    field: FieldInfo | None = None
    section: type[BaseModel] = model
    for part in location:
        parts.append(str(part))
        field = section.model_fields.get(str(part))
        if field is None or not _is_section(field.annotation):
            break
        section = field.annotation
    return ".".join(parts), field, section


def _choices(field: FieldInfo) -> list[str]:
    """The words that a field takes, where it takes no others."""
    kinds = [kind for kind in types_of(field.annotation) if get_origin(kind) is Literal]
    return [one for kind in kinds for one in get_args(kind) if isinstance(one, str)]


def _is_section(annotation: object) -> TypeGuard[type[BaseModel]]:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _describe(kind: Any) -> str:
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Literal:
        *others, last = map(str, inner)
        return f"{', '.join(others)} or {last}"
    if origin is tuple:
        items = f"{_describe(inner[0]).removeprefix('a ')}s"
        return f"a list of {items}" if inner[-1] is ... else f"{len(inner)} {items}"
    return _NAMES.get(origin or kind, "a section")
