"""Detection of faces down to a few pixels: a pass at native size, an enlarged one, a refinement.

The network finds faces of some 16 px and more. So an image is searched enlarged too, wherever the
native pass hints at a face; and each small face is cut out, enlarged and detected again, as
landmarks of tiny faces are good only then.
"""

from __future__ import annotations

from math import gcd

import cv2
import numpy as np
from numpy.typing import NDArray

from facepipe.datatypes import Faces
from facepipe.faces.canvas import landmark_error, roll
from facepipe.faces.detection.regions import (
    CELL,
    Box,
    cell_luma,
    changed,
    components,
    dilated,
    patches_around,
    tiles,
)
from facepipe.models.detectors import FLOOR, Detector
from facepipe.models.detectors.boxes import iou, nms, sizes

OVERLAP = 0.35  # IoU above which two boxes are the same face
NET_PIXELS = 2_100_000  # of one input of the network: bounds memory; 1920x1080 still fits
SMALLEST, LARGEST = 16, 96  # net px: smallest face of a reduced pass, largest of a tiled one
MARGIN = 64  # net px of context around a tile: half the largest face and some
HINT_MARGIN = 48  # net px of context around a patch that is searched enlarged
PLAIN_MARGIN = 32  # net px of context around a patch that is searched at native size
GRID = 32  # net px: the network's largest stride
CLOSE_UP_SIDE, CLOSE_UP_FACE = 192, 64  # net px: a close-up, and the face's size in it
REFINED_BELOW = 96  # frame px: larger faces have good landmarks already
# YuNet's landmarks show a third of a face's tilt (0.37 measured up to 20 degrees, 0.29 at 30); of
# upright faces they are good to 1.3 degrees. So a tilted face is turned upright and detected again.
TILT_SEEN, UPRIGHT, MOST_TILTED = 0.3, np.radians(6), np.radians(60)
MOST_TURNS = 3  # close-ups that are turned, a face
SAME_PLACE = 0.3  # IoU of a face with its detection in the close-up, at least
# A face's score loses by how much the landmarks of its two close-ups disagree, and by their error
# from a face's shape, both in sizes of its box: a factor and a bound of each. All gain the median
# loss of a face, so that scores keep their meaning (200 boxed photographs).
DISAGREEMENT, MOST_DISAGREEMENT = 1.5, 0.1
LANDMARK_ERROR, MOST_LANDMARK_ERROR = 0.75, 0.3
USUAL = 0.1
CANDIDATE = 0.2  # how far below the asked score a face may be that refinement may still raise
# The score from which the native pass hints at a face: in the first image of a run, in the others,
# and in those where faces below TINY px are asked for. Of the faces of 8 to 48 px that enlarged
# images show, none of 764 in boxed photographs is without such a hint, and in drawn crowds behind a
# codec 4 and 29 of 630; but a face that was found is searched for again without one.
FIRST_HINT, HINT, TINY_HINT, TINY = 0.005, 0.03, 0.02, 8
# Px between a hint and its face, at most; larger ones by so much are not searched enlarged.
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
    """All faces of a (H, W, 3) BGR image with a score of `score` and more, best first.

    `min_face` and `max_face` bound the square root of the box's area in pixels; `enlarge` 1..4
    is the scale of the enlarged pass (1: none).
    """
    finder = FaceFinder(
        detector, score=score, min_face=min_face, max_face=max_face, enlarge=enlarge
    )
    return finder.find(bgr)


class FaceFinder:
    """`find_faces` for a run of images: only what changed since it was searched is searched again.

    The result depends on the images since `reset` alone. A place is compared with the image it was
    last searched in, so slow change adds up until it counts.
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
        """Forget every image seen."""
        self._seen, self._found = None, Faces.none()

    def find(self, bgr: NDArray[np.uint8]) -> Faces:
        """The faces of the next (H, W, 3) BGR image, best first."""
        faintest = FIRST_HINT if self._seen is None else self._faintest
        patches = self._changed(bgr, cell_luma(bgr))
        if patches:
            candidates = self._search(bgr, patches, faintest)
            found = refined(bgr, candidates, self._detector, score=self._score)
            standing = self._found.take(~_inside_any(self._found, patches, bgr))
            self._found = nms(Faces.concat([standing, found]), OVERLAP)
        faces = self._found
        side = sizes(faces.boxes)
        fits = (faces.scores >= self._score) & (side >= self._min_face)
        return faces.take(fits & (side <= (self._max_face or np.inf)))

    def _changed(self, bgr: NDArray[np.uint8], now: NDArray[np.float32]) -> list[Box]:
        """Patches around what changed since it was searched; they count as searched from now on."""
        height, width = bgr.shape[:2]
        whole = (0, 0, width, height)
        if self._seen is None or self._seen.shape != now.shape:
            self._seen = now
            return [whole]
        differs = changed(self._seen, now)
        if not differs.any():
            return []
        differs = dilated(differs, LARGEST // (2 * self._enlarge))
        patches = components(differs, (0, 0, width, height), margin=PLAIN_MARGIN)
        for patch in patches:
            x0, y0, x1, y1 = (-(-side // CELL) for side in patch)
            self._seen[y0:y1, x0:x1] = now[y0:y1, x0:x1]
        return patches

    def _search(self, bgr: NDArray[np.uint8], patches: list[Box], faintest: float) -> Faces:
        """Candidates with their centre in one of the `patches`, from every pass.

        Scores from `faintest` up, and faces that were there before, hint at where to search
        enlarged.
        """
        height, width = bgr.shape[:2]
        fit = min(1.0, (NET_PIXELS / (width * height)) ** 0.5)
        standing = self._found.take(_inside_any(self._found, patches, bgr))
        # A large face of which a part moved is searched whole again.
        context = max([PLAIN_MARGIN / fit, *sizes(standing.boxes).tolist()])
        parts = []
        for patch in patches:
            plain = self._pass(bgr, patch, fit, round(context), faintest)
            parts.append(plain.take(sizes(plain.boxes) * fit >= SMALLEST))
            if fit < 1:
                plain = self._tiled(bgr, patch, 1, faintest, MARGIN)
                parts.append(plain)
            if self._enlarge > 1:
                for place in self._hinted(Faces.concat([plain, standing]), patch):
                    parts.append(self._tiled(bgr, place, self._enlarge, FLOOR, HINT_MARGIN))
        found = Faces.concat(parts)
        likely = found.scores >= max(self._score - CANDIDATE, FLOOR)
        return nms(found.take(likely & _inside_any(found, patches, bgr)), OVERLAP)

    def _hinted(self, hints: Faces, patch: Box) -> list[Box]:
        """Where in `patch` to search enlarged."""
        if not self._detector.hints:
            return [patch]
        small = hints.take(sizes(hints.boxes) <= HINTED * LARGEST / self._enlarge)
        middles = np.asarray((small.boxes[:, :2] + small.boxes[:, 2:]) / 2, np.float32)
        reach = np.maximum(sizes(small.boxes) / 2, HINT_REACH)
        return patches_around(middles, reach, patch, margin=-(-HINT_MARGIN // self._enlarge))

    def _tiled(
        self, bgr: NDArray[np.uint8], patch: Box, scale: int, floor: float, margin: int
    ) -> Faces:
        """Faces of `patch` up to LARGEST net px, searched at `scale` tile by tile."""
        parts = []
        room = margin + _grid(scale) * scale // 2  # as `_pass` begins where the grid does
        for core in tiles(patch, scale, margin=room, most=NET_PIXELS):
            tile = self._pass(bgr, core, scale, -(-margin // scale), floor)
            small = sizes(tile.boxes) * scale <= LARGEST
            parts.append(tile.take(small & _inside(tile, core, bgr)))
        return Faces.concat(parts)

    def _pass(
        self, bgr: NDArray[np.uint8], core: Box, scale: float, margin: int, floor: float
    ) -> Faces:
        """Faces of `core` and `margin` px around it, searched at `scale`; in pixels of `bgr`."""
        # The network's own grid lies as in a pass over the whole image, whatever the core is:
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
        return Faces(
            boxes=boxes.astype(np.float32), scores=faces.scores, landmarks=points.astype(np.float32)
        )


def _grid(scale: float) -> int:
    """Px of the image after which a pixel at `scale` lies on the network's grid again."""
    return GRID // gcd(GRID, int(scale)) if scale >= 1 else 1


def refined(
    bgr: NDArray[np.uint8], faces: Faces, detector: Detector, *, score: float = 0.0
) -> Faces:
    """The faces with landmarks, boxes and scores refined on a close-up of each small one.

    A close-up is cut out, enlarged, and searched plain and mirrored. The landmarks become the mean
    of these two, box and score the mean of the first detection's and theirs. A close-up in which
    the face is not found counts with score 0: that separates a face from a blot. Landmarks on which
    the two disagree, or that have not the shape of a face, cost score. The landmarks of a tilted
    face come from a close-up in which it stands upright; those of a face that cannot reach `score`
    from the first one.
    """
    boxes, scores = faces.boxes.copy(), faces.scores.copy()
    landmarks = faces.landmarks.copy()
    for face in np.nonzero(sizes(faces.boxes) < REFINED_BELOW)[0]:
        box = faces.boxes[face]
        seen, to_close_up = _close_up(bgr, box, 0.0, detector)
        scores[face] = (scores[face] + seen.scores.sum() / 2) / 2
        if len(seen) == 2:
            off = np.linalg.norm(seen.landmarks[0] - seen.landmarks[1], axis=1).mean()
            scores[face] -= DISAGREEMENT * min(float(off) / CLOSE_UP_FACE, MOST_DISAGREEMENT)
        if len(seen):
            closer = (seen.boxes.mean(0).reshape(2, 2) - to_close_up[:, 2]) / to_close_up[0, 0]
            boxes[face] = (box + closer.reshape(4)) / 2
            hopeless = scores[face] + USUAL < score
            if not hopeless:
                seen, to_close_up = _upright(bgr, box, seen, to_close_up, detector)
            to_image = cv2.invertAffineTransform(to_close_up)
            landmarks[face] = seen.landmarks.mean(0) @ to_image[:, :2].T + to_image[:, 2]
    errors = np.array([landmark_error(points) for points in landmarks], np.float32)
    plausible = scores + USUAL - LANDMARK_ERROR * np.minimum(errors, MOST_LANDMARK_ERROR)
    scores = np.clip(plausible, 0, 1).astype(np.float32)
    return Faces(boxes=boxes, scores=scores, landmarks=landmarks)


def _upright(
    bgr: NDArray[np.uint8],
    box: NDArray[np.float32],
    seen: Faces,
    to_close_up: NDArray[np.float64],
    detector: Detector,
) -> tuple[Faces, NDArray[np.float64]]:
    """The close-up of the face at `box` in which it stands upright, from a first one of it.

    A face that only one of two close-ups shows is doubtful, and not worth more of them.
    """
    turn = 0.0
    for _ in range(MOST_TURNS if len(seen) == 2 else 0):
        tilt = roll(seen.landmarks.mean(0)) / TILT_SEEN
        if abs(tilt) < UPRIGHT:
            break
        turn = float(np.clip(turn + tilt, -MOST_TILTED, MOST_TILTED))
        again, to_again = _close_up(bgr, box, turn, detector)
        if len(again) < 2:
            break
        seen, to_close_up = again, to_again
    return seen, to_close_up


def _close_up(
    bgr: NDArray[np.uint8], box: NDArray[np.float32], turn: float, detector: Detector
) -> tuple[Faces, NDArray[np.float64]]:
    """The face at `box` (4,), as found in a close-up turned by `turn` radians and in its mirror.

    Up to two detections of it, in pixels of the close-up, and (2, 3) from the image to that.
    """
    size = max(float(sizes(box[None])[0]), 1.0)
    zoom = CLOSE_UP_FACE / size
    linear = zoom * np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    middle = (CLOSE_UP_SIDE - 1) / 2
    to_close_up = np.column_stack((linear, middle - linear @ (box[:2] + box[2:]) / 2))
    half = zoom * (box[2:] - box[:2]) / 2
    place = np.concatenate((middle - half, middle + half)).astype(np.float32)[None]
    side = (CLOSE_UP_SIDE, CLOSE_UP_SIDE)
    plain = cv2.warpAffine(
        bgr, to_close_up, side, None, cv2.INTER_CUBIC, cv2.BORDER_REPLICATE
    ).astype(np.uint8, copy=False)
    both = [detector(plain), _mirrored(detector(np.ascontiguousarray(plain[:, ::-1])))]
    return Faces.concat([_at(place, faces) for faces in both]), to_close_up


def _at(place: NDArray[np.float32], faces: Faces) -> Faces:
    """The face with the highest IoU with the (1, 4) box `place`, if that is SAME_PLACE or more."""
    if len(faces) == 0:
        return faces
    shares = iou(place, faces.boxes)[0]
    best = int(np.argmax(shares))
    return faces.take(np.array([best] if shares[best] >= SAME_PLACE else [], np.intp))


def _mirrored(faces: Faces) -> Faces:
    """Faces of a mirrored close-up, as they are in the plain one."""
    boxes, landmarks = faces.boxes.copy(), faces.landmarks[:, [1, 0, 2, 4, 3]]
    boxes[:, [0, 2]] = CLOSE_UP_SIDE - 1 - boxes[:, [2, 0]]
    landmarks[:, :, 0] = CLOSE_UP_SIDE - 1 - landmarks[:, :, 0]
    return Faces(boxes=boxes, scores=faces.scores, landmarks=landmarks)


def _inside(faces: Faces, core: Box, bgr: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """(N,) whether each face's centre lies in `core`, open-ended at the image's edges."""
    height, width = bgr.shape[:2]
    x, y = ((faces.boxes[:, :2] + faces.boxes[:, 2:]) / 2 + 0.5).T
    within = (x >= core[0]) | (core[0] == 0), (x < core[2]) | (core[2] == width)
    down = (y >= core[1]) | (core[1] == 0), (y < core[3]) | (core[3] == height)
    return np.asarray(within[0] & within[1] & down[0] & down[1], np.bool_)


def _inside_any(faces: Faces, patches: list[Box], bgr: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """(N,) whether each face's centre lies in one of the `patches`."""
    inside = [_inside(faces, patch, bgr) for patch in patches]
    return np.asarray(np.any(inside, axis=0), np.bool_)
