"""What happens to a face between the lens and the file, made on the fly and reproducibly.

A degradation is drawn first, as a frozen record, and applied after: the same record on the
same face gives the same pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal

import av
import cv2
import numpy as np
from cv2.typing import MatLike
from numpy.typing import NDArray
from PIL import Image

from facepipe.datatypes import CANVAS, SEQUENCE_LENGTH
from facepipe.faces.canvas import resampled
from facepipe.training.face_archive import ALIGNED_SIZE, MARGIN

#: Frames on each side of the middle one that a sequence shows.
REACH = SEQUENCE_LENGTH // 2
#: Blur of a sensor's square pixels, in their own size.
_PIXEL_SIGMA = 0.3
#: Median sigma of how far a face moves from one frame to the next, px of the canvas: that of a head
#: in talk, some 10 cm a second.
_SPEED = 1.5
#: Shares of film that is coded by H.265, and of all that is interlaced.
_H265_SHARE, _INTERLACED_SHARE = 0.3, 0.04
#: x265 codes small pictures soundly in units of 16 px and multiples of 32; with others it writes
#: past its memory, or reads what it never wrote.
_H265_UNIT, _H265_SIDES = 16, 32
Rgb = NDArray[np.uint8]
#: What makes the encoders give the same bytes at every run. With AVX-512, x264 codes one in ten of
#: pictures this small differently from run to run; its plain code does not.
_REPEATABLE = {
    "h264": {"x264-params": "asm=0"},
    "h265": {"x265-params": f"log-level=none:pools=none:frame-threads=1:no-wpp=1:ctu={_H265_UNIT}"},
}
Codec = Literal["none", "jpeg", "h264", "h265"]
#: What is coded as film, from the frames around it.
FILM: tuple[Codec, ...] = ("h264", "h265")


@dataclass(frozen=True)
class Movement:
    """How a face moves from frame to frame of a sequence, and how far its alignment follows.

    Lengths are pixels of the canvas. The frame that is kept stands still: everything is told from
    it, and grows with the number of frames away.
    """

    drift: tuple[float, float] = (0.0, 0.0)  # a frame
    turn: float = 0.0  # radians a frame
    zoom: float = 0.0  # logarithm of the size, a frame
    bend: float = 0.0  # how far features move against each other, a frame
    misaligned: float = 0.0  # sigma of what the alignment of the other frames is off by


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
    quality: int  # JPEG quality, or the encoder's constant rate factor
    preset: str  # of the encoder
    frames: int  # length of the sequence
    kept: int  # the frame whose truth is known
    movement: Movement
    seed: int  # of the noise and of what bends
    interlaced: bool = False  # odd rows are seen half a frame later


def draw_degradation(rng: np.random.Generator, *, film: bool = False) -> Degradation:
    """A degradation as footage has it: most faces tiny, half of it coded as video.

    With `film`, as the films have it that people bring: nearly all coded, faces not quite as tiny.
    """
    shares = [0.05, 0.1, 0.85] if film else [0.25, 0.25, 0.5]
    codec: Codec = rng.choice(["none", "jpeg", "h264"], p=shares)
    frames = int(rng.integers(2 * REACH + 1, 15)) if codec == "h264" else 2 * REACH + 1
    how = Degradation(
        size=float(12 * (CANVAS / 12) ** (rng.random() ** (1.1 if film else 1.5))),
        blur=float(rng.uniform(0.2, 1.0)) if rng.random() < 0.5 else 0.0,
        motion=float(rng.uniform(1.0, 3.0)) if rng.random() < 0.1 else 0.0,
        motion_angle=float(rng.uniform(0, np.pi)),
        noise=float(np.exp(rng.uniform(np.log(0.7), np.log(12)))) if rng.random() < 0.6 else 0.0,
        chroma_noise=float(rng.uniform(0, 1)),
        codec=codec,
        quality=int(rng.integers(30, 96) if codec == "jpeg" else rng.integers(18, 38)),
        preset=str(rng.choice(["veryfast", "fast", "medium"])),
        frames=frames,
        kept=int(rng.integers(REACH, frames - REACH)),
        movement=_draw_movement(rng),
        seed=int(rng.integers(2**31)),
    )
    newer, interlaced = rng.random(2) < (_H265_SHARE, _INTERLACED_SHARE)
    if how.codec == "h264" and newer:
        how = replace(how, codec="h265")
    return replace(how, interlaced=bool(interlaced))


def _draw_movement(rng: np.random.Generator) -> Movement:
    speed = 0.0 if rng.random() < 0.15 else float(_SPEED * np.exp(rng.normal(0, 1.0)))
    drift = rng.normal(0, speed, 2)
    return Movement(
        drift=(float(drift[0]), float(drift[1])),
        turn=float(rng.normal(0, 0.002) * speed),
        zoom=float(rng.normal(0, 0.0015) * speed),
        bend=float(rng.uniform(0, 0.8)) if speed and rng.random() < 0.6 else 0.0,
        misaligned=float(rng.uniform(0, 1.5)),
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


@dataclass(frozen=True, eq=False)
class Sighted:
    """One face as five frames of a film show it, by time.

    `canvases` (5, 128, 128, 3) uint8 RGB; `to_frame` (5, 2, 3) float64 take points of each canvas
    to points of its small picture, as far as the alignment knows.
    """

    canvases: Rgb
    to_frame: NDArray[np.float64]


def degrade(aligned: Rgb, how: Degradation) -> Rgb:
    """What the canvas (128, 128, 3) would be, sampled from a frame that shows `aligned` so small.

    `aligned` is (160, 160, 3): the canvas and its margin.
    """
    return np.asarray(_sampled(aligned, how, (how.kept,)).canvases[0])


def degrade_sequence(aligned: Rgb, how: Degradation) -> Sighted:
    """The kept frame and two on each side; the middle canvas equals what `degrade` gives.

    Raises ValueError where a side has fewer.
    """
    if not REACH <= how.kept < how.frames - REACH:
        raise ValueError(f"frame {how.kept} of {how.frames} has fewer than {REACH} on a side")
    return _sampled(aligned, how, range(how.kept - REACH, how.kept + REACH + 1))


def _sampled(aligned: Rgb, how: Degradation, numbers: Sequence[int]) -> Sighted:
    """These frames, filmed, coded and found again."""
    side = max(round(how.size * ALIGNED_SIZE / CANVAS), 8)
    scene = _Scene(_optical(aligned, how, side), how, side)
    if how.codec in FILM:
        filmed = [scene.frame(k) for k in range(how.frames)]
        frames = _coded(filmed, how, numbers)
    else:
        frames = {k: scene.frame(k) for k in numbers}
    if how.codec == "jpeg":
        frames = {k: _jpeg(frame, how.quality) for k, frame in frames.items()}
    return Sighted(
        np.stack([scene.canvas(k, frames[k]) for k in numbers]),
        np.stack([scene.to_small(k) for k in numbers]),
    )


def _optical(aligned: Rgb, how: Degradation, side: int) -> Rgb:
    """The face as the lens and the sensor's pixels blur it, before it is sampled."""
    per_px = ALIGNED_SIZE / side
    # Sampling at once from a picture that is blurred as a sensor's pixels blur it.
    sigma = np.hypot(how.blur * per_px, _PIXEL_SIGMA * np.sqrt(per_px**2 - 1))
    optical: MatLike = aligned
    if sigma > 0:
        optical = cv2.GaussianBlur(optical, (0, 0), float(sigma))
    if how.motion:
        optical = cv2.filter2D(optical, -1, _line(how.motion * per_px, how.motion_angle))
    return np.asarray(optical, np.uint8)


class _Scene:
    """A face that moves before a camera: its small pictures, and canvases found in them."""

    def __init__(self, optical: Rgb, how: Degradation, side: int) -> None:
        self._optical, self._how, self._side = optical, how, side
        per_px = side / ALIGNED_SIZE
        # Pixel centres: place x of `optical` is (x + 0.5) * per_px - 0.5 of the small picture.
        self._to_small = np.array(
            [[per_px, 0, (per_px - 1) / 2], [0, per_px, (per_px - 1) / 2], [0, 0, 1]]
        )
        rng = np.random.default_rng([how.seed, 1])
        self._bend = rng.normal(0, 1, (4, 4, 2)).astype(np.float32)

    def frame(self, number: int) -> Rgb:
        """The small picture of frame `number`, noise and all."""
        how, side = self._how, self._side
        small = self._seen(number)
        if how.interlaced:
            small[1::2] = self._seen(number + 0.5)[1::2]
        if not how.noise:
            return small
        rng = np.random.default_rng([how.seed, 2, number])
        shared = rng.standard_normal((side, side, 1), np.float32)
        apart = rng.standard_normal((side, side, 3), np.float32)
        noise = how.noise * ((1 - how.chroma_noise) * shared + how.chroma_noise * apart)
        return np.clip(small.astype(np.float32) + noise + 0.5, 0, 255).astype(np.uint8)

    def _seen(self, number: float) -> Rgb:
        """The face at the time of frame `number`, without noise."""
        how, side = self._how, self._side
        to_aligned = np.linalg.inv(self._to_small @ self._moved(number))[:2]
        lag = number - how.kept
        if how.movement.bend and lag:
            grid = np.stack(np.meshgrid(np.arange(side), np.arange(side)), -1).astype(np.float32)
            places = grid @ to_aligned[:, :2].T + to_aligned[:, 2]
            size = (side, side)
            bend = cv2.resize(self._bend, size, interpolation=cv2.INTER_CUBIC)
            places = (places + lag * how.movement.bend * np.asarray(bend)).astype(np.float32)
            small = cv2.remap(
                self._optical,
                places[..., 0],
                places[..., 1],
                cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_REPLICATE,
            )
        else:
            small = cv2.warpAffine(
                self._optical,
                to_aligned,
                (side, side),
                flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                borderMode=cv2.BORDER_REPLICATE,
            )
        return np.array(small, np.uint8)

    def canvas(self, number: int, frame: Rgb) -> Rgb:
        """The canvas found in the small picture of frame `number`, its alignment a little off."""
        return resampled(frame, self.to_small(number))

    def to_small(self, number: int) -> NDArray[np.float64]:
        """(2, 3): from the canvas of frame `number` to its small picture."""
        inset = np.array([[1.0, 0, MARGIN], [0, 1, MARGIN], [0, 0, 1]])
        to_small = self._to_small @ self._moved(number) @ inset @ self._misaligned(number)
        return np.asarray(to_small[:2])

    def _moved(self, number: float) -> NDArray[np.float64]:
        """(3, 3): where the places of the kept frame's face lie in frame `number`."""
        how = self._how.movement
        lag = number - self._how.kept
        shift = (lag * how.drift[0], lag * how.drift[1])
        return _similarity(ALIGNED_SIZE, lag * how.turn, lag * how.zoom, shift)

    def _misaligned(self, number: int) -> NDArray[np.float64]:
        """(3, 3): by how much the canvas is off, the kept frame's never."""
        sigma = self._how.movement.misaligned
        if not sigma or number == self._how.kept:
            return np.eye(3)
        x, y, turn, zoom = np.random.default_rng([self._how.seed, 3, number]).normal(0, sigma, 4)
        return _similarity(CANVAS, turn * 0.008, zoom * 0.006, (x, y))


def _similarity(
    size: int, turn: float, zoom: float, shift: tuple[float, float]
) -> NDArray[np.float64]:
    """(3, 3): turned by radians and enlarged by e**zoom about the middle, then shifted."""
    middle = (size - 1) / 2
    about = np.eye(3)
    about[:2] = cv2.getRotationMatrix2D((middle, middle), np.degrees(turn), np.exp(zoom))
    about[:2, 2] += shift
    return about


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


def _coded(frames: list[Rgb], how: Degradation, wanted: Sequence[int]) -> dict[int, Rgb]:
    """The `wanted` ones of `frames`, by number, coded and decoded by the real thing."""
    side = frames[0].shape[0]
    multiple = _H265_SIDES if how.codec == "h265" else 2
    even = -(-side // multiple) * multiple
    encoder = av.CodecContext.create("libx265" if how.codec == "h265" else "libx264", "w")
    encoder.width = encoder.height = even
    encoder.pix_fmt = "yuv420p"
    encoder.framerate = Fraction(25)
    encoder.thread_count = 1
    encoder.options = {"crf": str(how.quality), "preset": how.preset, **_REPEATABLE[how.codec]}
    decoder = av.CodecContext.create("hevc" if how.codec == "h265" else "h264", "r")
    decoder.thread_count = 1
    packets = []
    for number, rgb in enumerate(frames):
        padded = cv2.copyMakeBorder(rgb, 0, even - side, 0, even - side, cv2.BORDER_REPLICATE)
        frame = av.VideoFrame.from_ndarray(_to_planes(np.asarray(padded)), format="yuv420p")
        frame.pts = number
        packets += encoder.encode(frame)
    packets += encoder.encode(None)
    decoded = [f for packet in packets for f in decoder.decode(packet)] + decoder.decode(None)
    return {
        f.pts: _from_planes(np.asarray(f.to_ndarray(), np.uint8))[:side, :side]
        for f in decoded
        if f.pts is not None and f.pts in wanted
    }


# OpenCV's own conversions take one pixel in four for chroma; PyAV's set up a scaler a frame.
_RGB_TO_YUV = np.array(
    [[65.481, 128.553, 24.966, 16], [-37.797, -74.203, 112, 128], [112, -93.786, -18.214, 128]]
) / [255, 255, 255, 1]
_YUV_TO_RGB = np.linalg.inv(np.vstack([_RGB_TO_YUV, [0, 0, 0, 1]]))[:3]


def _to_planes(rgb: Rgb) -> NDArray[np.uint8]:
    """(H * 3 / 2, W): BT.601 planes, chroma at half size below the luma, from (H, W, 3)."""
    height, width = rgb.shape[:2]
    yuv = np.asarray(cv2.transform(rgb, _RGB_TO_YUV))
    half = cv2.resize(yuv[..., 1:], (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    chroma = np.asarray(half).transpose(2, 0, 1).reshape(height // 2, width)
    return np.concatenate([yuv[..., 0], chroma]).astype(np.uint8)


def _from_planes(planes: NDArray[np.uint8]) -> Rgb:
    height, width = planes.shape[0] * 2 // 3, planes.shape[1]
    half = planes[height:].reshape(2, height // 2, width // 2).transpose(1, 2, 0)
    chroma = cv2.resize(np.ascontiguousarray(half), (width, height))
    yuv = np.concatenate([planes[:height, :, None], chroma], 2)
    return np.asarray(cv2.transform(yuv, _YUV_TO_RGB), np.uint8)
