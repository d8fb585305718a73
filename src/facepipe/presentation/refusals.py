"""Reasons of refused tracks in words that people understand, with the option that takes them."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from facepipe.datatypes import Track


@dataclass(frozen=True)
class Refusal:
    """Why a track is not enhanced.

    `kind` groups tracks of the same reason: a short heading. `words` say what was measured,
    `remedy` which option or setting takes it; empty where none does.
    """

    kind: str
    words: str
    remedy: str = ""


@dataclass(frozen=True)
class _Rule:
    """A form that reasons have, and what is said of it; {0} and on are its groups."""

    pattern: str
    kind: str
    words: str
    remedy: Callable[[Sequence[str]], str] = lambda _: ""


def _down(value: str, step: float) -> str:
    return f"{math.floor(float(value) / step) * step:g}"


def _lower_score(given: Sequence[str]) -> str:
    return f"--score {_down(given[0], 0.05)} takes it, and other doubtful faces"


_NUMBER = r"([0-9.]+)"
#: By the beginnings of the reasons that `faces.tracking.acceptance` and `pipeline.selection` give.
_RULES = (
    _Rule(
        rf"smaller than --min-face: {_NUMBER} px of {_NUMBER}",
        "too small",
        "the face is {0} px large, and {1} px are asked for",
        lambda given: (
            f"--min-face {max(math.floor(float(given[0])), 4)} takes it"
            if float(given[0]) >= 4
            else ""
        ),
    ),
    _Rule(
        rf"larger than --max-face: {_NUMBER} px of {_NUMBER}",
        "too large",
        "the face is {0} px large, and --max-face allows {1} px",
        lambda given: f"--max-face {math.ceil(float(given[0]))} takes it",
    ),
    _Rule(
        rf"larger than the canvas: {_NUMBER} px, and it holds {_NUMBER}",
        "large enough already",
        "the face is {0} px large: faces of more than {1} px have detail of their own, "
        "which restoring would take away",
        lambda given: (
            f"--max-face {math.ceil(float(given[0]))} takes it; it is changed only "
            f"while it is smaller than {given[1]} px"
        ),
    ),
    _Rule(
        r"too short: seen in (\d+) of (\d+) looks",
        "seen too seldom",
        "it was found in {0} of the {1} frames that were searched while its scene lasts; "
        "false finds come and go like this",
        lambda _: "--detect-every 2 searches more frames",
    ),
    _Rule(
        rf"too short: {_NUMBER} s, {_NUMBER} s asked for",
        "seen too briefly",
        "it is there for {0} s, and {1} s are asked for",
        lambda given: f"--set link.min_seconds={given[0]} takes it",
    ),
    _Rule(
        rf"score {_NUMBER} below {_NUMBER}(, and it never moved.*)?",
        "not surely a face",
        "how sure the detector is, from 0 to 1: {0}, and {1} is asked for",
        _lower_score,
    ),
    _Rule(
        r"a profile in (\d+) of (\d+) looks",
        "turned aside",
        "it shows its side in {0} of the {1} frames that were searched; "
        "a face from the side cannot be aligned",
    ),
    _Rule(
        rf"blurred: {_NUMBER} of its contrast is detail, {_NUMBER} asked for",
        "blurred",
        "of its contrast {0} is fine detail, and {1} is asked for: there is nothing to restore",
        lambda given: f"--set link.detail={_down(given[0], 0.01)} takes it",
    ),
    _Rule(
        rf"no face by its parts: {_NUMBER} of them seen, {_NUMBER} asked for.*",
        "no parts of a face",
        "the detector is in doubt, and of eyes, brows, nose and mouth {0} can be seen where "
        "{1} is asked for",
        lambda _: "--set link.features=0 takes it, and things that are no faces",
    ),
    _Rule(
        r"not among --tracks",
        "not chosen",
        "--tracks names other faces",
        lambda _: "name its number in --tracks",
    ),
    _Rule(
        r"outside --region",
        "outside the region",
        "it lies outside the region that --region names",
        lambda _: "a larger --region takes it",
    ),
    _Rule(
        r"not among the (\d+) largest",
        "not among the largest",
        "{0} tracks are larger, and --largest takes no more",
        lambda given: f"a --largest above {given[0]} takes it",
    ),
)


def explain(reason: str | None) -> Refusal:
    """Say a reason in plain words; one that is not known stays as it is."""
    if reason is None:
        return Refusal("taken out by hand", 'its "enhance" is false in the analysis')
    for rule in _RULES:
        found = re.fullmatch(rule.pattern, reason)
        if found:
            given = found.groups("")
            return Refusal(rule.kind, rule.words.format(*given), rule.remedy(given))
    return Refusal("other reasons", reason)


def grouped(tracks: Iterable[Track]) -> list[tuple[Refusal, list[Track]]]:
    """The refused tracks by the kind of their reason, the largest group first.

    Each group comes with the reason of its surest track.
    """
    groups: dict[str, list[Track]] = {}
    for track in tracks:
        if not track.enhance:
            groups.setdefault(explain(track.reason).kind, []).append(track)
    shown = sorted(groups.values(), key=len, reverse=True)
    return [(explain(_surest(group).reason), group) for group in shown]


def _surest(tracks: Sequence[Track]) -> Track:
    return max(tracks, key=lambda track: float(track.scores.mean()))
