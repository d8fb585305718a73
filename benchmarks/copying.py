"""What copying saves: a film enhanced with --copy and with --no-copy.

    python benchmarks/copying.py CLIP [CLIP ...] [--rounds 2]

Prints for each clip how much is copied, whether the copied packets are the source's bit for bit,
whether the result plays to its end (in PyAV, and in the ffmpeg program where there is one), and the
ratio of seconds of whole runs of the command, the better of the rounds.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import av

from facepipe.pipeline.sidecar import sidecar_path
from facepipe.video import probe


def packets(path: Path) -> dict[int, bytes]:
    """Each packet of the film's video by its pts."""
    with av.open(str(path)) as film:
        stream = film.streams[probe(path).stream_index]
        return {p.pts: bytes(p) for p in film.demux(stream) if p.size and p.pts is not None}


def plays(path: Path, frames: int) -> bool:
    """Whether all frames decode, without a word of the ffmpeg program."""
    with av.open(str(path)) as film:
        if sum(1 for _ in film.decode(video=0)) != frames:
            return False
    program = shutil.which("ffmpeg")
    if program is None:
        return True
    asked = [program, "-v", "warning", "-xerror", "-i", str(path), "-map", "0:v", "-f", "null", "-"]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    words = [w for w in done.stderr.splitlines() if "deprecated pixel format" not in w]
    return done.returncode == 0 and not words


def timed(*arguments: str) -> float:
    """Seconds of one run of the command."""
    began = time.monotonic()
    command = [
        sys.executable,
        "-m",
        "facepipe",
        "run",
        *arguments,
        "--quiet",
        "--overwrite",
    ]
    subprocess.run(command, check=True)
    return time.monotonic() - began


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("clips", type=Path, nargs="+")
    asked.add_argument("--rounds", type=int, default=2)
    given = asked.parse_args()
    for clip in given.clips:
        with tempfile.TemporaryDirectory() as folder:
            target = Path(folder) / f"out{clip.suffix}"
            encoded = Path(folder) / f"encoded{clip.suffix}"
            rounds = [
                (timed(str(clip), "-o", str(target)),
                 timed(str(clip), "-o", str(encoded), "--no-copy"))
                for _ in range(given.rounds)
            ]  # fmt: skip
            copying, coding = (min(seconds) for seconds in zip(*rounds, strict=True))
            info = probe(clip)
            copied = json.loads(sidecar_path(target).read_text())["copied"]
            theirs, ours = packets(clip), packets(target)
            base = float(info.time_base)
            within = [
                pts
                for pts in info.pts
                if any(s["from_seconds"] <= pts * base < s["to_seconds"] for s in copied)
            ]
            same = sum(ours.get(pts) == theirs[pts] for pts in within)
            good = plays(target, len(info.pts))
            sizes = [path.stat().st_size for path in (clip, target, encoded)]
        says = "plays" if good else "DOES NOT PLAY"
        print(
            f"{clip.name}: {len(within)} of {len(info.pts)} frames copied, {same} bit for bit; "
            f"{says}; {coding / copying:.2f} times as fast ({copying:.1f} s, {coding:.1f} s); MB "
            f"{sizes[0] / 1e6:.2f} source, {sizes[1] / 1e6:.2f} copied, "
            f"{sizes[2] / 1e6:.2f} encoded"
        )


if __name__ == "__main__":
    main()
