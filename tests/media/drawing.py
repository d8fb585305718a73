"""Pictures of videos that are made on the fly: a moving gradient with blocks of seeded noise."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import pairwise

import av
import av.filter
import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT = 96, 64


def picture(number: int, width: int = WIDTH, height: int = HEIGHT) -> NDArray[np.uint8]:
    """RGB (height, width, 3): the gradient of frame `number` with four blocks of noise."""
    y, x = np.mgrid[0:height, 0:width]
    rgb = np.stack([x * 2 + number * 3, y * 3 + number, (x + y) * 2 - number * 2], axis=-1) % 256
    rng = np.random.default_rng(number)
    side = max(min(width, height) // 5, 1)
    for _ in range(4):
        top, left = rng.integers(0, height - side + 1), rng.integers(0, width - side + 1)
        rgb[top : top + side, left : left + side] = rng.integers(0, 256, (side, side, 3))
    return rgb.astype(np.uint8)


def shape(number: int) -> NDArray[np.uint8]:
    """RGBA (64, 96, 4): the gradient, seen through a ramp that moves."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    ramp = (2 * x + y + 3 * number) % 256
    return np.dstack([picture(number), ramp.astype(np.uint8)])


def frames_of(
    drawn: Iterable[NDArray[np.uint8]],
    times: Sequence[int],
    time_base: Fraction,
    pix_fmt: str,
    filters: Sequence[str],
) -> Iterator[av.VideoFrame]:
    """Frames of RGB or RGBA pictures, in `pix_fmt`, as FFmpeg's `filters` make them."""
    chain: av.filter.Graph | None = None
    for pixels, time in zip(drawn, times, strict=True):
        layout = "rgba" if pixels.shape[-1] == 4 else "rgb24"
        frame = av.VideoFrame.from_ndarray(pixels, layout).reformat(format=pix_fmt)
        frame.pts, frame.time_base = time, time_base
        if not filters:
            yield frame
            continue
        if chain is None:
            chain = _chain(filters, frame)
        chain.push(frame)
        yield from _pulled(chain, time_base)
    if chain is not None:
        chain.push(None)
        yield from _pulled(chain, time_base)


def _chain(filters: Sequence[str], frame: av.VideoFrame) -> av.filter.Graph:
    chain = av.filter.Graph()
    links = [
        chain.add_buffer(
            width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base
        ),
        *(chain.add(*one.split("=", 1)) for one in filters),
        chain.add("buffersink"),
    ]
    for one, next_one in pairwise(links):
        one.link_to(next_one)
    chain.configure()
    return chain


def _pulled(chain: av.filter.Graph, time_base: Fraction) -> Iterator[av.VideoFrame]:
    while True:
        try:
            frame = chain.vpull()
        except (av.BlockingIOError, av.EOFError):
            return
        assert frame.pts is not None
        assert frame.time_base is not None
        frame.pts = round(frame.pts * frame.time_base / time_base)
        frame.time_base = time_base
        frame.pict_type = 0
        yield frame
