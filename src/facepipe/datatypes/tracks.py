"""The nouns of the whole video's faces: a face through time, and all of them."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from facepipe.datatypes.arrays import ArrayRecord, Float32
from facepipe.datatypes.video import Damage

#: Opacity of a track that fades in or out, in its first and its last frame.
_LEAST_PRESENCE = 0.2


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Track(ArrayRecord):
    """One face through time: K knots, between which everything is interpolated linearly.

    `pts` rise; `boxes` and `landmarks` are smoothed, in frame pixels; `scores` are those of the
    detection frames that the knots come from. `reason` says why a track is not enhanced. `full` are
    the first and the last pts at which it is shown at full opacity, None: it does not fade.
    Raises ValueError where there is no knot or the pts do not rise.
    """

    number: int
    pts: Annotated[NDArray[np.int64], "K"]
    boxes: Annotated[Float32, "K 4"]
    landmarks: Annotated[Float32, "K 5 2"]
    scores: Annotated[Float32, "K"]
    enhance: bool = True
    reason: str | None = None
    full: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.pts) == 0 or not bool(np.all(np.diff(self.pts) > 0)):
            raise ValueError("a track needs knots at rising pts")

    @property
    def first(self) -> int:
        return int(self.pts[0])

    @property
    def last(self) -> int:
        return int(self.pts[-1])

    @property
    def size(self) -> float:
        """Median over the knots of the square root of the box's area, px of the frame."""
        sides = self.boxes[:, 2:] - self.boxes[:, :2]
        return float(np.median(np.sqrt(np.maximum(sides.prod(1), 0))))

    def covers(self, pts: int) -> bool:
        """Whether the track spans that pts."""
        return self.first <= pts <= self.last

    def presence(self, pts: int) -> float:
        """The opacity in [0, 1] at which it is shown at `pts`, linear while it fades."""
        if self.full is None or self.full[0] <= pts <= self.full[1]:
            return 1.0
        begin, end = (self.first, self.full[0]) if pts < self.full[0] else (self.last, self.full[1])
        return _LEAST_PRESENCE + (1 - _LEAST_PRESENCE) * max(0.0, (pts - begin) / (end - begin))

    def box_at(self, pts: int) -> Float32:
        """(4,) xyxy, linear between knots."""
        return self._between(self.boxes, pts)

    def landmarks_at(self, pts: int) -> Float32:
        """(5, 2), linear between knots."""
        return self._between(self.landmarks, pts)

    def _between(self, values: Float32, pts: int) -> Float32:
        right = int(np.clip(np.searchsorted(self.pts, pts), 1, max(len(self.pts) - 1, 1)))
        if len(self.pts) == 1:
            return np.asarray(values[0], np.float32)
        start, stop = int(self.pts[right - 1]), int(self.pts[right])
        share = np.float32(np.clip((pts - start) / (stop - start), 0, 1))
        return np.asarray((1 - share) * values[right - 1] + share * values[right], np.float32)


@dataclass(frozen=True)
class Analysis:
    """The analyze pass over the whole video, which a person may read, edit and render from.

    `source_sha256` is empty where the frames came from a program, and not from a file.
    """

    source_sha256: str
    time_base: Fraction
    frames: int
    width: int
    height: int
    tracks: tuple[Track, ...]
    cuts: tuple[int, ...] = ()
    warnings: tuple[str, ...] = ()
    damage: tuple[Damage, ...] = ()
    stream: int | None = None  # index of the video stream; None: not known
    holdings: tuple[tuple[str, int], ...] = ()  # as of SpanFaces
    source_name: str = ""  # file name of the source, without its folder; empty: not known
