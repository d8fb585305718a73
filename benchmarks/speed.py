"""Whole-process time of `facepipe run` beside another program on the same clips, in one run.

    python benchmarks/speed.py CLIP... --rival deface

The rival is a command that takes `CLIP -o TARGET`. Runs alternate; the best of each counts.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import av


def main() -> None:
    """Parse the arguments, time both programs on every clip, print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--rival", default="deface")
    parser.add_argument("--repeat", type=int, default=2)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    rows = []
    print(f"{'clip':45} {'frames':>6} {'ours s':>8} {'rival s':>8} {'ratio':>6} {'kept':>10}")
    for clip in chosen.clips:
        with tempfile.TemporaryDirectory() as folder:
            ours_target, rival_target = Path(folder) / "ours.mp4", Path(folder) / "rival.mp4"
            facepipe = [sys.executable, "-m", "facepipe", "run", str(clip)]
            ours, rival = [], []
            for _ in range(chosen.repeat):
                ours.append(seconds([*facepipe, "-o", str(ours_target), "--overwrite", "--quiet"]))
                rival.append(seconds([chosen.rival, str(clip), "-o", str(rival_target)]))
            row = {
                "clip": clip.name,
                "frames": frames(clip),
                "ours_frames": frames(ours_target),
                "rival_frames": frames(rival_target),
                "ours_seconds": min(ours),
                "rival_seconds": min(rival),
                "ratio": min(rival) / min(ours),
            }
        rows.append(row)
        print(
            f"{row['clip']:45} {row['frames']:6} {row['ours_seconds']:8.1f} "
            f"{row['rival_seconds']:8.1f} {row['ratio']:6.2f} "
            f"{row['ours_frames']:4} / {row['rival_frames']}",
            flush=True,
        )
    if chosen.json:
        chosen.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def seconds(command: list[str]) -> float:
    """Wall time of a command that must succeed."""
    began = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.monotonic() - began


def frames(path: Path) -> int:
    """Frames that decode."""
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


if __name__ == "__main__":
    main()
