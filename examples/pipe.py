"""A filter between two programs: raw RGB frames come in on stdin and go out on stdout, enhanced.

    ffmpeg -i input.mp4 -f rawvideo -pix_fmt rgb24 - \\
        | python examples/pipe.py --size 1280x720 --rate 25 \\
        | ffmpeg -f rawvideo -pix_fmt rgb24 -s 1280x720 -r 25 -i - clear.mp4

With --latency, each frame goes out at most so many frames late. Without, all are read first.
Enhanced faces are plausible inventions and no evidence: say so wherever you show them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from facepipe import FaceEnhancer, FacepipeError


def main() -> int:
    """Read frames to the end of stdin; the exit code, as that of the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", required=True, metavar="WxH", help="px of a frame")
    parser.add_argument("--rate", type=float, default=25, help="frames a second")
    parser.add_argument("--latency", type=int, metavar="FRAMES", help="enhance frames as they come")
    options = parser.parse_args()
    width, height = (int(number) for number in options.size.split("x"))
    frames = read_frames(width, height)
    try:
        with FaceEnhancer(rate=options.rate) as enhancer:
            if options.latency is None:
                enhanced = enhancer.enhance(frames)
            else:
                enhanced = enhancer.live(frames, latency=options.latency)
            for frame in enhanced:
                sys.stdout.buffer.write(np.ascontiguousarray(frame).data)
                sys.stdout.buffer.flush()
    except FacepipeError as error:
        print(f"pipe: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def read_frames(width: int, height: int) -> Iterator[NDArray[np.uint8]]:
    """The frames that come on stdin; a last one that is cut short is left out."""
    size = width * height * 3
    while len(pixels := sys.stdin.buffer.read(size)) == size:
        yield np.frombuffer(pixels, np.uint8).reshape(height, width, 3)


if __name__ == "__main__":
    sys.exit(main())
