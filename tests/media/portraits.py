"""Videos of real faces: scikit-image's public-domain portrait, moved over a plain wall."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage import data

from media.synthetic import video as write_video

WIDTH, HEIGHT = 240, 136


def portrait() -> NDArray[np.uint8]:
    """RGB (300, 300, 3): head and shoulders; the face is about 95 px wide."""
    return np.ascontiguousarray(data.astronaut()[:300, 75:375])  # type: ignore[no-untyped-call]


def scene(number: int, scale: int = 1) -> NDArray[np.uint8]:
    """RGB (136, 240, 3) times `scale`: frame `number` of the video."""
    wall = np.full((HEIGHT * 4, WIDTH * 4, 3), (110, 120, 130), np.uint8)
    for left, top, side, mirrored in ((80, 120, 400, False), (560, 160, 300, True)):
        head = portrait()[:, ::-1] if mirrored else portrait()
        wall[top : top + side, left : left + side] = cv2.resize(
            head, (side, side), interpolation=cv2.INTER_CUBIC
        )
    shift = np.array([[1, 0, -2.4 * number], [0, 1, 6 * np.sin(number / 5)]])
    moved = cv2.warpAffine(wall, shift, wall.shape[1::-1], borderMode=cv2.BORDER_REPLICATE)
    size = (WIDTH * scale, HEIGHT * scale)
    return cv2.resize(moved, size, interpolation=cv2.INTER_AREA).astype(np.uint8)


def video(path: Path, **how: object) -> Path:
    """40 frames at 25 a second, keyframes every 10, with a tone; `how` as synthetic.video."""
    settings: dict[str, object] = {
        "frames": 40,
        "size": (WIDTH, HEIGHT),
        "options": {"g": "10", "crf": "16"},
        "audio": 1,
        "pictures": scene,
    }
    return write_video(path, **(settings | how))  # type: ignore[arg-type]


def visit(path: Path, **how: object) -> Path:
    """The video's wall for 50 frames, the two faces for 30, and the wall for 50 again."""

    def drawn(number: int) -> NDArray[np.uint8]:
        if 50 <= number < 80:
            return scene(number - 50)
        return np.full((HEIGHT, WIDTH, 3), (110, 120, 130), np.uint8) + np.uint8(number % 3)

    return video(path, frames=130, pictures=drawn, **how)


def ten_bit_video(path: Path) -> Path:
    """The video in 10 bit."""
    return video(path, pix_fmt="yuv420p10le")


def hdr_video(path: Path) -> Path:
    """The video as HDR10: HEVC of 10 bit, PQ, with mastering display and content light level."""
    display = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"
    params = f"master-display={display}:max-cll=1000,400:log-level=none:pools=1"
    options = {"x265-params": params, "crf": "10", "preset": "ultrafast"}
    return video(
        path, codec="libx265", pix_fmt="yuv420p10le", colour=(1, 9, 9, 16), options=options
    )


def rotated_video(path: Path) -> Path:
    """The video lying on its side in the file, with a display matrix that rights it."""

    def lying(number: int) -> NDArray[np.uint8]:
        # A display rotation of 90 degrees turns the coded picture counter-clockwise.
        return np.ascontiguousarray(np.rot90(scene(number), -1))

    return video(path, pictures=lying, size=(HEIGHT, WIDTH), rotation=90)


def turned_video(path: Path, *, turns: int, **how: object) -> Path:
    """The video turned clockwise by so many quarters, and nothing that says so."""

    def turned(number: int) -> NDArray[np.uint8]:
        return np.ascontiguousarray(np.rot90(scene(number), -turns))

    size = (HEIGHT, WIDTH) if turns % 2 else (WIDTH, HEIGHT)
    return video(path, pictures=turned, size=size, **how)
