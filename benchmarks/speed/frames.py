"""Time and memory of `FaceEnhancer` beside `facepipe run`, one process each, on the same video.

    python benchmarks/speed/frames.py --frames 100 1000

The videos are of 1280x720 px and made from a photograph that scikit-image ships, with four faces in
every frame. The command writes FFV1; the others read the same file with PyAV and drop what comes
out. Seconds of processor time are those of all threads. The digest is of all pixels that come out.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray
from skimage import data

from facepipe import FaceEnhancer

WIDTH, HEIGHT, RATE = 1280, 720, 25
WAYS = ("command", "images", "arrays", "once", "live")


def main() -> None:
    """Make the videos, go through each in every way, print what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, nargs="+", default=[100, 1000])
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=["command", "images", "arrays"])
    parser.add_argument("--measure", nargs=2, metavar=("WAY", "VIDEO"), help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.measure:
        print(measured(chosen.measure[0], Path(chosen.measure[1])))
        return
    for frames in chosen.frames:
        with tempfile.TemporaryDirectory() as folder:
            video = Path(folder) / "video.mp4"
            make_video(video, frames)
            for way in chosen.ways:
                report(way, video, frames)


def report(way: str, video: Path, frames: int) -> None:
    """Go through the video in a process of its own, and print a line."""
    command = [sys.executable, __file__, "--measure", way, str(video)]
    target = video.with_suffix(".mkv")
    if way == "command":
        command = [sys.executable, "-m", "facepipe", "run", str(video), "-o", str(target)]
        command += ["--codec", "ffv1", "--workers", "1", "--quiet"]
    began = time.monotonic()
    running = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert running.stdout is not None
    said = running.stdout.read().strip()
    _, status, used = os.wait4(running.pid, 0)
    if status:
        sys.exit(f"{way} ended with {status}")
    digest = said if way != "command" else digest_of(images(target))
    print(
        f"{way:8} {frames:5} frames: {used.ru_utime + used.ru_stime:6.1f} s of processor, "
        f"{time.monotonic() - began:6.1f} s, peak {used.ru_maxrss / 1024:5.0f} MiB, {digest}",
        flush=True,
    )


def measured(way: str, video: Path) -> str:
    """Enhance a video's frames in this process; the digest of what comes out."""
    cv2.setNumThreads(1)  # as the command's one worker
    with FaceEnhancer(rate=RATE) as enhancer:
        if way == "images":
            return digest_of(enhancer.enhance(lambda: images(video)))
        if way == "once":
            return digest_of(enhancer.enhance(images(video)))
        if way == "live":
            return digest_of(enhancer.live(images(video)))
        return digest_of(enhancer.enhance(lambda: arrays(video)))


def images(video: Path) -> Iterator[av.VideoFrame]:
    """The frames of a video as they decode."""
    with av.open(str(video)) as container:
        yield from container.decode(video=0)


def arrays(video: Path) -> Iterator[NDArray[np.uint8]]:
    """The frames of a video as arrays of RGB."""
    return (image.to_ndarray(format="rgb24") for image in images(video))


def digest_of(frames: Iterator[av.VideoFrame | NDArray[np.uint8]]) -> str:
    """A digest of all pixels."""
    digest = hashlib.md5()
    for frame in frames:
        digest.update(frame.to_ndarray() if isinstance(frame, av.VideoFrame) else frame)
    return digest.hexdigest()[:8]


def make_video(path: Path, frames: int) -> None:
    """Write a video in which four small faces move."""
    place: Callable[[float, float], int] = lambda middle, phase: int(middle + 40 * np.sin(phase))  # noqa: E731
    heads = [
        cv2.resize(data.astronaut()[:300, 75:375], (side, side), interpolation=cv2.INTER_AREA)
        for side in (110, 140, 170, 200)
    ]
    with av.open(str(path), "w") as container:
        options = {"preset": "ultrafast", "crf": "18", "g": "50"}
        stream = container.add_stream("libx264", rate=RATE, options=options)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number in range(frames):
            image = np.full((HEIGHT, WIDTH, 3), 110, np.uint8)
            for k, head in enumerate(heads):
                x, y = place(80 + 300 * k, number / 30 + k), place(260, number / 40 + k)
                image[y : y + len(head), x : x + len(head)] = head
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))


if __name__ == "__main__":
    main()
