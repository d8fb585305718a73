"""Degradations for training: blur, sampling, noise, motion and coding, applied on the fly.

A degradation is drawn first, as a frozen record, and then applied: the same record on the same
face gives the same pixels.
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

from facepipe.datatypes import CANVAS, SEQUENCE_LENGTH
from facepipe.faces.canvas import resampled
from facepipe.training.face_archive import ALIGNED_SIZE, MARGIN

#: Neighbour frames on each side of the middle frame of a sequence.
SIDE_FRAMES = SEQUENCE_LENGTH // 2
#: Sigma of the blur of a sensor's square pixels, in pixels.
_PIXEL_SIGMA = 0.3
#: Median sigma of the motion of a face between frames, canvas px: that of a talking head, about 10
#: cm a second.
_MEDIAN_SPEED = 1.5
#: Share of videos that are coded by H.265, and share of all faces that are interlaced.
_H265_SHARE, _INTERLACED_SHARE = 0.3, 0.04
#: CTU size, and unit of the frame's side, px, at which x265 codes small frames correctly; with
#: others it writes past its memory or reads uninitialised memory.
_H265_CTU, _H265_SIDES = 16, 32
Rgb = NDArray[np.uint8]
#: Options that make the encoders deterministic. With AVX-512, x264 codes one in ten of frames this
#: small differently from run to run; its plain C code does not.
_DETERMINISTIC = {
    "h264": {"x264-params": "asm=0"},
    "h265": {"x265-params": f"log-level=none:pools=none:frame-threads=1:no-wpp=1:ctu={_H265_CTU}"},
}
Codec = Literal["none", "jpeg", "h264", "h265"]
#: Codecs that predict from other frames.
VIDEO_CODECS: tuple[Codec, ...] = ("h264", "h265")


@dataclass(frozen=True)
class FaceMotion:
    """Motion of a face over the frames of a sequence, and the error of its alignment.

    Lengths are canvas px. The reference frame has no motion; motion grows with the number of frames
    away from it.
    """

    drift: tuple[float, float] = (0.0, 0.0)  # a frame
    rotation: float = 0.0  # radians a frame
    zoom: float = 0.0  # logarithm of the size, a frame
    bend: float = 0.0  # px by which parts of the face move against each other, a frame
    misalignment: float = 0.0  # sigma of the alignment error of the other frames


@dataclass(frozen=True)
class Degradation:
    """One drawn degradation. Lengths are px of the low-resolution frame unless stated otherwise."""

    size: float  # pixels that the canvas spans in the frame, 12..128
    blur: float  # sigma before sampling
    motion_blur: float  # length of a straight motion blur
    motion_blur_angle: float  # radians
    noise: float  # sigma of luma noise, code values
    chroma_noise: float  # share of the noise that is independent in each channel, 0..1
    codec: Codec
    quality: int  # JPEG quality, or the CRF of the video encoder
    preset: str  # of the encoder
    frames: int  # length of the sequence
    reference: int  # index of the frame whose truth is known
    motion: FaceMotion
    seed: int  # of the noise and of the bending
    interlaced: bool = False  # odd rows are half a frame later


def draw_degradation(rng: np.random.Generator, *, video: bool = False) -> Degradation:
    """Draw a degradation as in footage: most faces tiny, half of them coded as video.

    With `video`, as in typical user videos: nearly all coded, faces not quite as tiny.
    """
    shares = [0.05, 0.1, 0.85] if video else [0.25, 0.25, 0.5]
    codec: Codec = rng.choice(["none", "jpeg", "h264"], p=shares)
    frames = int(rng.integers(2 * SIDE_FRAMES + 1, 15)) if codec == "h264" else 2 * SIDE_FRAMES + 1
    params = Degradation(
        size=float(12 * (CANVAS / 12) ** (rng.random() ** (1.1 if video else 1.5))),
        blur=float(rng.uniform(0.2, 1.0)) if rng.random() < 0.5 else 0.0,
        motion_blur=float(rng.uniform(1.0, 3.0)) if rng.random() < 0.1 else 0.0,
        motion_blur_angle=float(rng.uniform(0, np.pi)),
        noise=float(np.exp(rng.uniform(np.log(0.7), np.log(12)))) if rng.random() < 0.6 else 0.0,
        chroma_noise=float(rng.uniform(0, 1)),
        codec=codec,
        quality=int(rng.integers(30, 96) if codec == "jpeg" else rng.integers(18, 38)),
        preset=str(rng.choice(["veryfast", "fast", "medium"])),
        frames=frames,
        reference=int(rng.integers(SIDE_FRAMES, frames - SIDE_FRAMES)),
        motion=_draw_motion(rng),
        seed=int(rng.integers(2**31)),
    )
    is_h265, interlaced = rng.random(2) < (_H265_SHARE, _INTERLACED_SHARE)
    if params.codec == "h264" and is_h265:
        params = replace(params, codec="h265")
    return replace(params, interlaced=bool(interlaced))


def _draw_motion(rng: np.random.Generator) -> FaceMotion:
    speed = 0.0 if rng.random() < 0.15 else float(_MEDIAN_SPEED * np.exp(rng.normal(0, 1.0)))
    drift = rng.normal(0, speed, 2)
    return FaceMotion(
        drift=(float(drift[0]), float(drift[1])),
        rotation=float(rng.normal(0, 0.002) * speed),
        zoom=float(rng.normal(0, 0.0015) * speed),
        bend=float(rng.uniform(0, 0.8)) if speed and rng.random() < 0.6 else 0.0,
        misalignment=float(rng.uniform(0, 1.5)),
    )


def soften(aligned: Rgb, size: float) -> Rgb:
    """Reduce the detail of a face to that of a canvas of `size` px, as of a soft lens or old video.

    Photographs are several times as sharp as the frames of real footage. A network that is trained
    on sharp truths alone sharpens what was never sharp.
    """
    side = round(size * ALIGNED_SIZE / CANVAS)
    small = cv2.resize(aligned, (side, side), interpolation=cv2.INTER_AREA)
    large = cv2.resize(small, aligned.shape[1::-1], interpolation=cv2.INTER_CUBIC)
    return np.asarray(large, np.uint8)


@dataclass(frozen=True, eq=False)
class FaceSequence:
    """One face in five successive frames.

    `canvases` (5, 128, 128, 3) uint8 RGB; `to_frame` (5, 2, 3) float64 map points of each canvas to
    its low-resolution frame, by the estimated alignment.
    """

    canvases: Rgb
    to_frame: NDArray[np.float64]


def degrade(aligned: Rgb, params: Degradation) -> Rgb:
    """The degraded canvas (128, 128, 3) of an aligned face (160, 160, 3), which has a margin."""
    return np.asarray(_sample_frames(aligned, params, (params.reference,)).canvases[0])


def degrade_sequence(aligned: Rgb, params: Degradation) -> FaceSequence:
    """The reference frame and two neighbours on each side; its canvas equals that of `degrade`.

    Raises ValueError where a side has fewer.
    """
    if not SIDE_FRAMES <= params.reference < params.frames - SIDE_FRAMES:
        raise ValueError(
            f"frame {params.reference} of {params.frames} has fewer than {SIDE_FRAMES} on a side"
        )
    return _sample_frames(
        aligned, params, range(params.reference - SIDE_FRAMES, params.reference + SIDE_FRAMES + 1)
    )


def _sample_frames(aligned: Rgb, params: Degradation, numbers: Sequence[int]) -> FaceSequence:
    """Capture and code the frames of those numbers, and sample their canvases."""
    side = max(round(params.size * ALIGNED_SIZE / CANVAS), 8)
    scene = _Scene(_optical_blur(aligned, params, side), params, side)
    if params.codec in VIDEO_CODECS:
        captured = [scene.frame(k) for k in range(params.frames)]
        frames = _video_coded(captured, params, numbers)
    else:
        frames = {k: scene.frame(k) for k in numbers}
    if params.codec == "jpeg":
        frames = {k: jpeg_coded(frame, params.quality) for k, frame in frames.items()}
    return FaceSequence(
        np.stack([scene.canvas(k, frames[k]) for k in numbers]),
        np.stack([scene.canvas_to_frame(k) for k in numbers]),
    )


def _optical_blur(aligned: Rgb, params: Degradation, side: int) -> Rgb:
    """Blur of the lens, of motion and of the sensor's pixels, before sampling."""
    per_px = ALIGNED_SIZE / side
    # The blur of the sensor's pixels comes first, so that sampling needs no antialiasing.
    sigma = np.hypot(params.blur * per_px, _PIXEL_SIGMA * np.sqrt(per_px**2 - 1))
    blurred: MatLike = aligned
    if sigma > 0:
        blurred = cv2.GaussianBlur(blurred, (0, 0), float(sigma))
    if params.motion_blur:
        blurred = cv2.filter2D(
            blurred, -1, _line_kernel(params.motion_blur * per_px, params.motion_blur_angle)
        )
    return np.asarray(blurred, np.uint8)


class _Scene:
    """A face that moves before a camera: its low-resolution frames and their canvases."""

    def __init__(self, blurred: Rgb, params: Degradation, side: int) -> None:
        self._blurred, self._params, self._side = blurred, params, side
        per_px = side / ALIGNED_SIZE
        # Pixel centres: x of the aligned face is (x + 0.5) * per_px - 0.5 of the frame.
        self._aligned_to_frame = np.array(
            [[per_px, 0, (per_px - 1) / 2], [0, per_px, (per_px - 1) / 2], [0, 0, 1]]
        )
        rng = np.random.default_rng([params.seed, 1])
        self._bend = rng.normal(0, 1, (4, 4, 2)).astype(np.float32)

    def frame(self, number: int) -> Rgb:
        """Frame `number` at low resolution, with noise."""
        params, side = self._params, self._side
        small = self._render(number)
        if params.interlaced:
            small[1::2] = self._render(number + 0.5)[1::2]
        if not params.noise:
            return small
        rng = np.random.default_rng([params.seed, 2, number])
        common = rng.standard_normal((side, side, 1), np.float32)
        per_channel = rng.standard_normal((side, side, 3), np.float32)
        noise = params.noise * (
            (1 - params.chroma_noise) * common + params.chroma_noise * per_channel
        )
        return np.clip(small.astype(np.float32) + noise + 0.5, 0, 255).astype(np.uint8)

    def _render(self, number: float) -> Rgb:
        """Render the face at the time of frame `number`, without noise."""
        params, side = self._params, self._side
        to_aligned = np.linalg.inv(self._aligned_to_frame @ self._motion_to(number))[:2]
        lag = number - params.reference
        if params.motion.bend and lag:
            grid = np.stack(np.meshgrid(np.arange(side), np.arange(side)), -1).astype(np.float32)
            points = grid @ to_aligned[:, :2].T + to_aligned[:, 2]
            size = (side, side)
            bend = cv2.resize(self._bend, size, interpolation=cv2.INTER_CUBIC)
            points = (points + lag * params.motion.bend * np.asarray(bend)).astype(np.float32)
            small = cv2.remap(
                self._blurred,
                points[..., 0],
                points[..., 1],
                cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_REPLICATE,
            )
        else:
            small = cv2.warpAffine(
                self._blurred,
                to_aligned,
                (side, side),
                flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                borderMode=cv2.BORDER_REPLICATE,
            )
        return np.array(small, np.uint8)

    def canvas(self, number: int, frame: Rgb) -> Rgb:
        """The canvas sampled from frame `number`, with its alignment error."""
        return resampled(frame, self.canvas_to_frame(number))

    def canvas_to_frame(self, number: int) -> NDArray[np.float64]:
        """The estimated alignment (2, 3): from the canvas of frame `number` to the frame."""
        inset = np.array([[1.0, 0, MARGIN], [0, 1, MARGIN], [0, 0, 1]])
        canvas_to_frame = (
            self._aligned_to_frame @ self._motion_to(number) @ inset @ self._misalignment(number)
        )
        return np.asarray(canvas_to_frame[:2])

    def _motion_to(self, number: float) -> NDArray[np.float64]:
        """The motion (3, 3): from the face in the reference frame to frame `number`."""
        motion = self._params.motion
        lag = number - self._params.reference
        offset = (lag * motion.drift[0], lag * motion.drift[1])
        return _similarity(ALIGNED_SIZE, lag * motion.rotation, lag * motion.zoom, offset)

    def _misalignment(self, number: int) -> NDArray[np.float64]:
        """The alignment error (3, 3) of frame `number`; the reference frame has none."""
        sigma = self._params.motion.misalignment
        if not sigma or number == self._params.reference:
            return np.eye(3)
        x, y, rotation, zoom = np.random.default_rng([self._params.seed, 3, number]).normal(
            0, sigma, 4
        )
        return _similarity(CANVAS, rotation * 0.008, zoom * 0.006, (x, y))


def _similarity(
    size: int, rotation: float, zoom: float, offset: tuple[float, float]
) -> NDArray[np.float64]:
    """A similarity (3, 3): rotation in radians and scale e**zoom about the middle, then a shift."""
    middle = (size - 1) / 2
    about = np.eye(3)
    about[:2] = cv2.getRotationMatrix2D((middle, middle), np.degrees(rotation), np.exp(zoom))
    about[:2, 2] += offset
    return about


def _line_kernel(length: float, angle: float) -> NDArray[np.float32]:
    side = int(np.ceil(length)) | 1
    kernel = np.zeros((side, side), np.float32)
    centre, reach = side // 2, (length - 1) / 2
    x, y = np.cos(angle) * reach, np.sin(angle) * reach
    start = (round(centre - x), round(centre - y))
    cv2.line(kernel, start, (round(centre + x), round(centre + y)), 1.0)
    return np.asarray(kernel / kernel.sum())


def jpeg_coded(image: Rgb, quality: int) -> Rgb:
    """The image (H, W, 3) RGB after a JPEG of that quality, 0 to 100."""
    _, coded = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)
    return np.ascontiguousarray(decoded[..., ::-1])


def _video_coded(frames: list[Rgb], params: Degradation, numbers: Sequence[int]) -> dict[int, Rgb]:
    """Encode `frames` by x264 or x265, decode them, and give those of `numbers` by number."""
    side = frames[0].shape[0]
    unit = _H265_SIDES if params.codec == "h265" else 2
    even = -(-side // unit) * unit
    encoder = av.CodecContext.create("libx265" if params.codec == "h265" else "libx264", "w")
    encoder.width = encoder.height = even
    encoder.pix_fmt = "yuv420p"
    encoder.framerate = Fraction(25)
    encoder.thread_count = 1
    encoder.options = {
        "crf": str(params.quality),
        "preset": params.preset,
        **_DETERMINISTIC[params.codec],
    }
    decoder = av.CodecContext.create("hevc" if params.codec == "h265" else "h264", "r")
    decoder.thread_count = 1
    packets = []
    for number, rgb in enumerate(frames):
        padded = cv2.copyMakeBorder(rgb, 0, even - side, 0, even - side, cv2.BORDER_REPLICATE)
        frame = av.VideoFrame.from_ndarray(_to_yuv420(np.asarray(padded)), format="yuv420p")
        frame.pts = number
        packets += encoder.encode(frame)
    packets += encoder.encode(None)
    decoded = [f for packet in packets for f in decoder.decode(packet)] + decoder.decode(None)
    return {
        f.pts: _from_yuv420(np.asarray(f.to_ndarray(), np.uint8))[:side, :side]
        for f in decoded
        if f.pts is not None and f.pts in numbers
    }


# OpenCV's own conversion takes one pixel in four for chroma; PyAV's sets up a scaler a frame.
_RGB_TO_YUV = np.array(
    [[65.481, 128.553, 24.966, 16], [-37.797, -74.203, 112, 128], [112, -93.786, -18.214, 128]]
) / [255, 255, 255, 1]
_YUV_TO_RGB = np.linalg.inv(np.vstack([_RGB_TO_YUV, [0, 0, 0, 1]]))[:3]


def _to_yuv420(rgb: Rgb) -> NDArray[np.uint8]:
    """Convert RGB (H, W, 3) to BT.601 yuv420p planes (H * 3 / 2, W), chroma below the luma."""
    height, width = rgb.shape[:2]
    yuv = np.asarray(cv2.transform(rgb, _RGB_TO_YUV))
    half = cv2.resize(yuv[..., 1:], (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    chroma = np.asarray(half).transpose(2, 0, 1).reshape(height // 2, width)
    return np.concatenate([yuv[..., 0], chroma]).astype(np.uint8)


def _from_yuv420(planes: NDArray[np.uint8]) -> Rgb:
    height, width = planes.shape[0] * 2 // 3, planes.shape[1]
    half = planes[height:].reshape(2, height // 2, width // 2).transpose(1, 2, 0)
    chroma = cv2.resize(np.ascontiguousarray(half), (width, height))
    yuv = np.concatenate([planes[:height, :, None], chroma], 2)
    return np.asarray(cv2.transform(yuv, _YUV_TO_RGB), np.uint8)
