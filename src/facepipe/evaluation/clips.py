"""Short videos for evaluation: written by x264 as footage is, and read back as RGB."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from facepipe.datatypes import Span
from facepipe.faces.colour import to_rgb
from facepipe.video.containers import MP4
from facepipe.video.decode import decode
from facepipe.video.probe import probe

Rgb = NDArray[np.uint8]
#: Suffix of the clips that are made here, and of their results.
CLIP_SUFFIX = MP4.suffixes[0]


def write_video(frames: Iterable[Rgb], target: Path, *, rate: Fraction, crf: int) -> None:
    """Encode RGB frames (H, W, 3) of even sides by x264 at constant rate factor `crf`."""
    with av.open(str(target), "w") as container:
        # One instruction set, so that the result is the same on every processor.
        options = {"crf": str(crf), "preset": "medium", "x264-params": "asm=avx2"}
        stream = container.add_stream("libx264", rate=rate, options=options)
        stream.pix_fmt = "yuv420p"
        for index, image in enumerate(frames):
            if not index:
                stream.height, stream.width = image.shape[:2]
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def read_video(path: Path, *, stop: int | None = None) -> Iterator[tuple[int, Rgb]]:
    """Yield the pts and the RGB image (H, W, 3) of every frame before pts `stop`."""
    info = probe(path)
    span = Span(0, info.pts[0], info.pts[-1] + 1 if stop is None else stop)
    for frame in decode(info, span):
        yield frame.pts, np.asarray(np.clip(to_rgb(frame), 0, 1) * 255 + 0.5, np.uint8)


def downscale(image: Rgb, size: tuple[int, int]) -> Rgb:
    """Area downscaling to (width, height): each pixel is the mean of the area that it covers."""
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def upscale(image: Rgb, size: tuple[int, int]) -> Rgb:
    """Bicubic upscaling to (width, height)."""
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_CUBIC), np.uint8)
