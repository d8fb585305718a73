"""The analyze pass over one span: which frames are looked at, what is seen, where shots change.

A span is cut into segments at anchors. Each segment is worked on without knowledge of any other,
so the result is the same however the film is cut into spans.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from facepipe.datatypes import Crops, Faces, Frame, FrameDetections, Motion, Span, SpanFaces
from facepipe.faces.detection.appearance import prints
from facepipe.faces.detection.denoise import REACH, quiet
from facepipe.faces.detection.finder import FaceFinder
from facepipe.faces.detection.quality import detail, features
from facepipe.faces.detection.shots import AFTER, BEFORE, Thumbnail, is_cut, thumbnail
from facepipe.faces.tracking.registration import Follower, luma
from facepipe.models.detectors import Detector

#: Frames through which a face is followed back from where it was found.
_BACK = 4


def analyze_frames(
    frames: Iterable[Frame],
    span: Span,
    *,
    anchors: Set[int],
    detector: Detector,
    every: int,
    score: float,
    min_face: float,
    max_face: float | None = None,
    enlarge: int = 2,
    rotation: int = 0,
    parser: Callable[[Crops], NDArray[np.float32]] | None = None,
    doubted_below: float = 0.0,
) -> SpanFaces:
    """The faces of a span's frames, in pixels of the coded frame.

    `frames` come by rising pts and may hold one frame beyond the span, the next anchor: faces are
    followed to it, and the span that it begins looks at it. Looked at are each anchor and every
    `every`-th frame after it, both sides of a scene cut, and the last frame; through the frames
    between, faces are followed. What is looked at is made `quiet` by the frames beside it.
    `score`, `min_face`, `max_face` and `enlarge` are as in `find_faces`; the picture is turned by
    `rotation` degrees counter-clockwise before it is searched. `parser` parses those that have a
    score below `doubted_below`. Holds a handful of frames.
    Raises ValueError when `every` is below 1.
    """
    if every < 1:
        raise ValueError(f"every must be 1 or more, got {every}")
    finder = FaceFinder(
        detector, score=score, min_face=min_face, max_face=max_face, enlarge=enlarge
    )
    turns = round(rotation / 90) % 4
    detections: list[FrameDetections] = []
    cuts: list[int] = []
    follower: Follower | None = None
    passed: deque[Frame] = deque(maxlen=_BACK)
    for judged in _judged(frames, sorted(anchors), every):
        frame, begins_shot = judged.frame, judged.begins_shot
        if judged.starts_segment:
            finder.reset()
            passed.clear()  # a span that begins here has not seen them
        if begins_shot:
            cuts.append(frame.pts)
            follower = None
            passed.clear()
        light = None if follower is None else luma(frame)
        if follower is not None and light is not None:
            moves = Motion(frame.pts, follower.step(light))
            detections[-1] = replace(detections[-1], moves=(*detections[-1].moves, moves))
        if judged.looked_at and frame.pts < span.stop:
            picture = np.ascontiguousarray(np.rot90(quiet(frame, judged.beside), turns))
            faces = finder.look(picture)
            known = {
                "prints": prints(picture, faces.landmarks),
                "detail": detail(picture, faces.landmarks),
            }
            if parser is not None:
                known["features"] = features(picture, faces, parser, below=doubted_below)
            faces = turned_back(faces, turns, picture.shape[1], picture.shape[0])
            follower = None
            before: tuple[Motion, ...] = ()
            if len(faces):
                light = luma(frame) if light is None else light
                follower = Follower(light, faces)
                before = _moves_before(Follower(light, faces), passed)
            detections.append(FrameDetections(frame.pts, faces, len(cuts), before, **known))
            passed.clear()
        else:
            passed.append(frame)
    return SpanFaces(span, tuple(detections), tuple(cuts))


def _moves_before(follower: Follower, passed: Sequence[Frame]) -> tuple[Motion, ...]:
    """Where the follower's faces were in the frames before, by rising pts."""
    back = [Motion(frame.pts, follower.step(luma(frame))) for frame in reversed(passed)]
    return tuple(reversed(back))


def turned_back(faces: Faces, turns: int, width: int, height: int) -> Faces:
    """Faces of a picture (`width` x `height`) that was turned counter-clockwise `turns` times.

    Returns them where they are in the picture before that; landmarks keep their order, so a face
    that lies on its side there keeps its own left and right.
    """
    corners, points = faces.boxes.reshape(-1, 2, 2), faces.landmarks
    for _ in range(turns):
        corners, points = _turned_once(corners, height), _turned_once(points, height)
        width, height = height, width
    boxes = np.concatenate((corners.min(1), corners.max(1)), 1)
    return Faces(boxes, faces.scores, points)


def _turned_once(points: NDArray[np.float32], height: int) -> NDArray[np.float32]:
    """(..., 2) points of a picture of that height, turned a quarter clockwise."""
    return np.stack((np.float32(height - 1) - points[..., 1], points[..., 0]), -1)


def _judged(frames: Iterable[Frame], anchors: list[int], every: int) -> Iterator[_Judged]:
    """The frames by rising pts, and which of them to look at."""
    segment: _Segment | None = None
    number = 0
    for frame in frames:
        at = bisect_right(anchors, frame.pts)
        if segment is None:
            segment = _Segment(every, begins_shot=False)
        elif at != number:
            yield from segment.close(frame)
            segment = _Segment(every, begins_shot=segment.begins_shot)
        number = at
        yield from segment.add(frame)
    if segment is not None:
        yield from segment.close(None)


class _Judged(NamedTuple):
    frame: Frame
    looked_at: bool
    starts_segment: bool
    begins_shot: bool
    beside: tuple[Frame, ...]  # up to REACH on each side, of its segment and its shot


class _Waiting(NamedTuple):
    frame: Frame
    due: bool
    thumbnail: Thumbnail


class _Segment:
    """The frames from one anchor to the next; they wait until it is known whether a cut follows.

    `begins_shot` says it of the oldest that waits.
    """

    def __init__(self, every: int, *, begins_shot: bool) -> None:
        self.begins_shot = begins_shot
        self._every = every
        self._taken = 0
        self._given = 0
        self._before: deque[Thumbnail] = deque(maxlen=BEFORE - 1)
        self._passed: deque[Frame] = deque(maxlen=REACH)
        self._waiting: deque[_Waiting] = deque()

    def add(self, frame: Frame) -> Iterator[_Judged]:
        """Take the next frame, and give what is now known to be looked at or not."""
        self._waiting.append(_Waiting(frame, self._taken % self._every == 0, thumbnail(frame)))
        self._taken += 1
        if len(self._waiting) == AFTER + 2:
            yield from self._release()

    def close(self, beyond: Frame | None) -> Iterator[_Judged]:
        """Give the rest; `beyond` is the next segment's first frame, None at the film's end."""
        if beyond is not None:
            self._waiting.append(_Waiting(beyond, False, thumbnail(beyond)))
        while len(self._waiting) > (beyond is not None):
            yield from self._release()

    def _release(self) -> Iterator[_Judged]:
        """Let the oldest go: looked at if it is due, beside a cut, or the last of all."""
        old = self._waiting.popleft()
        ahead = [waiting.thumbnail for waiting in self._waiting]
        cut_next = bool(ahead) and is_cut([*self._before, old.thumbnail], ahead)
        looked_at = old.due or self.begins_shot or cut_next or not ahead
        if self.begins_shot:
            self._passed.clear()
        after = [] if cut_next else [waiting.frame for waiting in self._waiting][:REACH]
        beside = (*self._passed, *after)
        yield _Judged(old.frame, looked_at, self._given == 0, self.begins_shot, beside)
        self._before.append(old.thumbnail)
        self._passed.append(old.frame)
        self.begins_shot = cut_next
        self._given += 1
