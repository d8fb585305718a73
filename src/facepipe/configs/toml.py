"""TOML: files of settings, single values, and how later settings are laid over earlier ones."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from facepipe.errors import UsageError

_MOST_BYTES = 2**20
#: Sections within sections that a key may name.
_DEEPEST = 8
#: Dots in a line. tomllib takes time by the square of a key's parts: minutes for 100,000 of them.
_MOST_DOTS = 1000


def read_toml(path: Path, kind: str) -> dict[str, Any]:
    """Read a TOML file; errors call it `kind`. Raises UsageError."""
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            raise UsageError(f"{path}: this {kind} is no regular file")
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
        if len(content) > _MOST_BYTES:
            raise UsageError(f"{path}: this {kind} has more than {_MOST_BYTES} bytes")
        return _parsed(content.decode())
    except FileNotFoundError as error:
        raise UsageError(f"{path}: no such {kind}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: this {kind} cannot be read ({error})") from error
    except (ValueError, RecursionError) as error:  # numbers of 5,000 digits, 1,000 brackets
        raise UsageError(f"{path}: not valid TOML ({error})") from error


def _parsed(text: str) -> dict[str, Any]:
    """Parse TOML. Raises ValueError, and RecursionError for 1,000 brackets."""
    if any(line.count(".") > _MOST_DOTS for line in text.splitlines()):
        raise ValueError(f"a line has more than {_MOST_DOTS} dots")
    return tomllib.loads(text)


def merge(into: dict[str, Any], other: Mapping[str, Any]) -> None:
    """Lay `other` over `into`, section by section."""
    for key, value in other.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            merge(into[key], value)
        else:
            into[key] = value


def assign(into: dict[str, Any], dotted: str, value: object) -> None:
    """Set the value of a dotted key. Raises UsageError where a part of it is no section."""
    *sections, last = dotted.split(".")
    if len(sections) > _DEEPEST:
        raise UsageError(f"--set wants key=value, got a key of {len(sections) + 1} parts")
    for section in sections:
        inner = into.setdefault(section, {})
        if not isinstance(inner, dict):
            raise UsageError(f"{dotted}: {section} is a value, not a section")
        into = inner
    into[last] = value


def literal(text: str) -> object:
    """Return the TOML value that `text` spells, or the text itself: `--set output.codec=ffv1`."""
    try:
        spelled = _parsed(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    return spelled["value"] if len(spelled) == 1 else text
