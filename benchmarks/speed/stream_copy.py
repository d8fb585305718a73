"""Gain of stream copy: a video enhanced with --copy and with --no-copy.

    python benchmarks/speed/stream_copy.py CLIP [CLIP ...] [--rounds 2]

Prints for each clip how much is copied, whether the copied packets are equal to those of the
source, whether the result decodes to its end (by PyAV, and by the ffmpeg program where there is
one), and the ratio of the times of whole runs of the command, the best of all rounds.
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
    """The packets of the video stream by their pts."""
    with av.open(str(path)) as container:
        stream = container.streams[probe(path).stream_index]
        return {p.pts: bytes(p) for p in container.demux(stream) if p.size and p.pts is not None}


def plays(path: Path, frames: int) -> bool:
    """Whether all frames decode, without a warning of the ffmpeg program."""
    with av.open(str(path)) as container:
        if sum(1 for _ in container.decode(video=0)) != frames:
            return False
    program = shutil.which("ffmpeg")
    if program is None:
        return True
    command = [
        program,
        "-v",
        "warning",
        "-xerror",
        "-i",
        str(path),
        "-map",
        "0:v",
        "-f",
        "null",
        "-",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    messages = [w for w in done.stderr.splitlines() if "deprecated pixel format" not in w]
    return done.returncode == 0 and not messages


def timed(*arguments: str) -> float:
    """Wall time of one run of the command, s."""
    began = time.monotonic()
    command = [sys.executable, "-m", "facepipe", "run", *arguments, "--quiet", "--overwrite"]
    subprocess.run(command, check=True)
    return time.monotonic() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", type=Path, nargs="+")
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    for clip in options.clips:
        with tempfile.TemporaryDirectory() as folder:
            target = Path(folder) / f"out{clip.suffix}"
            encoded = Path(folder) / f"encoded{clip.suffix}"
            rounds = [
                (timed(str(clip), "-o", str(target)),
                 timed(str(clip), "-o", str(encoded), "--no-copy"))
                for _ in range(options.rounds)
            ]  # fmt: skip
            copying, encoding = (min(seconds) for seconds in zip(*rounds, strict=True))
            info = probe(clip)
            copied = json.loads(sidecar_path(target).read_text())["copied"]
            source_packets, copied_packets = packets(clip), packets(target)
            base = float(info.time_base)
            within = [
                pts
                for pts in info.pts
                if any(s["from_seconds"] <= pts * base < s["to_seconds"] for s in copied)
            ]
            same = sum(copied_packets.get(pts) == source_packets[pts] for pts in within)
            playable = plays(target, len(info.pts))
            sizes = [path.stat().st_size for path in (clip, target, encoded)]
        verdict = "plays" if playable else "DOES NOT PLAY"
        print(
            f"{clip.name}: {len(within)} of {len(info.pts)} frames copied, {same} bit for bit; "
            f"{verdict}; {encoding / copying:.2f} times as fast "
            f"({copying:.1f} s, {encoding:.1f} s); "
            f"MB {sizes[0] / 1e6:.2f} source, {sizes[1] / 1e6:.2f} copied, "
            f"{sizes[2] / 1e6:.2f} encoded"
        )


if __name__ == "__main__":
    main()
