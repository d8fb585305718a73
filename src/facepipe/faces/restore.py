"""The render pass on arrays: crop, restore, smooth and paste the faces of frames."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice

from facepipe.datatypes import SEQUENCE_LENGTH, Crops, Frame, Restored, Span, Track
from facepipe.faces.restoration.crop import crop
from facepipe.faces.restoration.paste import enlarge, paste
from facepipe.faces.restoration.temporal import SMOOTHING_RADIUS, smoothed
from facepipe.models.restorers import Restorer

#: Frames with a longer gap between them are not neighbours.
NEIGHBOUR_SECONDS = 0.15
#: Frames on each side of a span that bear on it: averaged with its own, or fused with those.
NEIGHBOUR_FRAMES = SMOOTHING_RADIUS + SEQUENCE_LENGTH // 2
#: Bytes of pixels that a window of frames may hold, counted at the output's size.
WINDOW_BYTES = 96 * 2**20


def render_frames(
    frames: Iterator[Frame],
    span: Span,
    tracks: Sequence[Track],
    restorer: Restorer,
    *,
    max_gap_pts: float,
    window: int,
    strength: float,
    fidelity: float,
    scale: int,
    restored: Callable[[int], None],
) -> Iterator[Frame]:
    """Restore the faces of `tracks` in the frames of a span, a window of frames at a time.

    Of `frames`, those within the span come out. On each side of it, three are averaged with it, and
    two more fused with those, at most `max_gap_pts` away. All faces of a window are one batch.
    Holds `window` frames and their neighbours, or fewer where they are large (WINDOW_BYTES at the
    output's size). `restored` is called with the number of faces in each frame.
    """

    def batches() -> Iterator[tuple[Sequence[Frame], Crops, Restored]]:
        for shown, inner in _windows(frames, span, window, scale):
            crops = crop(shown, tracks, window=inner, max_gap_pts=max_gap_pts)
            yield shown[inner.start : inner.stop], crops, restorer(crops)

    for frame, crops, faces in smoothed(batches(), max_gap_pts=max_gap_pts):
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
    """Runs of frames with two more on each side where there are, and the numbers of the run.

    Runs begin SMOOTHING_RADIUS frames before the span and end as many after it.
    """
    fused = SEQUENCE_LENGTH // 2
    lead: list[Frame] = []
    ahead = list(islice(frames, 1))
    while ahead and ahead[0].pts < span.start:
        lead = [*lead, *ahead][-NEIGHBOUR_FRAMES:]
        ahead = list(islice(frames, 1))
    before, ahead = lead[:-SMOOTHING_RADIUS], lead[-SMOOTHING_RADIUS:] + ahead
    after = SMOOTHING_RADIUS
    while ahead and (ahead[0].pts < span.stop or after):
        size = sum(plane.nbytes for plane in ahead[0].planes) * (1 + scale * scale)
        count = max(1, min(window, WINDOW_BYTES // max(size, 1)))
        ahead += islice(frames, max(count + fused - len(ahead), 0))
        within = sum(frame.pts < span.stop for frame in ahead[:count])
        beyond = min(len(ahead[:count]) - within, after)
        inner = ahead[: within + beyond]
        shown = before + ahead
        yield shown, range(len(before), len(before) + len(inner))
        after -= beyond
        before, ahead = (before + inner)[-fused:], ahead[len(inner) :]
