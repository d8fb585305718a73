"""Texts in messages stay in one line, as long as they may be."""

from __future__ import annotations

import pytest

from facepipe.errors import did_you_mean, printable


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


def test_the_nearest_word_is_meant() -> None:
    known = ["detect.score", "detect.min_face", "output.scale"]
    assert did_you_mean("detect.scor", known) == "; did you mean detect.score?"
    assert did_you_mean("min_fase", known) == "; did you mean detect.min_face?"
    assert did_you_mean("xylophone", known) == ""
    assert did_you_mean(3, []) == ""
