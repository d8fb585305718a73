"""When the visible label is shown: while an enhanced face is, and over short pauses."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from facepipe.datatypes import Track

#: Seconds without a face over which the label stays, so that it does not flicker.
PAUSE_SECONDS = 1


def label_times(tracks: Sequence[Track], time_base: Fraction) -> tuple[tuple[int, int], ...]:
    """The stretches, first and last pts, that show an enhanced face; rising, none meets another.

    They are known before the video is divided, so that no division changes them.
    """
    pause = round(PAUSE_SECONDS / time_base)
    found: list[tuple[int, int]] = []
    for first, last in sorted((one.first, one.last) for one in tracks if one.enhance):
        if found and first - found[-1][1] <= pause:
            found[-1] = found[-1][0], max(found[-1][1], last)
        else:
            found.append((first, last))
    return tuple(found)
