"""Conversion of planes to RGB: exact for the box under a face, fast for a whole frame to search."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from facepipe.datatypes import Colour, Frame, PixelFormat, Plane

Box = tuple[int, int, int, int]


def to_rgb(frame: Frame, box: Box | None = None) -> NDArray[np.float32]:
    """(H, W, 3) RGB in [0, 1] of the frame, or of the box (x0, y0, x1, y1) clipped to it.

    Chroma is interpolated linearly from MPEG's positions: at every second luma sample of a row,
    halfway between two rows. A box gives exactly what the same box of the whole frame gives.
    """
    x0, y0, x1, y1 = box or (0, 0, frame.width, frame.height)
    pixel = frame.format
    top = np.float32((1 << pixel.bits) - 1)
    if pixel.model == "rgb":
        parts = [plane[y0:y1, x0:x1].astype(np.float32) / top for plane in frame.planes[:3]]
        return np.stack(parts, -1)
    step = np.float32(1 << (pixel.bits - 8))
    full = frame.colour.full_range
    black, luma_range = (np.float32(0), top) if full else (16 * step, 219 * step)
    luma = (frame.planes[0][y0:y1, x0:x1].astype(np.float32) - black) / luma_range
    if pixel.model == "gray":
        return np.repeat(np.clip(luma, 0, 1)[..., None], 3, -1)
    chroma_range = top if full else 224 * step
    u, v = (
        (_upsampled(plane, (x0, y0, x1, y1), pixel.shift_x, pixel.shift_y) - 128 * step)
        / chroma_range
        for plane in frame.planes[1:3]
    )
    matrix = _matrix(frame)
    red, green, blue = (luma + matrix[k, 1] * u + matrix[k, 2] * v for k in range(3))
    return np.asarray(np.clip(np.stack((red, green, blue), -1), 0, 1), np.float32)


def to_bgr8(frame: Frame) -> NDArray[np.uint8]:
    """(H, W, 3) BGR code values of the whole frame, off by a few at most: for detection."""
    pixel = frame.format
    planes = [_eight_bits(plane, pixel.bits) for plane in frame.planes[:3]]
    if pixel.model == "rgb":
        return _bytes(cv2.merge(planes[::-1]))
    full = frame.colour.full_range
    if pixel.model == "gray":
        return _bytes(cv2.merge([planes[0] if full else _full_range(planes[0])] * 3))
    size = (frame.width, frame.height)
    if _is_i420(frame):
        stacked = np.concatenate([plane.ravel() for plane in planes])
        shaped = stacked.reshape(size[1] * 3 // 2, size[0])
        return _bytes(cv2.cvtColor(shaped, cv2.COLOR_YUV2BGR_I420))
    method = cv2.INTER_NEAREST if pixel.shift_x <= 1 else cv2.INTER_LINEAR
    chroma = [
        plane if plane.shape[::-1] == size else _resized(plane, frame, method)
        for plane in planes[1:]
    ]
    return _bytes(cv2.transform(cv2.merge([planes[0], *chroma]), _code_matrix(frame)))


def _code_matrix(frame: Frame) -> NDArray[np.float64]:
    """(3, 4) from code values of Y, U, V in 8 bits to those of B, G, R."""
    matrix = _matrix(frame)[::-1].astype(np.float64)
    full = frame.colour.full_range
    luma_gain, chroma_gain, black = (1.0, 1.0, 0.0) if full else (255 / 219, 255 / 224, 16.0)
    matrix = matrix * np.array([luma_gain, chroma_gain, chroma_gain])
    offset = -matrix @ np.array([black, 128.0, 128.0])
    return np.column_stack((matrix, offset))


def _full_range(luma: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Luma of 16..235 as 0..255."""
    levels = np.arange(256, dtype=np.float64)
    table = np.clip((levels - 16) * (255 / 219) + 0.5, 0, 255).astype(np.uint8)
    return _bytes(cv2.LUT(luma, table))


def _is_i420(frame: Frame) -> bool:
    """Whether OpenCV's own conversion is right: BT.601, limited range, chroma of half the size."""
    halves = (frame.format.shift_x, frame.format.shift_y) == (1, 1)
    even = frame.width % 2 == 0 and frame.height % 2 == 0
    return halves and even and frame.colour == Colour("bt601", full_range=False)


def _matrix(frame: Frame) -> NDArray[np.float32]:
    """(3, 3) from luma in [0, 1] and chroma in [-.5, .5] to RGB."""
    red, blue = LUMA_WEIGHTS[frame.colour.matrix]
    green = 1 - red - blue
    u, v = 2 * (1 - blue), 2 * (1 - red)
    rows = ((1, 0, v), (1, -u * blue / green, -v * red / green), (1, u, 0))
    return np.array(rows, np.float32)


def _upsampled(plane: Plane, box: Box, shift_x: int, shift_y: int) -> NDArray[np.float32]:
    """A chroma plane, interpolated at the luma samples of `box`."""
    x0, y0, x1, y1 = box
    across = np.arange(x0, x1) / (1 << shift_x)
    down = (np.arange(y0, y1) + 0.5) / (1 << shift_y) - 0.5
    rows, row_share = _taps(down, plane.shape[0])
    columns, column_share = _taps(across, plane.shape[1])
    top, left = int(rows[0].min()), int(columns[0].min())
    part = plane[top : int(rows[1].max()) + 1, left : int(columns[1].max()) + 1].astype(np.float32)
    rows, columns = rows - top, columns - left
    share = row_share[:, None]
    tall = part[rows[0]] * (1 - share) + part[rows[1]] * share if shift_y else part[rows[0]]
    if not shift_x:
        return np.asarray(tall[:, columns[0]], np.float32)
    wide = tall[:, columns[0]] * (1 - column_share) + tall[:, columns[1]] * column_share
    return np.asarray(wide, np.float32)


def _taps(
    position: NDArray[np.float64], length: int
) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """(2, N) the samples on both sides of each position, and (N,) the second one's weight."""
    position = np.clip(position, 0, length - 1)
    first = np.floor(position).astype(np.intp)
    both = np.stack((first, np.minimum(first + 1, length - 1)))
    return both, (position - first).astype(np.float32)


def _resized(plane: NDArray[np.uint8], frame: Frame, method: int) -> NDArray[np.uint8]:
    """A subsampled plane at the frame's size, which may be odd."""
    across, down = 1 << frame.format.shift_x, 1 << frame.format.shift_y
    size = (plane.shape[1] * across, plane.shape[0] * down)
    resized = cv2.resize(plane, size, interpolation=method)
    return _bytes(np.ascontiguousarray(resized[: frame.height, : frame.width]))


def _eight_bits(plane: Plane, bits: int) -> NDArray[np.uint8]:
    if plane.dtype == np.uint8:
        return _bytes(plane)
    return (plane >> (bits - 8)).astype(np.uint8)


def _bytes(array: object) -> NDArray[np.uint8]:
    """The array as uint8, which it is: OpenCV's stubs know no element type."""
    return np.asarray(array, np.uint8)


#: Weights of red and blue in luma, by H.273's matrices.
LUMA_WEIGHTS = {
    "bt601": (0.299, 0.114),
    "bt709": (0.2126, 0.0722),
    "bt2020": (0.2627, 0.0593),
}


def change_in_planes(
    change: NDArray[np.float32], pixel: PixelFormat, colour: Colour
) -> tuple[NDArray[np.float32], ...]:
    """Convert a change of RGB (H, W, 3) in [-1, 1] to one array (H, W) a plane, in code values.

    The transform is linear, so no offset enters and nothing is rounded. Alpha does not change.
    """
    top = (1 << pixel.bits) - 1
    if pixel.model == "rgb":
        return tuple(change[..., k] * np.float32(top) for k in range(3))
    red, blue = LUMA_WEIGHTS[colour.matrix]
    luma = change @ np.array([red, 1 - red - blue, blue], np.float32)
    step = 1 << (pixel.bits - 8)
    luma_range, chroma_range = (top, top) if colour.full_range else (219 * step, 224 * step)
    if pixel.model == "gray":
        return (luma * np.float32(luma_range),)
    u = (change[..., 2] - luma) * np.float32(chroma_range / (2 * (1 - blue)))
    v = (change[..., 0] - luma) * np.float32(chroma_range / (2 * (1 - red)))
    return luma * np.float32(luma_range), u, v
