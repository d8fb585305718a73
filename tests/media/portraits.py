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


def poster() -> NDArray[np.uint8]:
    """RGB (280, 280, 3): a drawn face on a poster; detectors take it for a face."""
    image = np.full((280, 280, 3), (150, 140, 120), np.uint8)
    line, fill = cv2.LINE_AA, -1
    cv2.ellipse(image, (140, 145), (85, 110), 0, 0, 360, (205, 170, 140), fill, line)
    for x in (105, 175):
        cv2.ellipse(image, (x, 125), (18, 9), 0, 0, 360, (240, 240, 240), fill, line)
        cv2.circle(image, (x, 125), 8, (60, 40, 30), fill, line)
        cv2.ellipse(image, (x, 102), (24, 8), 0, 180, 360, (80, 60, 50), 5, line)
    cv2.line(image, (140, 130), (133, 165), (160, 120, 100), 4, line)
    cv2.ellipse(image, (140, 170), (14, 5), 0, 0, 180, (150, 110, 90), 3, line)
    cv2.ellipse(image, (140, 200), (32, 12), 0, 0, 180, (150, 70, 70), 6, line)
    cv2.ellipse(image, (140, 60), (90, 50), 0, 170, 370, (70, 50, 40), fill, line)
    return image


def wall_of(number: int, *heads: tuple[int, int, int, NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """RGB (180, 320, 3): frame `number` of heads on a wall, soft and with a little noise.

    Each is its left and upper edge, its side, in quarters of a px, and its image.
    """
    wall = np.full((720, 1280, 3), (110, 120, 130), np.uint8)
    for left, top, side, head in heads:
        wall[top : top + side, left : left + side] = cv2.resize(
            head, (side, side), interpolation=cv2.INTER_AREA
        )
    shift = np.array([[1, 0, -2.0 * number], [0, 1, 6 * np.sin(number / 5)]])
    moved = cv2.warpAffine(wall, shift, (1280, 720), borderMode=cv2.BORDER_REPLICATE)
    small = cv2.resize(moved, (320, 180), interpolation=cv2.INTER_AREA)
    noise = np.random.default_rng(number).normal(0, 2, small.shape)
    soft = cv2.GaussianBlur(small, (0, 0), 0.5)
    return np.asarray(np.clip(soft + noise + 0.5, 0, 255), np.uint8)


def poster_video(path: Path, **how: object) -> Path:
    """A face of about 20 px and a false one, a drawn face on a poster, for 40 frames."""

    def drawn(number: int) -> NDArray[np.uint8]:
        return wall_of(number, (200, 230, 260, portrait()), (760, 190, 250, poster()))

    settings = {"pictures": drawn, "size": (320, 180), "options": {"g": "10", "crf": "22"}}
    return video(path, **(settings | how))


def group_video(path: Path, **how: object) -> Path:
    """Four faces of about 7, 10, 15 and 24 px, for 40 frames."""

    def drawn(number: int) -> NDArray[np.uint8]:
        places = ((150, 330, 88), (340, 300, 126), (580, 260, 190), (870, 180, 303))
        return wall_of(number, *((*place, portrait()) for place in places))

    settings = {"pictures": drawn, "size": (320, 180), "options": {"g": "10", "crf": "20"}}
    return video(path, **(settings | how))


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
