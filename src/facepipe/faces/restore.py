"""The render pass on arrays: crop, restore, smooth and paste the faces of frames."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from facepipe.datatypes import (
    CANVAS,
    SEQUENCE_LENGTH,
    Alignment,
    Crops,
    Frame,
    Restored,
    Span,
    Track,
)
from facepipe.datatypes.stages import stage, staged
from facepipe.faces.canvas import canvas_bounds, canvas_to_frame
from facepipe.faces.restoration.crop import crop
from facepipe.faces.restoration.enlarge import enlarge
from facepipe.faces.restoration.paste import paste
from facepipe.faces.restoration.temporal import SMOOTHING_RADIUS, smoothed
from facepipe.models.restorers import Restorer

#: Frames with a longer gap between them are not neighbours.
NEIGHBOUR_SECONDS = 0.15
#: Frames on each side of a span that bear on it: averaged with its own, or fused with those.
NEIGHBOUR_FRAMES = SMOOTHING_RADIUS + SEQUENCE_LENGTH // 2
#: Bytes of pixels that a window of frames may hold; they are enlarged one by one, later.
WINDOW_BYTES = 96 * 2**20
#: Faces of an image that are restored at once: each takes two megabytes.
IMAGE_FACES = 128


def faces_at_once(most: int, alignment: Alignment) -> int:
    """As many faces as take the memory of `most` on a canvas of CANVAS px, at least one."""
    return max(most * CANVAS**2 // alignment.side**2, 1)


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
    Holds `window` frames and their neighbours, or fewer where they are large (WINDOW_BYTES).
    `restored` is called with the number of faces in each frame.
    """

    contract = restorer.contract

    def batches() -> Iterator[tuple[Sequence[Frame], Crops, Restored]]:
        for shown, inner in _windows(frames, span, window):
            with stage("crop"):
                crops = crop(
                    shown,
                    tracks,
                    window=inner,
                    max_gap_pts=max_gap_pts,
                    alignment=contract.alignment,
                    fused=contract.neighbours,
                )
            yield shown[inner.start : inner.stop], crops, restorer(crops)

    for frame, crops, faces in staged("smoothing", smoothed(batches(), max_gap_pts=max_gap_pts)):
        if span.start <= frame.pts < span.stop:
            restored(len(crops))
            with stage("paste"):
                pasted = paste(
                    [frame], crops, faces, strength=strength, fidelity=fidelity, scale=scale
                )
            yield from pasted


def restore_image(
    frame: Frame,
    tracks: Sequence[Track],
    restorer: Restorer,
    *,
    strength: float,
    fidelity: float,
    scale: int,
) -> tuple[Frame, int]:
    """Restore the faces of `tracks` in one frame: it, `scale` times as large, and their number.

    Takes IMAGE_FACES at once, fewer on larger canvases, but those that overlap are always taken
    together: the nearer one covers the other.
    """
    made, count = frame if scale == 1 else enlarge(frame, scale), 0
    contract = restorer.contract
    for some in _separate(frame, tracks, contract.alignment):
        crops = crop(
            [frame],
            some,
            max_gap_pts=1,
            alignment=contract.alignment,
            fused=contract.neighbours,
        )
        for _, cropped, faces in smoothed([([frame], crops, restorer(crops))], max_gap_pts=1):
            count += len(cropped)
            (made,) = paste(
                [made],
                cropped,
                faces,
                strength=strength,
                fidelity=fidelity,
                scale=scale,
                is_enlarged=True,
            )
    return made, count


def _separate(frame: Frame, tracks: Sequence[Track], alignment: Alignment) -> Iterator[list[Track]]:
    """The tracks in parts of about IMAGE_FACES, such that no canvas meets one of another part.

    Of fewer where the canvas is larger than that of facepipe's own networks.
    """
    most = faces_at_once(IMAGE_FACES, alignment)
    if len(tracks) <= most:
        yield list(tracks)
        return
    canvases = [canvas_to_frame(track.landmarks_at(frame.pts), alignment) for track in tracks]
    bounds = np.array(
        [canvas_bounds(one, frame.width, frame.height, alignment.side) for one in canvases]
    )
    waiting = dict(enumerate(tracks))
    part: list[Track] = []
    while waiting:
        group = _meeting(bounds, next(iter(waiting)))
        if part and len(part) + len(group) > most:
            yield part
            part = []
        part += [waiting.pop(number) for number in sorted(group)]
    yield part


def _meeting(bounds: NDArray[np.intp], first: int) -> set[int]:
    """The numbers of the boxes (N, 4) that meet box `first`, or one that does."""
    found, new = {first}, [first]
    while new:
        x0, y0, x1, y1 = bounds[new.pop()]
        meets = (bounds[:, 0] < x1) & (bounds[:, 2] > x0) & (bounds[:, 1] < y1)
        more = set(np.nonzero(meets & (bounds[:, 3] > y0))[0].tolist()) - found
        found |= more
        new += more
    return found


def enlarged(frames: Iterator[Frame], scale: int) -> Iterator[Frame]:
    """The frames `scale` times as large."""
    for frame in frames:
        yield frame if scale == 1 else enlarge(frame, scale)


def _windows(
    frames: Iterator[Frame], span: Span, window: int
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
        size = sum(plane.nbytes for plane in ahead[0].planes)
        count = max(1, min(window, WINDOW_BYTES // max(size, 1)))
        ahead += islice(frames, max(count + fused - len(ahead), 0))
        within = sum(frame.pts < span.stop for frame in ahead[:count])
        beyond = min(len(ahead[:count]) - within, after)
        inner = ahead[: within + beyond]
        shown = before + ahead
        yield shown, range(len(before), len(before) + len(inner))
        after -= beyond
        before, ahead = (before + inner)[-fused:], ahead[len(inner) :]
