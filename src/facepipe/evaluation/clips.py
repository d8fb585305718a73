"""Short films of a trial: written as footage is coded, and read back as RGB."""

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
from facepipe.video.decode import decode
from facepipe.video.probe import probe

Rgb = NDArray[np.uint8]


def write_film(pictures: Iterable[Rgb], target: Path, *, rate: Fraction, crf: int) -> None:
    """Code the pictures (H, W, 3), even sides, by x264 at constant quality `crf`."""
    with av.open(str(target), "w") as container:
        # One instruction set, so that every processor codes the same film.
        options = {"crf": str(crf), "preset": "medium", "x264-params": "asm=avx2"}
        stream = container.add_stream("libx264", rate=rate, options=options)
        stream.pix_fmt = "yuv420p"
        for number, picture in enumerate(pictures):
            if not number:
                stream.height, stream.width = picture.shape[:2]
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def read_film(film: Path, *, stop: int | None = None) -> Iterator[tuple[int, Rgb]]:
    """The pts and the picture (H, W, 3) RGB of every frame, of those before pts `stop`."""
    info = probe(film)
    span = Span(0, info.pts[0], info.pts[-1] + 1 if stop is None else stop)
    for frame in decode(info, span):
        yield frame.pts, np.asarray(np.clip(to_rgb(frame), 0, 1) * 255 + 0.5, np.uint8)


def reduced(picture: Rgb, size: tuple[int, int]) -> Rgb:
    """The picture at (width, height), each pixel the mean of what it covers."""
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def enlarged(picture: Rgb, size: tuple[int, int]) -> Rgb:
    """The picture at (width, height), bicubic."""
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_CUBIC), np.uint8)
