"""What a field takes, in words, and the one line in which a value is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from facepipe.configs.fields import allowed, options_of, refusal
from facepipe.configs.settings import Settings


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    share: float = Field(0.5, ge=0, le=1)
    width: int = Field(8, gt=0, multiple_of=4)
    size: float | None = Field(None, ge=4)
    most: int = Field(3, le=9)
    kind: Literal["a", "b", "c"] = "a"
    scale: Literal[1, 2] = 1
    name: str = "x"
    place: Path | None = None
    switch: bool = False
    numbers: tuple[int, ...] | None = None
    box: tuple[float, float, float, float] | Path | None = None
    table: dict[str, str] = Field(default_factory=dict)
    odd: int = 1

    @field_validator("odd")
    @classmethod
    def _odd(cls, number: int) -> int:
        if number % 2 == 0:
            raise ValueError("must be odd")
        return number


class Outer(BaseModel):
    model_config = ConfigDict(extra="forbid")

    inner: Inner = Inner()
    files: tuple[Path, ...] = Field(min_length=1)


WORDS = {
    "share": "a number from 0 to 1",
    "width": "a whole number above 0, a multiple of 4",
    "size": "a number from 4 up",
    "most": "a whole number up to 9",
    "kind": "a, b or c",
    "scale": "1 or 2",
    "name": "text",
    "place": "a path",
    "switch": "true or false",
    "numbers": "a list of whole numbers",
    "box": "4 numbers or a path",
    "table": "a table",
    "odd": "a whole number",
}


def test_what_a_field_takes() -> None:
    assert {name: allowed(field) for name, field in Inner.model_fields.items()} == WORDS
    assert allowed(Outer.model_fields["files"]) == "a list of paths with at least 1"
    assert allowed(Outer.model_fields["inner"]) == "a section"


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"inner": {"share": 2}}, "<inner.share> must be a number from 0 to 1, not 2"),
        ({"inner": {"share": float("nan")}}, "<inner.share> must be a number from 0 to 1, not nan"),
        ({"inner": {"kind": "d"}}, "<inner.kind> must be a, b or c, not 'd'"),
        ({"inner": {"numbers": ["x"]}}, "<inner.numbers> must be a list of whole numbers, not 'x'"),
        ({"inner": {"table": {"a": 1}}}, "<inner.table> must be a table, not 1"),
        ({"inner": {"odd": 2}}, "<inner.odd> must be odd, not 2"),
        ({"inner": 3}, "<inner> must be a section, not 3"),
        ({"files": []}, "<files> must be a list of paths with at least 1, not []"),
        ({"files": None}, "<files> must be a list of paths with at least 1, not None"),
        ({"outer": 1}, "<outer>: unknown setting; known here: files, inner"),
    ],
)  # fmt: skip
def test_a_refusal_says_what_is_allowed(given: dict[str, object], reason: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Outer.model_validate({"files": ["a"]} | given)
    assert refusal(refused.value, Outer, lambda key: f"<{key}>") == reason


def test_a_field_that_is_missing_is_named() -> None:
    with pytest.raises(ValidationError) as refused:
        Outer.model_validate({})
    assert refusal(refused.value, Outer, str) == (
        "files must be given: a list of paths with at least 1"
    )


def test_a_refusal_is_short() -> None:
    with pytest.raises(ValidationError) as refused:
        Outer.model_validate({"files": ["a"], "inner": {"share": "x" * 10_000}})
    assert len(refusal(refused.value, Outer, str)) < 200


def test_every_option_has_a_description_and_a_flag_of_its_own() -> None:
    options = list(options_of(Settings))
    assert all(field.description for _, field, _ in options)
    flags = [flag for _, _, marker in options for flag in marker.flag.split("/")]
    assert len(set(flags)) == len(flags)
