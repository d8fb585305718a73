"""Limits on the number of faces of a video: a crafted one must not take all memory."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from facepipe.configs.settings import LimitSettings
from facepipe.datatypes import Track
from facepipe.errors import InputError


def check_tracks(count: int, limits: LimitSettings, where: str) -> None:
    """Raise InputError for more tracks than `limits` allow."""
    if count > limits.tracks:
        raise InputError(
            f"{where}: {count} tracks are more than the {limits.tracks} that limits.tracks allows; "
            f"--set limits.tracks={count} lifts it"
        )


def check_crowd(tracks: Sequence[Track], limits: LimitSettings, name: str = "") -> None:
    """Raise InputError where more tracks are to be enhanced at one time than `limits` allow.

    `name` is that of an image, which has but one time.
    """
    count, pts = most_at_once([track for track in tracks if track.enhance])
    if count > limits.faces:
        where = f"{name}:" if name else f"at pts {pts}"
        raise InputError(
            f"{where} there are {count} faces to enhance, more than the {limits.faces} that "
            f"limits.faces allows; --largest {limits.faces} takes the largest tracks, "
            f"--set limits.faces={count} lifts it"
        )


def most_at_once(tracks: Sequence[Track]) -> tuple[int, int]:
    """The most tracks at one time, and its pts; (0, 0) for none."""
    begins, ends = sorted(t.first for t in tracks), sorted(t.last for t in tracks)
    counts = [(number - bisect_left(ends, begin), -begin) for number, begin in enumerate(begins, 1)]
    count, pts = max(counts, default=(0, 0))
    return count, -pts
