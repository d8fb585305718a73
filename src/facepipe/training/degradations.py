"""What happens to a face between the lens and the file, made on the fly and reproducibly.

A degradation is drawn first, as a frozen record, and applied after: the same record on the
same face gives the same pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import av
import cv2
import numpy as np
from cv2.typing import MatLike
from numpy.typing import NDArray
from PIL import Image

from facepipe.training.faces import ALIGNED_SIZE, MARGIN

CANVAS = ALIGNED_SIZE - 2 * MARGIN
Rgb = NDArray[np.uint8]
Codec = Literal["none", "jpeg", "h264"]


@dataclass(frozen=True)
class Degradation:
    """One drawn degradation. Lengths are pixels of the small picture unless they say otherwise."""

    size: float  # pixels that the canvas spans in the frame, 12..128
    blur: float  # sigma before sampling
    motion: float  # length of a straight motion blur
    motion_angle: float  # radians
    noise: float  # sigma of luma noise, code values
    chroma_noise: float  # share of that noise drawn apart for each channel, 0..1
    codec: Codec
    quality: int  # JPEG quality, or H.264 constant rate factor
    frames: int  # length of the coded sequence; its last frame is the one kept
    drift: tuple[float, float]  # motion a frame, in px of the canvas
    seed: int  # of the noise


def draw_degradation(rng: np.random.Generator) -> Degradation:
    """A degradation as footage has it: most faces tiny, half of it coded as video."""
    codec: Codec = rng.choice(["none", "jpeg", "h264"], p=[0.25, 0.25, 0.5])
    return Degradation(
        size=float(12 * (CANVAS / 12) ** (rng.random() ** 1.5)),
        blur=float(rng.uniform(0.2, 1.0)) if rng.random() < 0.5 else 0.0,
        motion=float(rng.uniform(1.0, 3.0)) if rng.random() < 0.1 else 0.0,
        motion_angle=float(rng.uniform(0, np.pi)),
        noise=float(np.exp(rng.uniform(np.log(0.7), np.log(12)))) if rng.random() < 0.6 else 0.0,
        chroma_noise=float(rng.uniform(0, 1)),
        codec=codec,
        quality=int(rng.integers(30, 96) if codec == "jpeg" else rng.integers(18, 38)),
        frames=int(rng.integers(1, 5)),
        drift=(float(rng.normal(0, 1.5)), float(rng.normal(0, 1.5))),
        seed=int(rng.integers(2**31)),
    )


def bicubic_reduced(canvas: Rgb, size: int) -> Rgb:
    """The canvas by antialiased bicubic to `size` px, the papers' degradation, and back.

    The way back uses the kernel with which `pipeline.crop` samples a frame.
    """
    small = Image.fromarray(canvas).resize((size, size), Image.Resampling.BICUBIC)
    large = cv2.resize(np.asarray(small), canvas.shape[1::-1], interpolation=cv2.INTER_CUBIC)
    return np.asarray(large, np.uint8)


def softened(aligned: Rgb, size: float) -> Rgb:
    """The face as a softer lens or an older film has it: with `size` px of detail a canvas.

    Photographs are several times as crisp as the frames of real footage. A network that saw crisp
    truths alone sharpens what was never sharp.
    """
    side = round(size * ALIGNED_SIZE / CANVAS)
    small = cv2.resize(aligned, (side, side), interpolation=cv2.INTER_AREA)
    large = cv2.resize(small, aligned.shape[1::-1], interpolation=cv2.INTER_CUBIC)
    return np.asarray(large, np.uint8)


def degrade(aligned: Rgb, how: Degradation) -> Rgb:
    """What the canvas (128, 128, 3) would be, sampled from a frame that shows `aligned` so small.

    `aligned` is (160, 160, 3): the canvas and its margin.
    """
    small = how.size * ALIGNED_SIZE / CANVAS
    side = max(round(small), 8)
    rng = np.random.default_rng(how.seed)
    count = how.frames if how.codec == "h264" else 1
    frames = [_filmed(aligned, how, side=side, lag=count - 1 - k, rng=rng) for k in range(count)]
    if how.codec == "jpeg":
        tile = _jpeg(frames[-1], how.quality)
    elif how.codec == "h264":
        tile = _h264(frames, how.quality)
    else:
        tile = frames[-1]
    per_px = side / ALIGNED_SIZE
    # Pixel centres: canvas x lies at (x + MARGIN + 0.5) * per_px - 0.5 in the small picture.
    offset = (MARGIN + 0.5) * per_px - 0.5
    to_small = np.array([[per_px, 0, offset], [0, per_px, offset]])
    canvas = cv2.warpAffine(
        tile,
        to_small,
        (CANVAS, CANVAS),
        flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(canvas, np.uint8)


def _filmed(
    aligned: Rgb, how: Degradation, *, side: int, lag: int, rng: np.random.Generator
) -> Rgb:
    """One frame of the small picture, `lag` frames before the one that is kept."""
    per_px = ALIGNED_SIZE / side
    picture: MatLike = aligned
    if lag:
        shift = np.array([[1, 0, -lag * how.drift[0]], [0, 1, -lag * how.drift[1]]])
        picture = cv2.warpAffine(
            picture, shift, (ALIGNED_SIZE, ALIGNED_SIZE), borderMode=cv2.BORDER_REPLICATE
        )
    if how.blur:
        picture = cv2.GaussianBlur(picture, (0, 0), how.blur * per_px)
    if how.motion:
        picture = cv2.filter2D(picture, -1, _line(how.motion * per_px, how.motion_angle))
    small = np.asarray(cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
    if not how.noise:
        return small
    shared = rng.standard_normal((side, side, 1), np.float32)
    apart = rng.standard_normal((side, side, 3), np.float32)
    noise = how.noise * ((1 - how.chroma_noise) * shared + how.chroma_noise * apart)
    return np.clip(small + noise + 0.5, 0, 255).astype(np.uint8)


def _line(length: float, angle: float) -> NDArray[np.float32]:
    side = int(np.ceil(length)) | 1
    kernel = np.zeros((side, side), np.float32)
    centre, reach = side // 2, (length - 1) / 2
    x, y = np.cos(angle) * reach, np.sin(angle) * reach
    start = (round(centre - x), round(centre - y))
    cv2.line(kernel, start, (round(centre + x), round(centre + y)), 1.0)
    return np.asarray(kernel / kernel.sum())


def _jpeg(picture: Rgb, quality: int) -> Rgb:
    _, coded = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)
    return np.ascontiguousarray(decoded[..., ::-1])


def _h264(frames: list[Rgb], crf: int) -> Rgb:
    """The last of `frames`, coded and decoded by the real thing."""
    side = frames[0].shape[0]
    even = side + side % 2
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width = encoder.height = even
    encoder.pix_fmt = "yuv420p"
    encoder.framerate = Fraction(25)
    encoder.thread_count = 1
    # With AVX-512, x264 codes one in ten of pictures this small differently from run to run; its
    # plain code does not.
    encoder.options = {"crf": str(crf), "preset": "fast", "x264-params": "asm=0"}
    decoder = av.CodecContext.create("h264", "r")
    decoder.thread_count = 1
    packets = []
    for number, rgb in enumerate(frames):
        padded = cv2.copyMakeBorder(rgb, 0, even - side, 0, even - side, cv2.BORDER_REPLICATE)
        frame = av.VideoFrame.from_ndarray(np.asarray(padded, np.uint8), format="rgb24")
        frame.pts = number
        packets += encoder.encode(frame)
    packets += encoder.encode(None)
    decoded = [f for packet in packets for f in decoder.decode(packet)] + decoder.decode(None)
    last = max(decoded, key=lambda f: f.pts if f.pts is not None else -1)
    return np.ascontiguousarray(last.to_ndarray(format="rgb24")[:side, :side])
