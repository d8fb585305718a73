"""Damage as ranges of pts: collected frame by frame, merged, and described."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import groupby

import av

from facepipe.datatypes import Damage
from facepipe.errors import InputError
from facepipe.video.fields import first_field
from facepipe.video.holdings import FIELD_ORDERS, INTERLACING, holdings_of

#: Damage of one kind with shorter gaps is described as one place, seconds.
_MAX_GAP = Fraction(1, 2)
#: Places of one kind that are described, at most; the report has all.
_MAX_DESCRIBED = 12
#: Verbs with which `Damage.what` begins, of one frame.
_SINGULAR = {"do": "does", "are": "is", "were": "was", "have": "has", "come": "comes"}


@dataclass
class DecodeReport:
    """Collects what is wrong with which frame while a span is decoded."""

    _frames: dict[str, set[int]] = field(default_factory=dict)  # pts by what is wrong
    _refused: set[int] = field(default_factory=set)  # pts of packets that the decoder refused
    _held: dict[str, int] = field(default_factory=dict)  # first pts by what frames hold

    def add(self, what: str, pts: int) -> None:
        """Note what is wrong with the frame of that pts, as a verb of many frames."""
        self._frames.setdefault(what, set()).add(pts)

    def hold(self, frame: av.VideoFrame, pts: int) -> None:
        """Note what a frame holds besides its pixels."""
        names = holdings_of(frame)
        if INTERLACING in names:
            names |= {FIELD_ORDERS[first_field(frame)]}
        for name in names:
            self._held[name] = min(pts, self._held.get(name, pts))

    def holdings(self) -> tuple[tuple[str, int], ...]:
        """What frames hold, by name (`holdings_of`), each with the pts of the first that does."""
        return tuple(sorted(self._held.items()))

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

    def damage(self, all_pts: Sequence[int]) -> tuple[Damage, ...]:
        """The damage as runs of neighbouring frames, given the sorted pts of all frames."""
        return merged(
            (Damage(pts, pts, 1, what) for what, frames in self._frames.items() for pts in frames),
            all_pts,
        )


def merged(found: Iterable[Damage], all_pts: Sequence[int]) -> tuple[Damage, ...]:
    """All damage by time, with ranges of one kind that overlap or follow each other joined.

    `all_pts` are the sorted pts of all frames. Ranges stay two where an intact frame lies between
    them; ranges beyond the last frame keep the count of frames that they came with.
    """
    joined: list[Damage] = []
    kinds = sorted(found, key=lambda damage: (damage.what, damage.first, damage.last))
    for what, same in groupby(kinds, key=lambda damage: damage.what):
        runs: list[Damage] = []
        for damage in same:
            if runs and _touch(runs[-1], damage, all_pts):
                first, last = runs[-1].first, max(runs[-1].last, damage.last)
                count = bisect_right(all_pts, last) - bisect_left(all_pts, first)
                frames = max(count, runs[-1].frames, damage.frames)
                runs[-1] = Damage(first, last, frames, what)
            else:
                runs.append(damage)
        joined += runs
    return tuple(sorted(joined, key=lambda damage: (damage.first, damage.last, damage.what)))


def places(damage: Sequence[Damage], base: Fraction) -> tuple[Damage, ...]:
    """Damage with near ranges of one kind joined, for people, who think in seconds.

    A place counts its damaged frames, which may be fewer than lie in its range.
    """
    max_gap = _MAX_GAP / base
    found: list[Damage] = []
    for what in dict.fromkeys(d.what for d in damage):
        runs: list[Damage] = []
        for one in (d for d in damage if d.what == what):
            if runs and one.first - runs[-1].last <= max_gap:
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
        lines += [_describe(place, base) for place in same[:_MAX_DESCRIBED]]
        if len(same) > _MAX_DESCRIBED:
            left = same[_MAX_DESCRIBED:]
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


def _touch(one: Damage, other: Damage, all_pts: Sequence[int]) -> bool:
    """Whether no frame lies between two ranges, of which `one` begins first."""
    if other.first <= one.last:
        return True
    return bisect_right(all_pts, one.last) >= bisect_left(all_pts, other.first)
