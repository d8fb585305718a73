"""A folder of videos and images in which a portrait moves and changes its size."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from facepipe.evaluation.clips import write_video
from media.portraits import portrait

SIZE = (320, 180)


def write_batch(folder: Path, *, videos: int, images: int, frames: int) -> None:
    """Write `videos` of so many frames at 25 a second, and `images` in a folder of their own."""
    rng = np.random.default_rng(0)
    (folder / "images").mkdir(parents=True)
    for number in range(videos):
        side = int(rng.integers(70, 130))
        shots = (_scene(0.4 * k, side) for k in range(frames))
        write_video(shots, folder / f"video{number}.mp4", rate=Fraction(25), crf=20)
    for number in range(images):
        rgb = _scene(float(rng.uniform(0, 90)), int(rng.integers(50, 140)))
        suffix = (".jpg", ".png", ".webp")[number % 3]
        cv2.imwrite(str(folder / "images" / f"{number:04}{suffix}"), rgb[..., ::-1])


def _scene(shift: float, side: int) -> NDArray[np.uint8]:
    """RGB (180, 320, 3): the portrait, `side` px wide, moved by `shift` px over a plain wall."""
    wall = np.full((SIZE[1], SIZE[0], 3), (110, 120, 130), np.uint8)
    move = np.array([[side / 300, 0, 60 + shift], [0, side / 300, 20 + shift / 3]])
    return np.asarray(
        cv2.warpAffine(portrait(), move, SIZE, dst=wall, borderMode=cv2.BORDER_TRANSPARENT)
    )
