"""Faces of one picture, the tiny ones too: a pass as it is, a pass enlarged, a second look.

The network finds faces of some 16 px and more, so a picture is enlarged before it is searched,
wherever the pass as it is hints at a face; landmarks of tiny faces are good only once the face is
cut out and enlarged on its own.
"""

from __future__ import annotations

from math import gcd

import cv2
import numpy as np
from numpy.typing import NDArray

from facepipe.datatypes import Faces
from facepipe.faces.canvas import misshape, roll
from facepipe.faces.detection.regions import CELL, Box, apart, around, cells, changed, grown, tiles
from facepipe.models.detectors import FLOOR, Detector
from facepipe.models.detectors.boxes import join, overlaps, sizes, suppress

OVERLAP = 0.35  # of two boxes that say the same face
NET_PIXELS = 2_100_000  # of one input of the network: bounds memory; 1920x1080 still fits
SMALLEST, LARGEST = 16, 96  # net px: from the plain pass up, from the tiled passes down
MARGIN = 64  # net px of context around what a tile answers for: half the largest face and some
HINT_MARGIN = 48  # net px of context around a place that is seen enlarged
PLAIN_MARGIN = 32  # net px of context around a patch that is seen as it is
GRID = 32  # net px: the network's largest stride
LOOK_SIDE, LOOK_FACE = 192, 64  # the second look's input, and the face's size in it, net px
LOOK_BELOW = 96  # frame px: larger faces have good landmarks already
# Of a face that is tilted, YuNet's landmarks tilt by a third as much (0.37 measured up to 20
# degrees, 0.29 at 30); upright they are good to 1.3 degrees. So a tilted face is looked at again.
TILT_SEEN, UPRIGHT, MOST_TILTED = 0.3, np.radians(6), np.radians(60)
MORE_LOOKS = 3  # at a tilted face, at most
SAME_PLACE = 0.3  # overlap of the second look's face with the first's
# What a face's score loses by the size of its box that the landmarks of two looks differ, and by
# which they differ from a face's shape; no more than at so much of each. A face has the median of
# both, which is given to all, so that scores keep their meaning (200 boxed photographs).
DIFFER, DIFFER_MOST, MISSHAPE, MISSHAPE_MOST, USUAL = 1.5, 0.1, 0.75, 0.3, 0.1
CANDIDATE = 0.2  # how far below the asked score the second look may still raise a face
# The score from which the picture as it is hints at a face: in the first picture of a run, in any
# other, and there where faces below TINY px are asked for. Of the faces of 8 to 48 px that pictures
# show when enlarged, none of 764 in boxed photographs is without such a hint, and in drawn crowds
# behind a codec 4 and 29 of 630; but a face that was found is looked for again without one.
FIRST_HINT, HINT, TINY_HINT, TINY = 0.005, 0.03, 0.02, 8
# How far from a hint its face may be, px; larger ones by so much need not be seen enlarged.
HINT_REACH, HINTED = 12, 1.5


def find_faces(
    bgr: NDArray[np.uint8],
    detector: Detector,
    *,
    score: float,
    min_face: float,
    max_face: float | None = None,
    enlarge: int = 2,
) -> Faces:
    """All faces of a (H, W, 3) BGR picture with a score of `score` and more, best first.

    `min_face` and `max_face` bound the square root of the box's area in pixels; `enlarge` 1..4
    is how much larger the second pass sees the picture (1: no second pass).
    """
    finder = FaceFinder(
        detector, score=score, min_face=min_face, max_face=max_face, enlarge=enlarge
    )
    return finder.look(bgr)


class FaceFinder:
    """`find_faces` for a run of pictures: only what changed since it was seen is searched again.

    What it answers depends on the pictures since `reset` alone. A place is compared with the
    picture it was last searched in, so slow change adds up until it counts.
    """

    def __init__(
        self,
        detector: Detector,
        *,
        score: float,
        min_face: float,
        max_face: float | None = None,
        enlarge: int = 2,
    ) -> None:
        """As `find_faces`. Raises ValueError for an `enlarge` outside 1..4."""
        if not 1 <= enlarge <= 4:
            raise ValueError(f"enlarge must be 1..4, got {enlarge}")
        self._detector = detector
        self._score = score
        self._min_face = min_face
        self._max_face = max_face
        self._enlarge = enlarge
        self._faintest = HINT if min_face >= TINY else TINY_HINT
        self._seen: NDArray[np.float32] | None = None  # mean luma of each cell when searched
        self._found = Faces.none()

    def reset(self) -> None:
        """Forget every picture seen."""
        self._seen, self._found = None, Faces.none()

    def look(self, bgr: NDArray[np.uint8]) -> Faces:
        """The faces of the next (H, W, 3) BGR picture, best first."""
        faintest = FIRST_HINT if self._seen is None else self._faintest
        patches = self._changed(bgr, cells(bgr))
        if patches:
            candidates = self._search(bgr, patches, faintest)
            refined = second_look(bgr, candidates, self._detector, score=self._score)
            standing = self._found.take(~_inside_any(self._found, patches, bgr))
            self._found = suppress(join([standing, refined]), OVERLAP)
        faces = self._found
        side = sizes(faces.boxes)
        fits = (faces.scores >= self._score) & (side >= self._min_face)
        return faces.take(fits & (side <= (self._max_face or np.inf)))

    def _changed(self, bgr: NDArray[np.uint8], now: NDArray[np.float32]) -> list[Box]:
        """Patches around what differs from what was searched, and remember them as searched."""
        height, width = bgr.shape[:2]
        whole = (0, 0, width, height)
        if self._seen is None or self._seen.shape != now.shape:
            self._seen = now
            return [whole]
        differs = changed(self._seen, now)
        if not differs.any():
            return []
        differs = grown(differs, LARGEST // (2 * self._enlarge))
        patches = apart(differs, (0, 0, width, height), margin=PLAIN_MARGIN)
        for patch in patches:
            x0, y0, x1, y1 = (-(-side // CELL) for side in patch)
            self._seen[y0:y1, x0:x1] = now[y0:y1, x0:x1]
        return patches

    def _search(self, bgr: NDArray[np.uint8], patches: list[Box], faintest: float) -> Faces:
        """Candidates with their centre in one of the `patches`, from every pass.

        Scores from `faintest` up, and faces that were there before, hint at where to look closer.
        """
        height, width = bgr.shape[:2]
        fit = min(1.0, (NET_PIXELS / (width * height)) ** 0.5)
        standing = self._found.take(_inside_any(self._found, patches, bgr))
        # A large face of which a part moved is seen whole again.
        context = max([PLAIN_MARGIN / fit, *sizes(standing.boxes).tolist()])
        parts = []
        for patch in patches:
            plain = self._pass(bgr, patch, fit, round(context), faintest)
            parts.append(plain.take(sizes(plain.boxes) * fit >= SMALLEST))
            if fit < 1:
                plain = self._tiled(bgr, patch, 1, faintest, MARGIN)
                parts.append(plain)
            if self._enlarge > 1:
                for place in self._hinted(join([plain, standing]), patch):
                    parts.append(self._tiled(bgr, place, self._enlarge, FLOOR, HINT_MARGIN))
        found = join(parts)
        likely = found.scores >= max(self._score - CANDIDATE, FLOOR)
        return suppress(found.take(likely & _inside_any(found, patches, bgr)), OVERLAP)

    def _hinted(self, hints: Faces, patch: Box) -> list[Box]:
        """Where in `patch` to look closer."""
        if not self._detector.hints:
            return [patch]
        small = hints.take(sizes(hints.boxes) <= HINTED * LARGEST / self._enlarge)
        middles = np.asarray((small.boxes[:, :2] + small.boxes[:, 2:]) / 2, np.float32)
        reach = np.maximum(sizes(small.boxes) / 2, HINT_REACH)
        return around(middles, reach, patch, margin=-(-HINT_MARGIN // self._enlarge))

    def _tiled(
        self, bgr: NDArray[np.uint8], patch: Box, scale: int, floor: float, margin: int
    ) -> Faces:
        """Faces of `patch` that are not too large for it, seen at `scale` tile by tile."""
        parts = []
        room = margin + _grid(scale) * scale // 2  # as `_pass` begins where the grid does
        for core in tiles(patch, scale, margin=room, most=NET_PIXELS):
            tile = self._pass(bgr, core, scale, -(-margin // scale), floor)
            small = sizes(tile.boxes) * scale <= LARGEST
            parts.append(tile.take(small & _inside(tile, core, bgr)))
        return join(parts)

    def _pass(
        self, bgr: NDArray[np.uint8], core: Box, scale: float, margin: int, floor: float
    ) -> Faces:
        """Faces of `core` and `margin` px around it, seen at `scale`, in pixels of the picture."""
        # The network's own grid lies as in a pass over the whole picture, whatever the core is:
        # else a face at rest would seem to move with it.
        grid = _grid(scale)
        left, top = (max(side - margin, 0) // grid * grid for side in core[:2])
        cut = bgr[top : core[3] + margin, left : core[2] + margin]
        if scale == 1:
            seen = cut
        else:
            size = (round(cut.shape[1] * scale), round(cut.shape[0] * scale))
            method = cv2.INTER_LINEAR if scale > 1 else cv2.INTER_AREA
            seen = cv2.resize(cut, size, interpolation=method).astype(np.uint8, copy=False)
        faces = self._detector(seen, floor=floor)
        ratio = np.array([cut.shape[1] / seen.shape[1], cut.shape[0] / seen.shape[0]], np.float32)
        # Pixel centres are at integers, so a scale acts about the corner at -0.5.
        shift = np.array([left - 0.5, top - 0.5], np.float32) + ratio / 2
        boxes = (faces.boxes.reshape(-1, 2, 2) * ratio + shift).reshape(-1, 4)
        points = faces.landmarks * ratio + shift
        return Faces(boxes.astype(np.float32), faces.scores, points.astype(np.float32))


def _grid(scale: float) -> int:
    """Px of the picture after which a pixel at `scale` lies on the network's grid again."""
    return GRID // gcd(GRID, int(scale)) if scale >= 1 else 1


def second_look(
    bgr: NDArray[np.uint8], faces: Faces, detector: Detector, *, score: float = 0.0
) -> Faces:
    """The same faces with the landmarks, boxes and scores of a closer look at each small one.

    Each is cut out, enlarged, and searched plain and mirrored; its landmarks become the mean of
    these two, its box and score the mean of the first look's and theirs. A look that does not
    find the face again counts with score 0: that is what tells a face from a blot; and so do
    landmarks on which the two looks do not agree, or that have not the shape of a face. The
    landmarks of a tilted face come from a look that is turned until the face stands upright in it;
    of a face that is to have no `score` whatever they are, from the first.
    """
    boxes, scores = faces.boxes.copy(), faces.scores.copy()
    landmarks = faces.landmarks.copy()
    for face in np.nonzero(sizes(faces.boxes) < LOOK_BELOW)[0]:
        box = faces.boxes[face]
        seen, to_look = _look(bgr, box, 0.0, detector)
        scores[face] = (scores[face] + seen.scores.sum() / 2) / 2
        if len(seen) == 2:
            apart = np.linalg.norm(seen.landmarks[0] - seen.landmarks[1], axis=1).mean()
            scores[face] -= DIFFER * min(float(apart) / LOOK_FACE, DIFFER_MOST)
        if len(seen):
            closer = (seen.boxes.mean(0).reshape(2, 2) - to_look[:, 2]) / to_look[0, 0]
            boxes[face] = (box + closer.reshape(4)) / 2
            hopeless = scores[face] + USUAL < score
            if not hopeless:
                seen, to_look = _upright(bgr, box, seen, to_look, detector)
            from_look = cv2.invertAffineTransform(to_look)
            landmarks[face] = seen.landmarks.mean(0) @ from_look[:, :2].T + from_look[:, 2]
    shapes = np.array([misshape(points) for points in landmarks], np.float32)
    plausible = scores + USUAL - MISSHAPE * np.minimum(shapes, MISSHAPE_MOST)
    return Faces(boxes, np.clip(plausible, 0, 1).astype(np.float32), landmarks)


def _upright(
    bgr: NDArray[np.uint8],
    box: NDArray[np.float32],
    seen: Faces,
    to_look: NDArray[np.float64],
    detector: Detector,
) -> tuple[Faces, NDArray[np.float64]]:
    """The look at the face that was `seen` in a first look at `box` in which it stands upright.

    One that only one of two looks saw is doubtful, and not worth more of them.
    """
    turn = 0.0
    for _ in range(MORE_LOOKS if len(seen) == 2 else 0):
        tilt = roll(seen.landmarks.mean(0)) / TILT_SEEN
        if abs(tilt) < UPRIGHT:
            break
        turn = float(np.clip(turn + tilt, -MOST_TILTED, MOST_TILTED))
        again, to_again = _look(bgr, box, turn, detector)
        if len(again) < 2:
            break
        seen, to_look = again, to_again
    return seen, to_look


def _look(
    bgr: NDArray[np.uint8], box: NDArray[np.float32], turn: float, detector: Detector
) -> tuple[Faces, NDArray[np.float64]]:
    """What is found where `box` (4,) lies, in pixels of the look: enlarged, turned by `turn`."""
    size = max(float(sizes(box[None])[0]), 1.0)
    zoom = LOOK_FACE / size
    along = zoom * np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    middle = (LOOK_SIDE - 1) / 2
    to_look = np.column_stack((along, middle - along @ (box[:2] + box[2:]) / 2))
    half = zoom * (box[2:] - box[:2]) / 2
    place = np.concatenate((middle - half, middle + half)).astype(np.float32)[None]
    plain = cv2.warpAffine(
        bgr, to_look, (LOOK_SIDE, LOOK_SIDE), None, cv2.INTER_CUBIC, cv2.BORDER_REPLICATE
    ).astype(np.uint8, copy=False)
    both = [detector(plain), _mirrored(detector(np.ascontiguousarray(plain[:, ::-1])))]
    again = [_at(place, seen) for seen in both]
    return join([one for one in again if len(one)]), to_look


def _at(place: NDArray[np.float32], faces: Faces) -> Faces:
    """The one face that overlaps the (1, 4) box `place` best, or none."""
    if len(faces) == 0:
        return faces
    shares = overlaps(place, faces.boxes)[0]
    best = int(np.argmax(shares))
    return faces.take(np.array([best] if shares[best] >= SAME_PLACE else [], np.intp))


def _mirrored(faces: Faces) -> Faces:
    """Faces of a mirrored second look, as they are in the plain one."""
    boxes, landmarks = faces.boxes.copy(), faces.landmarks[:, [1, 0, 2, 4, 3]]
    boxes[:, [0, 2]] = LOOK_SIDE - 1 - boxes[:, [2, 0]]
    landmarks[:, :, 0] = LOOK_SIDE - 1 - landmarks[:, :, 0]
    return Faces(boxes, faces.scores, landmarks)


def _inside(faces: Faces, core: Box, bgr: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """(N,) whether each face's centre lies in `core`, which reaches out where the picture ends."""
    height, width = bgr.shape[:2]
    x, y = ((faces.boxes[:, :2] + faces.boxes[:, 2:]) / 2 + 0.5).T
    within = (x >= core[0]) | (core[0] == 0), (x < core[2]) | (core[2] == width)
    down = (y >= core[1]) | (core[1] == 0), (y < core[3]) | (core[3] == height)
    return np.asarray(within[0] & within[1] & down[0] & down[1], np.bool_)


def _inside_any(faces: Faces, patches: list[Box], bgr: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """(N,) whether each face's centre lies in one of the `patches`."""
    inside = [_inside(faces, patch, bgr) for patch in patches]
    return np.asarray(np.any(inside, axis=0), np.bool_)
