"""Settings side by side: "fidelity=0.3;0.7" as two to four looks with a label each."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

from pydantic import ValidationError

from facepipe.configs.fields import refusal
from facepipe.configs.settings import RestoreSettings, Settings
from facepipe.configs.toml import assign, literal
from facepipe.errors import UsageError
from facepipe.presentation.views import Look

#: Looks side by side, at most.
MOST_LOOKS = 4
#: What can be compared, by the names that options have: all that changes no face that is found.
_KEYS = {name: f"restore.{name}" for name in RestoreSettings.model_fields} | {
    "scale": "output.scale"
}


def compared(settings: Settings, comparisons: Sequence[str]) -> tuple[list[str], list[Look]]:
    """The labels and the looks of `KEY=VALUE;VALUE...`, each combination of several.

    Without comparisons it is one, the settings themselves. Raises UsageError for a key that cannot
    be compared, a value that it does not take, and fewer than two or more than MOST_LOOKS looks.
    """
    if not comparisons:
        return ["after"], [look_of(settings)]
    choices = [_choices(comparison) for comparison in comparisons]
    combinations = list(product(*choices))
    if not 2 <= len(combinations) <= MOST_LOOKS:
        raise UsageError(
            f"--compare takes 2 to {MOST_LOOKS} settings side by side, and these are "
            f"{len(combinations)}: {' '.join(comparisons)}"
        )
    labels = [
        ", ".join(_label(key, value) for key, value in combination) for combination in combinations
    ]
    return labels, [look_of(_with(settings, combination)) for combination in combinations]


def look_of(settings: Settings) -> Look:
    """How the settings render a face."""
    return Look(settings.restore, settings.output.scale)


def _label(key: str, value: str) -> str:
    """What is written over a look: a restorer's name says what it is."""
    name = key.rpartition(".")[2]
    return value if name == "restorer" else f"{name} {value}"


def _choices(comparison: str) -> list[tuple[str, str]]:
    """The pairs of key and value that one comparison names."""
    name, equals, values = comparison.partition("=")
    key = _KEYS.get(name.strip().removeprefix("--"), name.strip())
    if not equals or key not in _KEYS.values():
        raise UsageError(
            f"--compare {comparison}: wants KEY=VALUE;VALUE, where KEY is one of {', '.join(_KEYS)}"
        )
    given = [value.strip() for value in values.split(";")]
    if len(given) < 2 or not all(given) or len(set(given)) < len(given):
        raise UsageError(f"--compare {comparison}: wants two values or more, all different")
    return [(key, value) for value in given]


def _with(settings: Settings, combination: Sequence[tuple[str, str]]) -> Settings:
    values = settings.model_dump(exclude_unset=True)
    for key, value in combination:
        assign(values, key, literal(value))
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise UsageError(
            refusal(error, Settings, lambda key: f"--compare {key.rpartition('.')[2]}")
        ) from error
