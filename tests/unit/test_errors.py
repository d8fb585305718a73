"""Texts in messages stay in one line, as long as they may be."""

from __future__ import annotations

import pytest

from facepipe.errors import printable


@pytest.mark.parametrize(
    ("text", "longest", "shown"),
    [
        ("naïve 顔.mp4", None, "naïve 顔.mp4"),
        ("a\nb\x1b[2J\udcff", None, r"a\nb\x1b[2J\udcff"),
        ("x" * 300, None, "x" * 300),
        ("x" * 9, 9, "x" * 9),
        ("x" * 10, 9, "x" * 8 + "…"),
        ("\n" * 5, 9, r"\n\n\n\n…"),
    ],
)
def test_printable(text: str, longest: int | None, shown: str) -> None:
    assert printable(text, longest=longest) == shown
