"""Words of pages and sheets: clock times, sizes, and sentences on views."""

from __future__ import annotations

from collections.abc import Sequence

from facepipe.datatypes import Track
from facepipe.presentation.moments import Moment, Why
from facepipe.presentation.refusals import grouped

#: Why a moment is shown, as people read it.
WHY: dict[Why, str] = {
    "largest": "the largest",
    "smallest": "the smallest",
    "doubtful": "the most doubtful",
    "typical": "",
    "refused": "left as it is",
}


def clock(seconds: float) -> str:
    """A time as players show it, with hundredths: 0:04.12, 1:02:03.50."""
    hundredths = round(max(seconds, 0.0) * 100)
    minutes, rest = divmod(hundredths, 6000)
    hours, minutes = divmod(minutes, 60)
    head = f"{hours}:{minutes:02d}" if hours else f"{minutes}"
    return f"{head}:{rest // 100:02d}.{rest % 100:02d}"


def tick(seconds: float) -> str:
    """A time beside a tick of a timeline: without hundredths where it has none."""
    return clock(seconds).removesuffix(".00")


def counted(count: int, noun: str) -> str:
    """ "1 track", "2 tracks"."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def title_of(moment: Moment, seconds: float) -> str:
    """The caption of a face: its track, its time and its size."""
    return f"track {moment.track.number}  {clock(seconds)}  {moment.size:.0f} px"


def summary(tracks: Sequence[Track], *, done: bool = False) -> str:
    """What was found: "17 tracks: 5 to enhance, 12 refused"; `done`: "5 enhanced"."""
    enhanced = sum(track.enhance for track in tracks)
    refused = len(tracks) - enhanced
    what = "enhanced" if done else "to enhance"
    return f"{counted(len(tracks), 'track')}: {enhanced:,} {what}, {refused:,} refused"


def size_words(tracks: Sequence[Track], most: int = 6) -> list[str]:
    """Which faces are enhanced, and how large: one line, none where there are none."""
    chosen = sorted((one for one in tracks if one.enhance), key=lambda one: -one.size)
    if not chosen:
        return []
    small, large = round(chosen[-1].size), round(chosen[0].size)
    sizes = f"{small} px" if small == large else f"{small} to {large} px"
    named = ", ".join(f"track {one.number} ({one.size:.0f} px)" for one in chosen[:most])
    more = f", and {len(chosen) - most} more" if len(chosen) > most else ""
    return [f"{counted(len(chosen), 'face')} of {sizes}: {named}{more}"]


def refused_lines(tracks: Sequence[Track], most: int = 3) -> list[str]:
    """The commonest reasons of refused tracks, a line each, with the option that takes them."""
    lines = []
    for refusal, group in grouped(tracks)[:most]:
        numbers = ", ".join(str(track.number) for track in group[:6])
        more = ", ..." if len(group) > 6 else ""
        remedy = f"; {refusal.remedy}" if refusal.remedy else ""
        lines.append(f"{len(group)} {refusal.kind} (track {numbers}{more}){remedy}")
    return lines
