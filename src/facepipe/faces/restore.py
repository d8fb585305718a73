"""The render pass on arrays: frames and tracks in, frames with restored faces out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice

from facepipe.datatypes import (
    SEQUENCE,
    Crops,
    Frame,
    Restored,
    Span,
    Track,
)
from facepipe.faces.restoration.crop import crop
from facepipe.faces.restoration.paste import enlarge, paste
from facepipe.faces.restoration.temporal import REACH, settled
from facepipe.models.restorers import Restorer

#: Frames further apart in time than this are not seen beside each other.
NEIGHBOUR_SECONDS = 0.15
#: Frames on each side of a span that bear on it: averaged with its own, or fused with those.
NEIGHBOUR_FRAMES = REACH + SEQUENCE // 2
#: Bytes of pixels that a window of frames may hold, counted at the output's size.
WINDOW_BYTES = 96 * 2**20


def render_frames(
    frames: Iterator[Frame],
    span: Span,
    tracks: Sequence[Track],
    restorer: Restorer,
    *,
    apart: float,
    window: int,
    strength: float,
    fidelity: float,
    scale: int,
    restored: Callable[[int], None],
) -> Iterator[Frame]:
    """The core of the render pass: windows of frames, all their faces in one batch.

    Of `frames`, those within the span come out; of those beside it, three are averaged with it, and
    two more seen, on each side, no more than `apart` in pts. Holds `window` frames and those
    beside, or fewer where they are large (WINDOW_BYTES at the output's size). `restored` is told
    how many faces each frame had.
    """

    def batches() -> Iterator[tuple[Sequence[Frame], Crops, Restored]]:
        for shown, inner in _windows(frames, span, window, scale):
            crops = crop(shown, tracks, window=inner, apart=apart)
            yield shown[inner.start : inner.stop], crops, restorer(crops)

    for frame, crops, faces in settled(batches(), apart=apart):
        if span.start <= frame.pts < span.stop:
            restored(len(crops))
            yield from paste(
                [frame], crops, faces, strength=strength, fidelity=fidelity, scale=scale
            )


def enlarged(frames: Iterator[Frame], scale: int) -> Iterator[Frame]:
    """The frames `scale` times as large."""
    for frame in frames:
        yield frame if scale == 1 else enlarge(frame, scale)


def _windows(
    frames: Iterator[Frame], span: Span, window: int, scale: int
) -> Iterator[tuple[list[Frame], range]]:
    """Runs of frames with two more on each side where there are, and which ones are the run.

    Runs begin REACH frames before the span and end as many after it.
    """
    seen = SEQUENCE // 2
    lead: list[Frame] = []
    ahead = list(islice(frames, 1))
    while ahead and ahead[0].pts < span.start:
        lead = [*lead, *ahead][-NEIGHBOUR_FRAMES:]
        ahead = list(islice(frames, 1))
    before, ahead = lead[:-REACH], lead[-REACH:] + ahead
    after = REACH
    while ahead and (ahead[0].pts < span.stop or after):
        size = sum(plane.nbytes for plane in ahead[0].planes) * (1 + scale * scale)
        count = max(1, min(window, WINDOW_BYTES // max(size, 1)))
        ahead += islice(frames, max(count + seen - len(ahead), 0))
        within = sum(frame.pts < span.stop for frame in ahead[:count])
        beyond = min(len(ahead[:count]) - within, after)
        inner = ahead[: within + beyond]
        shown = before + ahead
        yield shown, range(len(before), len(before) + len(inner))
        after -= beyond
        before, ahead = (before + inner)[-seen:], ahead[len(inner) :]
