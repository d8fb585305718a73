"""How much work a batch is, by what the heads of its files say."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from facepipe._files import is_address
from facepipe.batch.sources import Item, Skipped
from facepipe.errors import FacepipeError
from facepipe.video.probe import Head, glance

#: Seconds of one core for a million px of a film, looked through and written at its own size, and
#: for a picture (clips without faces, by benchmarks/speed/whole_run.py; a face costs another 0.02 s
#: a frame).
_MEGAPIXEL_SECONDS, _PICTURE_SECONDS = 0.09, 0.15


@dataclass
class Estimate:
    """What there is to do; `unknown` films do not say how long they are."""

    films: int = 0
    pictures: int = 0
    size: int = 0  # bytes
    film_seconds: float = 0.0
    core_seconds: float = 0.0
    unknown: int = 0
    skipped: list[Skipped] = field(default_factory=list)


def estimate(found: Iterable[Item | Skipped], scale: int) -> Estimate:
    """Sum up what was found, enlarged `scale` times; of faces nobody knows yet."""
    made = Estimate()
    for one in found:
        if isinstance(one, Skipped):
            made.skipped.append(one)
            continue
        made.size += one.size
        if one.kind == "picture":
            made.pictures += 1
            made.core_seconds += _PICTURE_SECONDS
            continue
        made.films += 1
        head = _head(one.source)
        if head is None or not head.frames:
            made.unknown += 1
            continue
        megapixels = head.width * head.height / 1e6
        # Half of the work is done at the film's own size whatever it becomes.
        made.core_seconds += head.frames * _MEGAPIXEL_SECONDS * megapixels * (1 + scale**2) / 2
        made.film_seconds += head.seconds
    return made


def _head(source: str) -> Head | None:
    """What a film says of itself; None where it lies elsewhere or is none."""
    if is_address(source):
        return None
    try:
        return glance(Path(source))
    except FacepipeError:
        return None
