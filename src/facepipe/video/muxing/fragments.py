"""Fragments of mp4 and mov: an index for each stretch of the film, as streaming needs it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from facepipe.datatypes import VideoInfo
from facepipe.errors import UsageError
from facepipe.video.containers import CONTAINERS, container_of, is_indexed
from facepipe.video.muxing.target_streams import MuxJob
from facepipe.video.pyav.isobmff import has_segment_index
from facepipe.video.sources import is_fragmented, open_bytes

_FLAGS = "+frag_keyframe+empty_moov+delay_moov+default_base_moof"


def is_to_be_fragmented(asked: Literal["auto", "yes", "no"], info: VideoInfo, target: Path) -> bool:
    """Whether a target is written in fragments; `auto`: as the source is, if the target can be.

    Errors: UsageError where the target has no fragments and is to have some.
    """
    container = container_of(target)
    if asked == "yes" and not container.isobmff:
        suffixes = [suffix for one in CONTAINERS if one.isobmff for suffix in one.suffixes]
        raise UsageError(
            f"--fragmented yes: {target.suffix} has no fragments; use one of {', '.join(suffixes)}"
        )
    if asked == "auto" and container.isobmff:
        return is_indexed(info.container) and is_fragmented(Path(info.path))
    return asked == "yes"


def fragment_flags(job: MuxJob) -> str:
    """The flags of FFmpeg's muxer for a target in fragments.

    The fragments are listed ahead of all where the source lists its own so. Elsewhere, if no time
    lies below zero, each stream begins where its first fragment says, and not where an edit list
    does: browsers read one entry of it alone. (With a list, FFmpeg would add that to its lengths.)
    """
    if _lists_fragments(job):
        return f"{_FLAGS}+global_sidx"
    begins_below = job.window is not None or job.video.info.clock.begin < job.earlier
    return _FLAGS if begins_below else f"{_FLAGS}+frag_discont"


def _lists_fragments(job: MuxJob) -> bool:
    if not is_indexed(job.video.info.container):
        return False
    with open_bytes(job.video.source) as file:
        return has_segment_index(file, job.video.source.stat().st_size)
