"""What settings may ask for that touches more than pixels, where a file of others states them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath

from facepipe.configs.settings import LimitSettings, Settings


def risks_of(settings: Settings) -> Iterator[str]:
    """Keys of settings that reach further than the result: files, encoder options, limits.

    Encoders write files where their options say so, weights and masks are files that are opened,
    and limits keep a source from taking all memory.
    """
    if settings.output.options:
        yield "output.options"
    restorer = settings.restore.restorer
    if PurePath(restorer).name != restorer or PurePath(restorer).suffix:
        yield "restore.restorer"
    if settings.detect.pack is not None:
        yield "detect.pack"
    if settings.limits != LimitSettings():
        yield "limits"
