"""Estimate of a batch's work from the heads of its files."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from facepipe._system.files import is_address
from facepipe.batch.sources import Item, Skipped
from facepipe.errors import FacepipeError
from facepipe.video.probe import Head, glance

#: Seconds of one core for a megapixel of video, analyzed and written at its own size, and for an
#: image (clips without faces, by benchmarks/speed/whole_run.py; a face costs another 0.02 s a
#: frame).
_MEGAPIXEL_SECONDS, _IMAGE_SECONDS = 0.09, 0.15


@dataclass
class Estimate:
    """The work of a batch; `unknown` counts videos whose length their heads do not say."""

    videos: int = 0
    images: int = 0
    size: int = 0  # bytes
    video_seconds: float = 0.0
    core_seconds: float = 0.0
    unknown: int = 0
    skipped: list[Skipped] = field(default_factory=list)


def estimate(found: Iterable[Item | Skipped], scale: int, stream: int | None = None) -> Estimate:
    """Sum up the work on the items found, enlarged `scale` times, without that on faces.

    `stream` is the index of the video stream in each, None: the largest.
    """
    total = Estimate()
    for one in found:
        if isinstance(one, Skipped):
            total.skipped.append(one)
            continue
        total.size += one.size
        if one.kind == "image":
            total.images += 1
            total.core_seconds += _IMAGE_SECONDS
            continue
        total.videos += 1
        head = _head(one.source, stream)
        if head is None or not head.frames:
            total.unknown += 1
            continue
        megapixels = head.width * head.height / 1e6
        # Half of the work is done at the source's own size, whatever the scale.
        total.core_seconds += head.frames * _MEGAPIXEL_SECONDS * megapixels * (1 + scale**2) / 2
        total.video_seconds += head.seconds
    return total


def _head(source: str, stream: int | None) -> Head | None:
    """The head of a video; None where it is remote or cannot be read."""
    if is_address(source):
        return None
    try:
        return glance(Path(source), stream)
    except FacepipeError:
        return None
