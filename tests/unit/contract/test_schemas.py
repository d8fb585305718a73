"""The schemas that ship are schemas, and hold for what facepipe makes by them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator, ValidationError

from facepipe.contract.events import Kind, event_line
from facepipe.contract.schemas import NAMES, VERSION, read_schema

RESULT = {"schema_version": VERSION, "command": "run", "exit_code": 0}
ERROR = {
    "code": "input", "exit_code": 3, "type": "InputError", "message": "a.mp4 does not exist",
    "retryable": False, "hint": None, "stage": "start",
}  # fmt: skip


def validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(
        read_schema(name), format_checker=Draft202012Validator.FORMAT_CHECKER
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_is_one_and_is_of_this_version(name: str) -> None:
    schema = read_schema(name)
    Draft202012Validator.check_schema(schema)
    assert schema["properties"]["schema_version"] == {"const": VERSION}


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("progress", {"stage": "render", "done": 3, "total": 40}),
        ("batch", {"items": 1, "of": 2, "frames": 40, "faces": 80}),
        (
            "item",
            {"source": "/in/a.jpg", "member": None, "output": "a.jpg", "state": "done",
             "reason": "", "frames": 1, "faces": 2, "seconds": 0.5},
        ),
        ("log", {"job": 7, "level": "info", "said": "task begun", "task": 0, "span": 1}),
    ],
)  # fmt: skip
def test_an_event_has_the_fields_of_its_kind_and_no_others(
    kind: Kind, fields: dict[str, object]
) -> None:
    line = event_line(kind, fields, at=0.5)
    assert "\n" not in line
    event = json.loads(line)
    assert event["time"] == "1970-01-01T00:00:00.500+00:00"
    validator("event").validate(event)
    for wrong in (
        event | {"other": 1},
        event | {"schema_version": VERSION + 1},
        event | {"event": "nothing"},
        *({k: v for k, v in event.items() if k != name} for name in ("time", next(iter(fields)))),
    ):
        with pytest.raises(ValidationError):
            validator("event").validate(wrong)


@pytest.mark.parametrize(
    "good",
    [
        RESULT,
        RESULT | {"output": "a.mp4"},
        RESULT | {"exit_code": 3, "error": ERROR},
        RESULT | {"exit_code": 8, "counts": {}, "error": ERROR | {"exit_code": 8}},
    ],
)
def test_a_result_and_an_error(good: dict[str, Any]) -> None:
    validator("result").validate(good)


@pytest.mark.parametrize(
    "bad",
    [
        {"output": "a.mp4"},
        RESULT | {"exit_code": 3},
        RESULT | {"error": ERROR},
        RESULT | {"exit_code": 3, "error": {"code": "input"}},
        RESULT | {"exit_code": 3, "error": ERROR | {"code": "Not A Word"}},
    ],
)
def test_what_is_neither(bad: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        validator("result").validate(bad)
