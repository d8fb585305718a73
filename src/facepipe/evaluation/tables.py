"""Figures as JSON, as a Markdown table, and in files."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, Protocol

from facepipe.errors import OutputError


class Figures(Protocol):
    """A dataclass of figures that knows its table."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    def to_markdown(self) -> str:
        """The figures as a table, and what was measured."""
        ...


def as_json(figures: Figures | Sequence[Figures]) -> str:
    """One set of figures as an indented JSON object, several as a list of them."""
    made = [asdict(one) for one in figures] if isinstance(figures, Sequence) else asdict(figures)
    return json.dumps(made, indent=2, allow_nan=False) + "\n"


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a Markdown table whose first column is text and the others numbers."""
    lines = [f"| {' | '.join(headings)} |", "|---" + "|---:" * (len(headings) - 1) + "|"]
    return lines + [f"| {' | '.join(cells)} |" for cells in rows]


def cell(value: float | None, form: str) -> str:
    """A figure as it is written, a dash where there is none."""
    return "-" if value is None else format(value, form)


def write(path: Path, text: str) -> None:
    """Write `text` to `path`. Raises OutputError when that cannot be done."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{path}: the figures cannot be written ({error})") from error
