"""Advice on the one setting to try next."""

from __future__ import annotations

from facepipe.datatypes import Analysis


def scale_advice(analysis: Analysis, scale: int) -> str | None:
    """The sentence that suggests a larger output where the faces found stay tiny in it."""
    sizes = sorted(track.size for track in analysis.tracks if track.enhance)
    if not sizes or scale == 4:
        return None
    median = sizes[len(sizes) // 2]
    if median * scale >= 48:
        return None
    wanted = 2 if median * 2 >= 48 and scale < 2 else 4
    return f"the faces are about {median:.0f} px: --scale {wanted} would show what was restored"
