"""The analyze pass over one span: choice of detection frames, detection, motion, and scene cuts.

A span is cut into segments at anchors. Each segment is worked on without knowledge of any other,
so the result is the same however the video is cut into spans.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from facepipe.datatypes import (
    Crops,
    FaceMeasurements,
    Faces,
    Float32,
    Frame,
    FrameDetections,
    Motion,
    Plane,
    Span,
    SpanFaces,
)
from facepipe.datatypes.stages import stage, staged
from facepipe.faces.detection.appearance import appearance_descriptors
from facepipe.faces.detection.denoise import DENOISE_RADIUS, denoised
from facepipe.faces.detection.finder import FaceFinder
from facepipe.faces.detection.quality import part_visibility, sharpness
from facepipe.faces.detection.shots import (
    AFTER,
    BEFORE,
    Thumbnail,
    is_cut,
    is_still,
    reduced_gray,
    reduced_luma,
    thumbnail,
)
from facepipe.faces.tracking.registration import Follower, luma_levels
from facepipe.models.detectors import Detector

#: Takes N canvases to their parses (N, 8, 32, 32).
ParseFaces = Callable[[Crops], Float32]

#: Frames through which a face is followed back from its detection frame.
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
    parser: ParseFaces | None = None,
    doubted_below: float = 0.0,
) -> SpanFaces:
    """Detect the faces of a span's frames and follow them, in pixels of the coded frame.

    `frames` come by rising pts and may hold one frame beyond the span, the next anchor: faces are
    followed to it, and the span that it begins detects in it. Detection frames are each anchor and
    every `every`-th frame after it, both sides of a scene cut, and the last frame; through the
    frames between, faces are followed. A noisy detection frame is `denoised` by its neighbours.
    `score`, `min_face`, `max_face` and `enlarge` are as in `find_faces`; the image is turned by
    `rotation` degrees counter-clockwise before it is searched. `parser` parses faces that have a
    score below `doubted_below`. Holds a handful of frames.
    Raises ValueError when `every` is below 1.
    """
    if every < 1:
        raise ValueError(f"every must be 1 or more, got {every}")
    finder = FaceFinder(
        detector, score=score, min_face=min_face, max_face=max_face, enlarge=enlarge
    )
    analyzer = _Analyzer(finder, round(rotation / 90) % 4, parser, doubted_below)
    for scheduled in staged("search", _schedule(frames, sorted(anchors), every)):
        analyzer.add(scheduled, within=scheduled.frame.pts < span.stop)
    return SpanFaces(span=span, detections=tuple(analyzer.detections), cuts=tuple(analyzer.cuts))


class _Analyzer:
    """Takes the frames of one span by rising pts, and gathers their detections and cuts."""

    def __init__(
        self, finder: FaceFinder, turns: int, parser: ParseFaces | None, doubted_below: float
    ) -> None:
        self.detections: list[FrameDetections] = []
        self.cuts: list[int] = []
        self._finder = finder
        self._turns = turns
        self._parser = parser
        self._doubted_below = doubted_below
        self._follower: Follower | None = None
        self._passed: deque[Frame] = deque(maxlen=_BACK)
        self._last: _Search | None = None

    def add(self, scheduled: _Scheduled, *, within: bool) -> None:
        """Follow the last detections to this frame, and detect in it where it is due.

        `within`: it belongs to the span, and is not the anchor that follows it.
        """
        frame = scheduled.frame
        if scheduled.starts_segment:
            self._finder.reset()
            self._last = None
            self._passed.clear()  # a span that begins here has not seen them
        if scheduled.begins_shot:
            self.cuts.append(frame.pts)
            self._follower = None
            self._passed.clear()
        light = None if self._follower is None else luma_levels(frame)
        if self._follower is not None and light is not None:
            last = self.detections[-1]
            with stage("registration"):
                moved = self._follower.step(light)
            motion = (*last.motion, Motion(frame.pts, moved))
            self.detections[-1] = replace(last, motion=motion)
        if not (scheduled.due and within):
            self._passed.append(frame)
            return
        with stage("search"):
            faces, measurements = self._searched(scheduled)
        self._follower = None
        before: tuple[Motion, ...] = ()
        if len(faces):
            light = luma_levels(frame) if light is None else light
            with stage("registration"):
                self._follower = Follower(light, faces)
                before = _motion_before(self._follower.anew(), self._passed)
        self.detections.append(
            FrameDetections(
                pts=frame.pts,
                faces=faces,
                shot=len(self.cuts),
                motion=before,
                measurements=measurements,
            )
        )
        self._passed.clear()

    def _searched(self, scheduled: _Scheduled) -> tuple[Faces, FaceMeasurements]:
        """The faces of a frame and their measurements: the last search's, if it is still the same.

        It is compared with the frame that was searched last, so slow change adds up.
        """
        frame, last = scheduled.frame, self._last
        if last is None or not is_still(last.gray, scheduled.gray, frame.format.bits):
            found = self._detect(frame, scheduled.neighbours)
            last = self._last = _Search(scheduled.gray, *found)
        return last.faces, last.measurements

    def _detect(self, frame: Frame, neighbours: Sequence[Frame]) -> tuple[Faces, FaceMeasurements]:
        """The faces of the frame, in pixels of the coded one, and what is measured of them."""
        image = np.ascontiguousarray(np.rot90(denoised(frame, neighbours), self._turns))
        faces = self._finder.find(image)
        visibility = (
            None
            if self._parser is None
            else part_visibility(image, faces, self._parser, below=self._doubted_below)
        )
        measurements = FaceMeasurements(
            appearance=appearance_descriptors(image, faces.landmarks),
            part_visibility=visibility,
            sharpness=sharpness(image, faces.landmarks),
        )
        return turned_back(faces, self._turns, image.shape[1], image.shape[0]), measurements


def _motion_before(follower: Follower, passed: Sequence[Frame]) -> tuple[Motion, ...]:
    """The motion of the follower's faces to the frames before, by rising pts."""
    back = [Motion(frame.pts, follower.step(luma_levels(frame))) for frame in reversed(passed)]
    return tuple(reversed(back))


def turned_back(faces: Faces, turns: int, width: int, height: int) -> Faces:
    """Faces of an image (`width` x `height`) in pixels of the image before it was turned.

    It was turned counter-clockwise by `turns` quarters. Landmarks keep their order, so a face that
    lies on its side keeps its own left and right.
    """
    corners, points = faces.boxes.reshape(-1, 2, 2), faces.landmarks
    for _ in range(turns):
        corners, points = _turned_once(corners, height), _turned_once(points, height)
        width, height = height, width
    boxes = np.concatenate((corners.min(1), corners.max(1)), 1)
    return Faces(boxes=boxes, scores=faces.scores, landmarks=points)


def _turned_once(points: NDArray[np.float32], height: int) -> NDArray[np.float32]:
    """(..., 2) points of an image of that height, turned a quarter clockwise."""
    return np.stack((np.float32(height - 1) - points[..., 1], points[..., 0]), -1)


def _schedule(frames: Iterable[Frame], anchors: list[int], every: int) -> Iterator[_Scheduled]:
    """The frames by rising pts, and which of them are detection frames."""
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


class _Search(NamedTuple):
    """What a search found, and the `reduced_gray` of the frame that it was in."""

    gray: Plane
    faces: Faces
    measurements: FaceMeasurements


class _Scheduled(NamedTuple):
    frame: Frame
    due: bool  # it is a detection frame
    starts_segment: bool
    begins_shot: bool
    gray: Plane  # `reduced_gray` of the frame
    neighbours: tuple[Frame, ...]  # up to DENOISE_RADIUS on each side, of its segment and its shot


class _Waiting(NamedTuple):
    frame: Frame
    due: bool
    gray: Plane
    thumbnail: Thumbnail


def _waiting(frame: Frame, *, due: bool) -> _Waiting:
    reduced = reduced_luma(frame)
    gray = reduced_gray(frame, reduced)
    return _Waiting(frame, due, gray, thumbnail(reduced, frame.format.bits))


class _Segment:
    """The frames from one anchor to the next; they wait until it is known whether a cut follows.

    `begins_shot` is of the oldest that waits.
    """

    def __init__(self, every: int, *, begins_shot: bool) -> None:
        self.begins_shot = begins_shot
        self._every = every
        self._taken = 0
        self._given = 0
        self._before: deque[Thumbnail] = deque(maxlen=BEFORE - 1)
        self._passed: deque[Frame] = deque(maxlen=DENOISE_RADIUS)
        self._waiting: deque[_Waiting] = deque()

    def add(self, frame: Frame) -> Iterator[_Scheduled]:
        """Take the next frame, and give those of which it is now known whether they are due."""
        self._waiting.append(_waiting(frame, due=self._taken % self._every == 0))
        self._taken += 1
        if len(self._waiting) == AFTER + 2:
            yield from self._release()

    def close(self, beyond: Frame | None) -> Iterator[_Scheduled]:
        """Give the rest; `beyond` is the next segment's first frame, None at the video's end."""
        if beyond is not None:
            self._waiting.append(_waiting(beyond, due=False))
        while len(self._waiting) > (beyond is not None):
            yield from self._release()

    def _release(self) -> Iterator[_Scheduled]:
        """Release the oldest: due at its turn, on either side of a cut, and as the last of all."""
        old = self._waiting.popleft()
        ahead = [waiting.thumbnail for waiting in self._waiting]
        cut_next = bool(ahead) and is_cut([*self._before, old.thumbnail], ahead)
        due = old.due or self.begins_shot or cut_next or not ahead
        if self.begins_shot:
            self._passed.clear()
        after = [] if cut_next else [waiting.frame for waiting in self._waiting][:DENOISE_RADIUS]
        neighbours = (*self._passed, *after)
        starts = self._given == 0
        yield _Scheduled(old.frame, due, starts, self.begins_shot, old.gray, neighbours)
        self._before.append(old.thumbnail)
        self._passed.append(old.frame)
        self.begins_shot = cut_next
        self._given += 1
