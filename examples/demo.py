"""Make a short video of tiny faces from a photograph, enhance it, and show before and after.

    python examples/demo.py FOLDER

The photograph is NASA's portrait of Eileen Collins (public domain), which scikit-image ships. The
camera pans and zooms over it, noise is added, H.264 compresses it, and a tone is the sound.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray
from skimage import data

from facepipe import Settings
from facepipe.presentation.document_views import document_info, document_views
from facepipe.presentation.documents import read_document

WIDTH, HEIGHT, FRAMES, RATE, SCALE = 320, 180, 90, 30, 4
SOUND_RATE = 48000


def main(folder: Path) -> None:
    """Make `folder`/low.mp4, enhance it to enhanced.mp4 and draw before-after.png."""
    folder.mkdir(parents=True, exist_ok=True)
    low, enhanced = folder / "low.mp4", folder / "enhanced.mp4"
    make_video(low)
    print(f"made {low}: {FRAMES} frames of {WIDTH}x{HEIGHT}, three small faces", flush=True)
    facepipe = typed_command(Path(sys.executable), Path.cwd())
    options = ["run", str(low), "-o", str(enhanced), "--scale", str(SCALE)]
    print(f"$ {facepipe} {' '.join(options)}", flush=True)
    subprocess.run([sys.executable, "-m", "facepipe", *options, "--overwrite"], check=True)
    sheet = folder / "before-after.png"
    cv2.imwrite(str(sheet), before_after(enhanced))
    print(f"\nLook at {sheet}: faces before (above) and after (below)")
    print(f"Play    {low} and {enhanced}\nRead    {enhanced}.facepipe.json")
    print(f"\nNow your own video:\n{facepipe} run your-video.mp4 -o clear.mp4")


def typed_command(python: Path, here: Path) -> str:
    """The command `facepipe` of a Python as it must be typed in the folder `here`."""
    script = shutil.which("facepipe", path=str(python.parent))
    if script is None:
        return f"{python} -m facepipe"
    if script == shutil.which("facepipe"):
        return "facepipe"
    path = Path(script).with_suffix("")
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def make_video(path: Path) -> None:
    """Write the small video: camera motion, three faces of about 15 to 22 px, noise, a tone."""
    rng = np.random.default_rng(7)
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=RATE, options={"crf": "22", "preset": "fast"})
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        sound = container.add_stream("aac", rate=SOUND_RATE, layout="mono")
        for number in range(FRAMES):
            image = view(number / RATE) + rng.normal(0, 2.0, (HEIGHT, WIDTH, 3))
            pixels = np.clip(image + 0.5, 0, 255).astype(np.uint8)
            container.mux(video.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
            container.mux(sound.encode(tone(number)))
        container.mux(video.encode(None))
        container.mux(sound.encode(None))


def view(seconds: float) -> NDArray[np.float32]:
    """What the camera sees: the portrait three times on a wall, near, nearer and mirrored."""
    portrait = data.astronaut()[:330, 60:390].astype(np.float32)
    wall = np.full((HEIGHT * 4, WIDTH * 4, 3), (96, 104, 112), np.float32)
    wall += np.linspace(-30, 30, WIDTH * 4, dtype=np.float32)[None, :, None]
    for left, top, height, mirrored in (
        (120, 230, 250, False),
        (520, 200, 300, True),
        (960, 260, 210, False),
    ):
        image = portrait[:, ::-1] if mirrored else portrait
        small = cv2.resize(image, (height, height), interpolation=cv2.INTER_AREA)
        wall[top : top + height, left : left + height] = small
    zoom = 0.25 * (1 + 0.06 * np.sin(seconds * 1.7))
    pan = np.array([6 * np.sin(seconds * 1.1), 4 * np.sin(seconds * 1.9)])
    turn = cv2.getRotationMatrix2D((WIDTH * 2, HEIGHT * 2), 1.5 * np.sin(seconds), zoom)
    turn[:, 2] += np.array([WIDTH / 2, HEIGHT / 2]) - (WIDTH * 2, HEIGHT * 2) + pan
    blurred = cv2.GaussianBlur(wall, (0, 0), 0.45 / zoom)
    return cv2.warpAffine(blurred, turn, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR)


def tone(number: int) -> av.AudioFrame:
    """One video frame's worth of a quiet 440 Hz tone."""
    count = SOUND_RATE // RATE
    at = (np.arange(count) + number * count) / SOUND_RATE
    wave = (0.05 * np.sin(2 * np.pi * 440 * at)).astype(np.float32)[None]
    frame = av.AudioFrame.from_ndarray(wave, format="fltp", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = (
        SOUND_RATE,
        number * count,
        Fraction(1, SOUND_RATE),
    )
    return frame


def before_after(enhanced: Path) -> NDArray[np.uint8]:
    """BGR: each face at its best moment, in the small video (above) and in ours (below)."""
    document, settings = read_document(enhanced), Settings(workers=1)
    info = document_info(document, settings.limits)
    faces = document_views(document, info, document.tracks, settings, None, times=1, side=300)
    shown = [face for face in faces if face.after]
    rows = [[face.before for face in shown], [face.after[0] for face in shown]]
    sheet = np.concatenate([np.concatenate(row, axis=1) for row in rows])
    return sheet[..., ::-1]


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo"))
