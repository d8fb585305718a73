"""Damage as ranges of the film: gathered frame by frame, merged, and put into words."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import groupby

from facepipe.datatypes import Damage
from facepipe.errors import InputError

#: Damage of one kind that lies no further apart is told as one place, seconds.
_NEAR = Fraction(1, 2)
#: Places of one kind that are told of by name; the report beside the film has all.
_MOST_TOLD = 12
#: Verbs with which `Damage.what` begins, of one frame.
_SINGULAR = {"do": "does", "are": "is", "were": "was", "have": "has", "come": "comes"}


@dataclass
class DecodeReport:
    """What went wrong with which frame while a span was decoded, for whoever asks."""

    _frames: dict[str, set[int]] = field(default_factory=dict)  # pts by what is wrong
    _refused: set[int] = field(default_factory=set)  # pts of packets that the decoder refused

    def tell(self, what: str, pts: int) -> None:
        """Note what is wrong with the frame of that pts, as a verb of many frames."""
        self._frames.setdefault(what, set()).add(pts)

    def refuse(self, pts: int | None) -> None:
        """Note that the decoder refused a packet; perhaps its frame comes out all the same."""
        if pts is not None:
            self._refused.add(pts)

    def refused(self) -> frozenset[int]:
        """The pts of packets that the decoder refused."""
        return frozenset(self._refused)

    def take(self, other: DecodeReport) -> None:
        """Move all that `other` holds here."""
        for what, frames in other._frames.items():
            self._frames.setdefault(what, set()).update(frames)
        self._refused |= other._refused
        other._frames.clear()
        other._refused.clear()

    def damage(self, film: Sequence[int]) -> tuple[Damage, ...]:
        """Runs of frames that follow each other in the film, whose sorted pts are given."""
        return merged(
            (Damage(pts, pts, 1, what) for what, frames in self._frames.items() for pts in frames),
            film,
        )


def merged(found: Iterable[Damage], film: Sequence[int]) -> tuple[Damage, ...]:
    """All damage once, by time, whoever found it: ranges that overlap or follow each other are one.

    `film` are the sorted pts of the film's frames. Ranges between which a sound frame lies stay
    apart; what lies beyond the film's frames counts as it was told.
    """
    joined: list[Damage] = []
    kinds = sorted(found, key=lambda damage: (damage.what, damage.first, damage.last))
    for what, same in groupby(kinds, key=lambda damage: damage.what):
        runs: list[Damage] = []
        for damage in same:
            if runs and _meet(runs[-1], damage, film):
                first, last = runs[-1].first, max(runs[-1].last, damage.last)
                count = bisect_right(film, last) - bisect_left(film, first)
                frames = max(count, runs[-1].frames, damage.frames)
                runs[-1] = Damage(first, last, frames, what)
            else:
                runs.append(damage)
        joined += runs
    return tuple(sorted(joined, key=lambda damage: (damage.first, damage.last, damage.what)))


def places(damage: Sequence[Damage], base: Fraction) -> tuple[Damage, ...]:
    """The same with neighbours of one kind taken together: for people, who think in seconds.

    A place's frames are those that are damaged, which may be fewer than lie in its range.
    """
    near = _NEAR / base
    found: list[Damage] = []
    for what in dict.fromkeys(d.what for d in damage):
        runs: list[Damage] = []
        for one in (d for d in damage if d.what == what):
            if runs and one.first - runs[-1].last <= near:
                frames = runs[-1].frames + one.frames
                runs[-1] = Damage(runs[-1].first, max(runs[-1].last, one.last), frames, what)
            else:
                runs.append(one)
        found += runs
    return tuple(sorted(found, key=lambda d: (d.first, d.last, d.what)))


def describe_damage(damage: Sequence[Damage], base: Fraction) -> tuple[str, ...]:
    """A line for each place, a dozen of a kind: "12.40-13.10 s: 17 frames do not decode"."""
    lines: list[str] = []
    shown = places(damage, base)
    for what in dict.fromkeys(place.what for place in shown):
        same = [place for place in shown if place.what == what]
        lines += [_describe(place, base) for place in same[:_MOST_TOLD]]
        if len(same) > _MOST_TOLD:
            left = same[_MOST_TOLD:]
            count = sum(place.frames for place in left)
            lines.append(f"in {len(left)} more places {count} frames {what}")
    return tuple(lines)


def refuse_damage(path: str, damage: Sequence[Damage], base: Fraction) -> None:
    """Raise InputError, which names the first place, where there is any damage."""
    lines = describe_damage(damage, base)
    if lines:
        more = f" (and {len(lines) - 1} more)" if len(lines) > 1 else ""
        raise InputError(f"{path} is damaged, which --strict-input refuses: {lines[0]}{more}")


def _describe(place: Damage, base: Fraction) -> str:
    begin, end = (f"{float(pts * base):.2f}" for pts in (place.first, place.last))
    time = begin if begin == end else f"{begin}-{end}"
    if place.frames == 1:
        verb, _, rest = place.what.partition(" ")
        return f"{time} s: 1 frame {_SINGULAR.get(verb, verb)} {rest}"
    count = f"{place.frames} frames" if place.frames else "frames"
    return f"{time} s: {count} {place.what}"


def _meet(one: Damage, other: Damage, film: Sequence[int]) -> bool:
    """Whether no frame of the film lies between two ranges, of which `one` begins first."""
    if other.first <= one.last:
        return True
    return bisect_right(film, one.last) >= bisect_left(film, other.first)
