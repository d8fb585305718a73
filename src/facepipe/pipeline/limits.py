"""How many faces a film may have: a crafted one must not take all memory."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from facepipe.configs.settings import LimitSettings
from facepipe.errors import InputError
from facepipe.frames import Track


def check_tracks(count: int, limits: LimitSettings, where: str) -> None:
    """Raise InputError for more tracks than `limits` allow."""
    if count > limits.tracks:
        raise InputError(
            f"{where}: {count} tracks are more than the {limits.tracks} that limits.tracks allows; "
            f"--set limits.tracks={count} lifts it"
        )


def check_crowd(tracks: Sequence[Track], limits: LimitSettings) -> None:
    """Raise InputError where more tracks are to be enhanced at one time than `limits` allow."""
    chosen = [track for track in tracks if track.enhance]
    begins, ends = sorted(t.first for t in chosen), sorted(t.last for t in chosen)
    for number, begin in enumerate(begins, 1):
        there = number - bisect_left(ends, begin)
        if there > limits.faces:
            raise InputError(
                f"at pts {begin} there are {there} faces to enhance, more than the {limits.faces} "
                f"that limits.faces allows; --largest {limits.faces} takes the largest tracks, "
                f"--set limits.faces=N lifts it"
            )
