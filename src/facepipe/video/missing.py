"""Frames that are missing at the end of a video, by what its container says of itself."""

from __future__ import annotations

import re
from fractions import Fraction

import av

from facepipe.datatypes import Damage
from facepipe.video.containers import MATROSKA, MOV
from facepipe.video.demuxers import TICK_A_FRAME
from facepipe.video.timestamps import usual_duration

#: Seconds that may be missing at the end of a video by what its container says.
_TOLERATED = Fraction(1, 2)


def missing_at_end(
    container: av.container.InputContainer,
    video: av.VideoStream,
    times: list[int],
    packets: int,
    unread: str | None,
) -> list[Damage]:
    """The frames missing at the end, by what the container says should be there."""
    assert video.time_base is not None
    step = usual_duration(times)
    begin = times[-1] + step
    missing = _stated_packets(container, video) - packets
    if container.format.name in TICK_A_FRAME:
        missing = min(missing, (video.frames - 1 - times[-1]) // step)
    if missing > 0:
        end = (video.start_time or 0) + (video.duration or 0) - step
        return [Damage(begin, max(end, begin + (missing - 1) * step), missing, "are cut off")]
    if unread is not None:
        return [Damage(begin, begin, 0, f"cannot be read ({unread})")]
    stated = _stated_end(container, video)
    end = round(stated / video.time_base) - step
    if (end - begin) * video.time_base > _TOLERATED:
        return [Damage(begin, end, 0, "are cut off")]
    return []


def _stated_packets(container: av.container.InputContainer, video: av.VideoStream) -> int:
    """How many packets a mov, mp4 or avi says that the video has; 0 where it does not say."""
    if MOV.matches(container.format.name):
        # An edit list may end before the packets do: what it shows is in the index.
        return min(video.frames, len(video.index_entries))
    return video.frames


def _stated_end(container: av.container.InputContainer, video: av.VideoStream) -> Fraction:
    """When the video ends by what a Matroska file says, seconds; 0 where it does not say."""
    if not MATROSKA.matches(container.format.name):
        return Fraction(0)
    stated = re.fullmatch(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)", video.metadata.get("DURATION", ""))
    whole = Fraction(container.duration or 0, av.time_base)
    if stated is not None:  # tools that cut videos may leave it as it was
        return min(whole, int(stated[1]) * 3600 + int(stated[2]) * 60 + Fraction(stated[3]))
    return whole if len(container.streams) == 1 else Fraction(0)
