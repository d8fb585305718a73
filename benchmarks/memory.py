"""Peak memory of `facepipe run` over one minute of film and over ten: it must not grow.

    python benchmarks/memory.py

The films are made on the fly from a photograph that scikit-image ships: faces all the way.
Resident memory of the process and all its workers is summed every 50 ms (Linux only).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import av
import cv2
import numpy as np
from skimage import data

WIDTH, HEIGHT, RATE = 480, 270, 25


def main() -> None:
    """Make both films, run facepipe on each, print the peaks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=int, nargs="+", default=[1, 10])
    chosen = parser.parse_args()
    for minutes in chosen.minutes:
        with tempfile.TemporaryDirectory() as folder:
            film, target = Path(folder) / "film.mp4", Path(folder) / "out.mp4"
            make_film(film, minutes * 60 * RATE)
            command = [
                sys.executable,
                "-m",
                "facepipe",
                "run",
                str(film),
                "-o",
                str(target),
            ]
            peak, took = peak_megabytes([*command, "--preset", "ultrafast", "--quiet"])
            print(f"{minutes:3} min: peak {peak:6.0f} MB, {took:6.1f} s", flush=True)


def make_film(path: Path, frames: int) -> None:
    """A film in which a small face moves about."""
    small = cv2.resize(data.astronaut()[:300, 75:375], (90, 90), interpolation=cv2.INTER_AREA)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(
            "libx264", rate=RATE, options={"preset": "ultrafast", "crf": "23", "g": "100"}
        )
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number in range(frames):
            picture = np.full((HEIGHT, WIDTH, 3), 110, np.uint8)
            x = int(190 + 120 * np.sin(number / 30))
            y = int(90 + 60 * np.cos(number / 40))
            picture[y : y + 90, x : x + 90] = small
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))


def peak_megabytes(command: list[str]) -> tuple[float, float]:
    """Highest sum of resident memory of a command and its children, and the seconds it took."""
    began = time.monotonic()
    running = subprocess.Popen(command)
    peak = 0.0
    while running.poll() is None:
        peak = max(peak, sum(resident(pid) for pid in family(running.pid)))
        time.sleep(0.05)
    if running.returncode:
        sys.exit(f"facepipe ended with {running.returncode}")
    return peak / 2**20, time.monotonic() - began


def family(pid: int) -> list[int]:
    """A process and all that it started, directly or not."""
    found = [pid]
    for parent in found:
        for task in Path(f"/proc/{parent}/task").glob("*/children"):
            try:
                found += [int(child) for child in task.read_text().split()]
            except OSError:
                continue
    return found


def resident(pid: int) -> int:
    """Bytes of memory that are this process's share (PSS), 0 when it has ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:"))


if __name__ == "__main__":
    main()
