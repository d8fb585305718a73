"""The JSON schemas that ship with facepipe, and their version."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

#: Version of all of them. Fields may be added without a new one; none goes away or changes.
VERSION = 1

#: What there is a schema of: `event`: a line of --progress jsonl and of a batch's journal;
#: `result`: what --json prints; `describe`: what `facepipe describe --json` prints.
NAMES = ("event", "result", "describe")


def read_schema(name: str) -> dict[str, Any]:
    """The schema of that name, as JSON Schema of draft 2020-12."""
    text = files(__package__).joinpath(f"{name}.schema.json").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema
