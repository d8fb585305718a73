"""A crowd whose places are known: aligned faces walk before a photograph, and one pillar.

Everything is drawn from the seed, so a scene is the same wherever it is drawn. A film of it, small,
noisy and coded, is what facepipe gets; the scene itself is the truth.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from facepipe.datatypes import Float32
from facepipe.evaluation.clips import Rgb, reduced
from facepipe.training.face_archive import ALIGNED_SIZE, MARGIN

WIDTH, HEIGHT = 480, 270
#: A scene is drawn so many times as large as the film, and then reduced.
FINE = 4
#: The box that the detector draws around a face on its canvas (median of 125 aligned faces), px.
BOX = np.array([28.3, 23.4, 98.9, 117.1])
BOX_SIZE = float(np.sqrt(np.prod(BOX[2:] - BOX[:2])))
#: Share of a face that must be seen for it to be one that is to be found.
SEEN = 0.6
_PILLAR = (0.62, 0.66)  # of the width
_EDGE = 2.0  # px of an aligned face, the blur of a head's edge
_ROUNDS = 3  # of GrabCut
#: What an oval about the middle of an aligned face holds: label, its middle from the top, and its
#: half width and height, px; each lies over the one before it.
_OVALS = (
    (cv2.GC_PR_BGD, 84, 66, 84),
    (cv2.GC_PR_FGD, 84, 52, 66),
    (cv2.GC_FGD, 86, 36, 46),
)


@dataclass(frozen=True)
class Plan:
    """What a scene is like: sizes of faces in px of the film, motion as a share of the usual."""

    faces: int = 12
    frames: int = 150
    rate: int = 25
    sizes: tuple[float, float] = (10.0, 44.0)
    motion: float = 1.0
    noise: float = 2.0  # sigma, code values
    crf: int = 26
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Shown:
    """The true faces of a frame, N: who, where, and how much of each is to be seen.

    `to_frame` (N, 2, 3) takes its canvas to the film; `boxes` (N, 4); `seen` (N,) in [0, 1].
    """

    who: NDArray[np.intp]
    to_frame: NDArray[np.float64]
    boxes: NDArray[np.float32]
    seen: NDArray[np.float64]

    @property
    def visible(self) -> NDArray[np.bool_]:
        """(N,) whether each is to be found."""
        return self.seen >= SEEN


@dataclass(frozen=True, eq=False)
class _Actor:
    """A cut-out face (160, 160, 4) and its way: what takes the canvas to each frame (T, 2, 3)."""

    picture: Float32
    way: NDArray[np.float64]


class Crowd:
    """Two shots of faces that walk, sway and pass before and behind each other."""

    def __init__(self, faces: Sequence[Rgb], backgrounds: Sequence[Rgb], plan: Plan) -> None:
        """`faces` are aligned (160, 160, 3), `backgrounds` photographs of any size, at least one.

        Both are taken in turn where the plan asks for more.
        """
        self.plan = plan
        rng = np.random.default_rng(plan.seed)
        cut_outs = _cut_outs(faces)
        self._shots = [
            [
                _Actor(cut_outs[(shot * plan.faces + k) % len(faces)], _way(rng, plan, length))
                for k in range(plan.faces)
            ]
            for shot, length in enumerate(self._lengths())
        ]
        self._backgrounds = [_background(backgrounds[k % len(backgrounds)]) for k in range(2)]

    def _lengths(self) -> tuple[int, int]:
        first = self.plan.frames // 2
        return first, self.plan.frames - first

    def _at(self, number: int) -> tuple[int, int]:
        first = self._lengths()[0]
        return (0, number) if number < first else (1, number - first)

    def draw(self, number: int, scale: int) -> Rgb:
        """(HEIGHT * scale, WIDTH * scale, 3): frame `number` without noise; `scale` 1, 2 or 4."""
        shot, at = self._at(number)
        picture = self._view(shot, at)
        for actor in self._far_to_near(shot, at):
            _put(picture, actor.picture, _finely(actor.way[at]))
        left, right = (round(share * WIDTH * FINE) for share in _PILLAR)
        picture[:, left:right] = (84, 80, 76)
        return reduced(picture, (WIDTH * scale, HEIGHT * scale)) if scale < FINE else picture

    def film(self) -> Iterator[Rgb]:
        """The frames as a small camera sees them, with its noise, not coded yet."""
        for number in range(self.plan.frames):
            rng = np.random.default_rng([self.plan.seed, number])
            picture = self.draw(number, 1)
            noise = self.plan.noise * rng.standard_normal(picture.shape, np.float32)
            yield np.clip(picture + noise + 0.5, 0, 255).astype(np.uint8)

    def shown(self, number: int) -> Shown:
        """Where the faces of frame `number` are."""
        shot, at = self._at(number)
        actors = self._shots[shot]
        order = self._far_to_near(shot, at)
        owner = np.full((HEIGHT, WIDTH), -1, np.intp)
        boxes = [_box(actor.way[at]) for actor in actors]
        inside = [_pixels(box) for box in boxes]
        for actor in order:
            place = actors.index(actor)
            owner[inside[place]] = place
        owner[:, round(_PILLAR[0] * WIDTH) : round(_PILLAR[1] * WIDTH)] = -1
        share = [
            (owner[inside[k]] == k).sum() / max(np.prod(box[2:] - box[:2]), 1e-6)
            for k, box in enumerate(boxes)
        ]
        return Shown(
            np.arange(len(actors)) + shot * self.plan.faces,
            np.stack([actor.way[at] for actor in actors]),
            np.array(boxes, np.float32),
            np.array(share, np.float64),
        )

    def _far_to_near(self, shot: int, at: int) -> list[_Actor]:
        return sorted(self._shots[shot], key=lambda actor: float(np.hypot(*actor.way[at][:, 0])))

    def _view(self, shot: int, at: int) -> Rgb:
        """The background, which drifts by parts of a pixel."""
        whole = self._backgrounds[shot]
        shift = 6 * FINE * (1 + np.sin(at / 40))
        to_whole = np.array([[1.0, 0, shift], [0, 1, shift / 2]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        size = (WIDTH * FINE, HEIGHT * FINE)
        return np.asarray(cv2.warpAffine(whole, to_whole, size, flags=flags), np.uint8)


def _way(rng: np.random.Generator, plan: Plan, frames: int) -> NDArray[np.float64]:
    """(frames, 2, 3): how one face walks, sways, nods and grows."""
    seconds = np.arange(frames) / plan.rate
    size = float(np.exp(rng.uniform(*np.log(plan.sizes))))

    def wave(height: float, period: tuple[float, float]) -> NDArray[np.float64]:
        turns = rng.uniform(0, 1) + seconds / rng.uniform(*period)
        return plan.motion * height * np.sin(2 * np.pi * turns)

    scale = size / BOX_SIZE * np.exp(wave(0.06, (3, 8)))
    roll = np.radians(rng.uniform(-6, 6) + wave(5, (2, 5)))
    walk = plan.motion * rng.uniform(-1.2, 1.2) * size
    across = rng.uniform(0.08, 0.92) * WIDTH + walk * (seconds - seconds[-1] / 2)
    across = across + wave(0.15 * size, (1, 3))
    down = rng.uniform(0.15, 0.85) * HEIGHT + wave(0.08 * size, (0.5, 1.2))
    along = scale * np.exp(1j * roll)
    middle = complex((BOX[0] + BOX[2]) / 2, (BOX[1] + BOX[3]) / 2)
    to = across + 1j * down - along * middle
    rows = np.stack((along.real, -along.imag, to.real, along.imag, along.real, to.imag), 1)
    return rows.reshape(-1, 2, 3)


def _cut_outs(faces: Sequence[Rgb]) -> list[Float32]:
    """(160, 160, 4) each: the face, and how much of each place is a head, by its colours.

    GrabCut (Rother, Kolmogorov and Blake 2004) parts it from what is behind it, begun with the
    ovals that a face and a head fill. No network of ours has a say in it: the scene stays the same
    when those change.
    """
    rows, columns = np.mgrid[:ALIGNED_SIZE, :ALIGNED_SIZE].astype(np.float32)
    start = np.full((ALIGNED_SIZE, ALIGNED_SIZE), cv2.GC_BGD, np.uint8)
    for label, down, half_width, half_height in _OVALS:
        across = (columns - (ALIGNED_SIZE - 1) / 2) / half_width
        start[np.hypot(across, (rows - down) / half_height) < 1] = label
    made = []
    for face in faces:
        labels, bgr = start.copy(), np.ascontiguousarray(face[..., ::-1])
        inner, outer = np.zeros((1, 65)), np.zeros((1, 65))
        cv2.setRNGSeed(0)
        cv2.grabCut(bgr, labels, (0, 0, 0, 0), inner, outer, _ROUNDS, cv2.GC_INIT_WITH_MASK)
        head = np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.float32)
        alpha = cv2.GaussianBlur(head, (0, 0), _EDGE)
        made.append(np.dstack([face.astype(np.float32), alpha]).astype(np.float32))
    return made


def _background(photograph: Rgb) -> Rgb:
    """The photograph, large enough to pan over."""
    wanted = (WIDTH * FINE + 14 * FINE, HEIGHT * FINE + 8 * FINE)
    ratio = max(wanted[0] / photograph.shape[1], wanted[1] / photograph.shape[0])
    large = cv2.resize(photograph, None, fx=ratio, fy=ratio, interpolation=cv2.INTER_CUBIC)
    return np.ascontiguousarray(large[: wanted[1], : wanted[0]], np.uint8)


def _finely(to_film: NDArray[np.float64]) -> NDArray[np.float64]:
    """From an aligned face of 160 px to the finely drawn picture."""
    along, to = to_film[:, :2] * FINE, to_film[:, 2] * FINE + (FINE - 1) / 2
    return np.column_stack((along, to - along @ np.array([MARGIN, MARGIN])))


def _put(picture: Rgb, cut_out: Float32, to_picture: NDArray[np.float64]) -> None:
    """Lay a cut-out over the picture, smoothed before it shrinks."""
    edge = ALIGNED_SIZE - 0.5
    corners = np.array([[-0.5, -0.5, 1], [edge, -0.5, 1], [-0.5, edge, 1], [edge, edge, 1]])
    points = corners @ to_picture.T
    height, width = picture.shape[:2]
    x0, y0 = np.clip(np.floor(points.min(0)).astype(int), 0, [width, height])
    x1, y1 = np.clip(np.ceil(points.max(0)).astype(int) + 1, 0, [width, height])
    if x0 >= x1 or y0 >= y1:
        return
    ratio = float(np.hypot(*to_picture[:, 0]))
    if ratio < 1:
        sigma = 0.45 * float(np.sqrt(1 / ratio**2 - 1)) + 0.1
        cut_out = np.asarray(cv2.GaussianBlur(cut_out, (0, 0), sigma), np.float32)
    into = to_picture - np.array([[0, 0, x0], [0, 0, y0]])
    size = (int(x1 - x0), int(y1 - y0))
    laid = cv2.warpAffine(cut_out, into, size, flags=cv2.INTER_CUBIC)
    alpha = np.clip(laid[..., 3:], 0, 1)
    under = picture[y0:y1, x0:x1]
    mixed = alpha * np.clip(laid[..., :3], 0, 255) + (1 - alpha) * under
    picture[y0:y1, x0:x1] = (mixed + 0.5).astype(np.uint8)


def _box(to_film: NDArray[np.float64]) -> NDArray[np.float64]:
    """(4,) upright box of the film's px around a face, as the detector draws it."""
    middle = to_film @ np.array([(BOX[0] + BOX[2]) / 2, (BOX[1] + BOX[3]) / 2, 1])
    half = (BOX[2:] - BOX[:2]) / 2 * np.hypot(*to_film[:, 0])
    return np.concatenate((middle - half, middle + half))


def _pixels(box: NDArray[np.float64]) -> tuple[slice, slice]:
    """The pixels of the film that the box covers."""
    x0, y0, x1, y1 = np.rint(box + 0.5).astype(int)
    return slice(max(y0, 0), max(y1, 0)), slice(max(x0, 0), max(x1, 0))
