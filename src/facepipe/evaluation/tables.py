"""Evaluations as JSON, as Markdown tables, and in files."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, Protocol

from facepipe.errors import OutputError


class Evaluation(Protocol):
    """A dataclass of metrics that can be printed as a table."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    def to_markdown(self) -> str:
        """The metrics as a Markdown table, with what was measured."""
        ...


def as_json(evaluation: Evaluation | Sequence[Evaluation]) -> str:
    """One evaluation as an indented JSON object, several as a list."""
    tables = (
        [asdict(one) for one in evaluation]
        if isinstance(evaluation, Sequence)
        else asdict(evaluation)
    )
    return json.dumps(tables, indent=2, allow_nan=False) + "\n"


def markdown_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a Markdown table: the first column is text, the others are numbers."""
    lines = [f"| {' | '.join(headings)} |", "|---" + "|---:" * (len(headings) - 1) + "|"]
    return lines + [f"| {' | '.join(cells)} |" for cells in rows]


def format_cell(value: float | None, format_spec: str) -> str:
    """Format a value; a dash for None."""
    return "-" if value is None else format(value, format_spec)


def write_text(text: str, target: Path) -> None:
    """Write an evaluation. Raises OutputError when that cannot be done."""
    try:
        target.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{target}: the evaluation cannot be written ({error})") from error
