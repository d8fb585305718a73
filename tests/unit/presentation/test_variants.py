"""Settings side by side."""

from __future__ import annotations

import pytest

from facepipe.configs.settings import load_settings
from facepipe.errors import UsageError
from facepipe.presentation.variants import compared

SETTINGS = load_settings(overrides={"output.scale": 2, "restore.strength": 0.5})


def test_without_comparisons_the_settings_are_the_look() -> None:
    labels, looks = compared(SETTINGS, [])
    assert labels == ["after"]
    assert (looks[0].scale, looks[0].restore.strength) == (2, 0.5)


def test_each_combination_is_a_look() -> None:
    labels, looks = compared(SETTINGS, ["fidelity=0.3;0.7", "restorer=fishsrnet;bicubic"])
    assert labels == [
        "fidelity 0.3, fishsrnet",
        "fidelity 0.3, bicubic",
        "fidelity 0.7, fishsrnet",
        "fidelity 0.7, bicubic",
    ]
    assert [(k.restore.fidelity, k.restore.restorer) for k in looks][2] == (0.7, "fishsrnet")
    assert {look.restore.strength for look in looks} == {0.5}  # all else as the settings say


@pytest.mark.parametrize("key", ["scale", "--scale", "output.scale"])
def test_a_key_may_be_written_as_the_option(key: str) -> None:
    assert [look.scale for look in compared(SETTINGS, [f"{key}=1;2;4"])[1]] == [1, 2, 4]


@pytest.mark.parametrize(
    ("comparisons", "said"),
    [
        (["fidelity"], "KEY=VALUE;VALUE"),
        (["score=0.3;0.7"], "one of restorer, strength"),
        (["fidelity=0.3"], "two values"),
        (["fidelity=0.3;0.3"], "all different"),
        (["fidelity=0.1;0.2;0.3;0.4;0.5"], "2 to 4"),
        (["fidelity=0.1;0.2;0.3", "strength=0.5;1"], "2 to 4"),
        (["fidelity=0.1;7"], "--compare fidelity must be a number from 0 to 1, not 7"),
    ],
)
def test_what_cannot_be_compared_is_refused(comparisons: list[str], said: str) -> None:
    with pytest.raises(UsageError) as refused:
        compared(SETTINGS, comparisons)
    assert said in str(refused.value)
