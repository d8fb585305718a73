"""Synthetic crowd with ground truth: aligned faces move before a photograph, past a pillar.

Everything is drawn from the seed, so a scene is the same on every machine. facepipe gets a small,
noisy, coded video of it; the scene itself is the ground truth.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from facepipe.datatypes import Float32
from facepipe.evaluation.clips import Rgb, downscale
from facepipe.training.face_archive import ALIGNED_SIZE, MARGIN

WIDTH, HEIGHT = 480, 270
#: Supersampling: a scene is drawn so many times as large as the video, and then downscaled.
SUPERSAMPLING = 4
#: The box of a face on its canvas by the detector (median of 125 aligned faces), px.
BOX = np.array([28.3, 23.4, 98.9, 117.1])
BOX_SIZE = float(np.sqrt(np.prod(BOX[2:] - BOX[:2])))
#: Least visible share of a face that counts as visible.
VISIBLE_SHARE = 0.6
_PILLAR = (0.62, 0.66)  # of the width
_EDGE_SIGMA = 2.0  # px of an aligned face: blur of the edge of a head
_GRABCUT_ITERATIONS = 3
#: Ellipses about the middle of an aligned face that initialise GrabCut: label, centre from the top,
#: and half width and height, px; each is drawn over the one before.
_OVALS = (
    (cv2.GC_PR_BGD, 84, 66, 84),
    (cv2.GC_PR_FGD, 84, 52, 66),
    (cv2.GC_FGD, 86, 36, 46),
)


@dataclass(frozen=True)
class CrowdSettings:
    """Parameters of a scene: sizes of faces in video px, motion as a multiple of the usual."""

    faces: int = 12
    frames: int = 150
    rate: int = 25
    sizes: tuple[float, float] = (10.0, 44.0)
    motion: float = 1.0
    noise: float = 2.0  # sigma, code values
    crf: int = 26
    seed: int = 0


@dataclass(frozen=True, eq=False)
class GroundTruth:
    """The N faces of a frame: identities, places, and the visible share of each.

    `to_frame` (N, 2, 3) maps a canvas to the frame; `boxes` (N, 4); `visibility` (N,) in [0, 1].
    """

    identities: NDArray[np.intp]
    to_frame: NDArray[np.float64]
    boxes: NDArray[np.float32]
    visibility: NDArray[np.float64]

    @property
    def visible(self) -> NDArray[np.bool_]:
        """(N,) whether each face counts as visible."""
        return self.visibility >= VISIBLE_SHARE


@dataclass(frozen=True, eq=False)
class _Person:
    """A cut-out face (160, 160, 4), and its path: from its canvas to each frame (T, 2, 3)."""

    image: Float32
    path: NDArray[np.float64]


class Crowd:
    """Two shots of faces that walk, sway and occlude each other."""

    def __init__(
        self, faces: Sequence[Rgb], backgrounds: Sequence[Rgb], settings: CrowdSettings
    ) -> None:
        """`faces` are aligned (160, 160, 3), `backgrounds` images of any size, at least one.

        Both are repeated where the settings ask for more.
        """
        self.settings = settings
        rng = np.random.default_rng(settings.seed)
        cut_outs = _cut_outs(faces)
        self._shots = [
            [
                _Person(
                    cut_outs[(shot * settings.faces + k) % len(faces)],
                    _motion_path(rng, settings, length),
                )
                for k in range(settings.faces)
            ]
            for shot, length in enumerate(self._lengths())
        ]
        self._backgrounds = [_background(backgrounds[k % len(backgrounds)]) for k in range(2)]

    def _lengths(self) -> tuple[int, int]:
        first = self.settings.frames // 2
        return first, self.settings.frames - first

    def _shot_of(self, number: int) -> tuple[int, int]:
        first = self._lengths()[0]
        return (0, number) if number < first else (1, number - first)

    def draw(self, number: int, scale: int) -> Rgb:
        """(HEIGHT * scale, WIDTH * scale, 3): frame `number` without noise; `scale` 1, 2 or 4."""
        shot, index = self._shot_of(number)
        image = self._background_at(shot, index)
        for person in self._far_to_near(shot, index):
            _composite(image, person.image, _to_fine(person.path[index]))
        left, right = (round(share * WIDTH * SUPERSAMPLING) for share in _PILLAR)
        image[:, left:right] = (84, 80, 76)
        return downscale(image, (WIDTH * scale, HEIGHT * scale)) if scale < SUPERSAMPLING else image

    def noisy_frames(self) -> Iterator[Rgb]:
        """The frames (HEIGHT, WIDTH, 3) with sensor noise, before coding."""
        for number in range(self.settings.frames):
            rng = np.random.default_rng([self.settings.seed, number])
            image = self.draw(number, 1)
            noise = self.settings.noise * rng.standard_normal(image.shape, np.float32)
            yield np.clip(image + noise + 0.5, 0, 255).astype(np.uint8)

    def ground_truth(self, number: int) -> GroundTruth:
        """Ground truth of the faces of frame `number`."""
        shot, index = self._shot_of(number)
        people = self._shots[shot]
        far_to_near = self._far_to_near(shot, index)
        nearest = np.full((HEIGHT, WIDTH), -1, np.intp)
        boxes = [_box(person.path[index]) for person in people]
        pixels = [_pixels(box) for box in boxes]
        for person in far_to_near:
            place = people.index(person)
            nearest[pixels[place]] = place
        nearest[:, round(_PILLAR[0] * WIDTH) : round(_PILLAR[1] * WIDTH)] = -1
        visible_share = [
            (nearest[pixels[k]] == k).sum() / max(np.prod(box[2:] - box[:2]), 1e-6)
            for k, box in enumerate(boxes)
        ]
        return GroundTruth(
            np.arange(len(people)) + shot * self.settings.faces,
            np.stack([person.path[index] for person in people]),
            np.array(boxes, np.float32),
            np.array(visible_share, np.float64),
        )

    def _far_to_near(self, shot: int, index: int) -> list[_Person]:
        return sorted(
            self._shots[shot], key=lambda person: float(np.hypot(*person.path[index][:, 0]))
        )

    def _background_at(self, shot: int, index: int) -> Rgb:
        """The background, which drifts by fractions of a pixel."""
        background = self._backgrounds[shot]
        shift = 6 * SUPERSAMPLING * (1 + np.sin(index / 40))
        to_whole = np.array([[1.0, 0, shift], [0, 1, shift / 2]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        size = (WIDTH * SUPERSAMPLING, HEIGHT * SUPERSAMPLING)
        return np.asarray(cv2.warpAffine(background, to_whole, size, flags=flags), np.uint8)


def _motion_path(
    rng: np.random.Generator, settings: CrowdSettings, frames: int
) -> NDArray[np.float64]:
    """The path (frames, 2, 3) of one face that walks, sways, nods and grows."""
    seconds = np.arange(frames) / settings.rate
    size = float(np.exp(rng.uniform(*np.log(settings.sizes))))

    def wave(height: float, period: tuple[float, float]) -> NDArray[np.float64]:
        turns = rng.uniform(0, 1) + seconds / rng.uniform(*period)
        return settings.motion * height * np.sin(2 * np.pi * turns)

    scale = size / BOX_SIZE * np.exp(wave(0.06, (3, 8)))
    roll = np.radians(rng.uniform(-6, 6) + wave(5, (2, 5)))
    walk = settings.motion * rng.uniform(-1.2, 1.2) * size
    across = rng.uniform(0.08, 0.92) * WIDTH + walk * (seconds - seconds[-1] / 2)
    across = across + wave(0.15 * size, (1, 3))
    down = rng.uniform(0.15, 0.85) * HEIGHT + wave(0.08 * size, (0.5, 1.2))
    along = scale * np.exp(1j * roll)
    middle = complex((BOX[0] + BOX[2]) / 2, (BOX[1] + BOX[3]) / 2)
    to = across + 1j * down - along * middle
    rows = np.stack((along.real, -along.imag, to.real, along.imag, along.real, to.imag), 1)
    return rows.reshape(-1, 2, 3)


def _cut_outs(faces: Sequence[Rgb]) -> list[Float32]:
    """Cut heads out by their colours: faces with alpha (160, 160, 4).

    GrabCut (Rother, Kolmogorov and Blake 2004), initialised with ellipses. It uses no network of
    facepipe, so the scene stays the same when those change.
    """
    rows, columns = np.mgrid[:ALIGNED_SIZE, :ALIGNED_SIZE].astype(np.float32)
    start = np.full((ALIGNED_SIZE, ALIGNED_SIZE), cv2.GC_BGD, np.uint8)
    for label, down, half_width, half_height in _OVALS:
        across = (columns - (ALIGNED_SIZE - 1) / 2) / half_width
        start[np.hypot(across, (rows - down) / half_height) < 1] = label
    cut_outs = []
    for face in faces:
        labels, bgr = start.copy(), np.ascontiguousarray(face[..., ::-1])
        inner, outer = np.zeros((1, 65)), np.zeros((1, 65))
        cv2.setRNGSeed(0)
        cv2.grabCut(
            bgr, labels, (0, 0, 0, 0), inner, outer, _GRABCUT_ITERATIONS, cv2.GC_INIT_WITH_MASK
        )
        head = np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.float32)
        alpha = cv2.GaussianBlur(head, (0, 0), _EDGE_SIGMA)
        cut_outs.append(np.dstack([face.astype(np.float32), alpha]).astype(np.float32))
    return cut_outs


def _background(photograph: Rgb) -> Rgb:
    """Scale the photograph so that it is large enough to pan over."""
    wanted = (
        WIDTH * SUPERSAMPLING + 14 * SUPERSAMPLING,
        HEIGHT * SUPERSAMPLING + 8 * SUPERSAMPLING,
    )
    ratio = max(wanted[0] / photograph.shape[1], wanted[1] / photograph.shape[0])
    large = cv2.resize(photograph, None, fx=ratio, fy=ratio, interpolation=cv2.INTER_CUBIC)
    return np.ascontiguousarray(large[: wanted[1], : wanted[0]], np.uint8)


def _to_fine(to_frame: NDArray[np.float64]) -> NDArray[np.float64]:
    """The map from an aligned face of 160 px to the supersampled image."""
    along, to = (
        to_frame[:, :2] * SUPERSAMPLING,
        to_frame[:, 2] * SUPERSAMPLING + (SUPERSAMPLING - 1) / 2,
    )
    return np.column_stack((along, to - along @ np.array([MARGIN, MARGIN])))


def _composite(image: Rgb, cut_out: Float32, to_image: NDArray[np.float64]) -> None:
    """Composite a cut-out onto the image, blurred against aliasing where it shrinks."""
    edge = ALIGNED_SIZE - 0.5
    corners = np.array([[-0.5, -0.5, 1], [edge, -0.5, 1], [-0.5, edge, 1], [edge, edge, 1]])
    points = corners @ to_image.T
    height, width = image.shape[:2]
    x0, y0 = np.clip(np.floor(points.min(0)).astype(int), 0, [width, height])
    x1, y1 = np.clip(np.ceil(points.max(0)).astype(int) + 1, 0, [width, height])
    if x0 >= x1 or y0 >= y1:
        return
    ratio = float(np.hypot(*to_image[:, 0]))
    if ratio < 1:
        sigma = 0.45 * float(np.sqrt(1 / ratio**2 - 1)) + 0.1
        cut_out = np.asarray(cv2.GaussianBlur(cut_out, (0, 0), sigma), np.float32)
    into = to_image - np.array([[0, 0, x0], [0, 0, y0]])
    size = (int(x1 - x0), int(y1 - y0))
    warped = cv2.warpAffine(cut_out, into, size, flags=cv2.INTER_CUBIC)
    alpha = np.clip(warped[..., 3:], 0, 1)
    background = image[y0:y1, x0:x1]
    mixed = alpha * np.clip(warped[..., :3], 0, 255) + (1 - alpha) * background
    image[y0:y1, x0:x1] = (mixed + 0.5).astype(np.uint8)


def _box(to_frame: NDArray[np.float64]) -> NDArray[np.float64]:
    """The upright box (4,) of a face in the frame, as the detector would give it."""
    middle = to_frame @ np.array([(BOX[0] + BOX[2]) / 2, (BOX[1] + BOX[3]) / 2, 1])
    half = (BOX[2:] - BOX[:2]) / 2 * np.hypot(*to_frame[:, 0])
    return np.concatenate((middle - half, middle + half))


def _pixels(box: NDArray[np.float64]) -> tuple[slice, slice]:
    """The pixels of the frame that the box covers."""
    x0, y0, x1, y1 = np.rint(box + 0.5).astype(int)
    return slice(max(y0, 0), max(y1, 0)), slice(max(x0, 0), max(x1, 0))
