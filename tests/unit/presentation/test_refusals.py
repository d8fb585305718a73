"""Reasons of refused tracks in plain words: each that the program gives is known."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import facepipe
from facepipe.cli.options import load_settings
from facepipe.datatypes import Track
from facepipe.presentation.refusals import explain, grouped

PACKAGE = Path(facepipe.__file__).parent
GIVEN = ("faces/tracking/acceptance.py", "pipeline/selection.py")


def reasons() -> Iterator[str]:
    """Each reason that the modules give, with 1 for each number in it."""
    for name in GIVEN:
        for node in ast.walk(ast.parse((PACKAGE / name).read_text(encoding="utf-8"))):
            returns = isinstance(node, ast.Return)
            names = isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "reason"
            value = getattr(node, "value", None) if returns or names else None
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                yield value.value
            elif isinstance(value, ast.JoinedStr):
                yield "".join(
                    str(part.value) if isinstance(part, ast.Constant) else "1"
                    for part in value.values
                )


def test_the_reasons_are_found() -> None:
    assert len(list(reasons())) >= 12


@pytest.mark.parametrize("reason", [*reasons(), "score 0.1 below 0.7, and it never moved"])
def test_each_reason_is_said_in_plain_words(reason: str) -> None:
    said = explain(reason)
    assert said.kind != "other reasons"
    assert said.words != reason
    assert not re.search(r"looks|canvas|{|}", said.kind + said.words + said.remedy)


def track(number: int, reason: str | None, score: float = 0.5, *, enhance: bool = False) -> Track:
    return Track(
        number=number,
        pts=np.array([0, 10]),
        boxes=np.tile(np.float32([10, 10, 30, 30]), (2, 1)),
        landmarks=np.zeros((2, 5, 2), np.float32),
        scores=np.full(2, score, np.float32),
        enhance=enhance,
        reason=reason,
    )


@pytest.mark.parametrize(
    ("reason", "option", "value"),
    [
        ("score 0.649 below 0.7", "detect.score", 0.649),
        ("smaller than --min-face: 7.4 px of 8", "detect.min_face", 7.4),
        ("larger than --max-face: 81.2 px of 80", "detect.max_face", 81.2),
        ("too short: 0.12 s, 0.25 s asked for", "link.min_seconds", 0.12),
        ("blurred: 0.07 of its contrast is detail, 0.1 asked for", "link.detail", 0.07),
    ],
)
def test_the_remedy_is_a_setting_that_takes_it(reason: str, option: str, value: float) -> None:
    remedy = explain(reason).remedy
    flag = option.rpartition(".")[2].replace("_", "-")
    found = re.search(rf"(?:--{flag} |{re.escape(option)}=)([0-9.]+)", remedy)
    assert found, remedy
    given = float(found[1])
    assert given >= value if "max" in option else given <= value
    load_settings(assignments=[f"{option}={given}"])


def test_a_reason_that_is_not_known_stays_as_it_is() -> None:
    said = explain("<b>struck by Ann</b>")
    assert (said.kind, said.words, said.remedy) == ("other reasons", "<b>struck by Ann</b>", "")


def test_a_track_struck_by_hand_has_a_reason() -> None:
    assert explain(None).kind == "taken out by hand"


def test_tracks_are_grouped_by_kind_the_largest_group_first() -> None:
    tracks = [
        track(1, "outside --region"),
        track(2, "score 0.4 below 0.7", 0.4),
        track(3, "score 0.6 below 0.7", 0.6),
        track(4, None, enhance=True),
    ]
    groups = grouped(tracks)
    assert [(one.kind, [t.number for t in group]) for one, group in groups] == [
        ("not surely a face", [2, 3]),
        ("outside the region", [1]),
    ]
    assert "0.6" in groups[0][0].words  # the surest one's
