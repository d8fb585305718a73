"""Pasting of restored faces into the frame: only the difference that the restorer made.

The difference fades out along the mask. So the source's own detail stays where it was, no seam can
arise from two samplings of the same pixels, and every pixel outside the canvas is the source's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import cv2
import numpy as np
from numpy.typing import NDArray

from facepipe.datatypes import (
    CANVAS,
    Alignment,
    ArrayRecord,
    Crops,
    Float32,
    Float64,
    Frame,
    PixelFormat,
    Plane,
    Restored,
)
from facepipe.faces.canvas import canvas_bounds, frame_px_per_canvas_px
from facepipe.faces.colour import change_in_planes
from facepipe.faces.restoration.enlarge import enlarge
from facepipe.faces.similarity import in_colours

#: Share of the canvas's side over which a paste fades in from its border.
_FEATHER = 14 / CANVAS
#: Blur, in px of the frame, that separates what the source itself shows from finer detail.
_SOURCE_SIGMA = 0.35
#: The blur below which colour and light are the source's, not the restorer's, and the side of the
#: canvas at which it is made: so wide a blur does not show that.
_COLOUR_SIGMA, _COLOUR_SIDE = 7.5, 32
#: Frame px per canvas px between which the change of a growing face fades out.
_HANDOVER = (0.85, 1.0)
#: Mean chroma of the crop, as a share of white, between which footage counts as grey or coloured.
_GREY = (0.012, 0.03)


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Change(ArrayRecord):
    """The change of one face, on its canvas: `rgb`, which is faded by `alpha` already."""

    rgb: Annotated[Float32, "S S 3"]
    alpha: Annotated[Float32, "S S"]
    to_frame: Annotated[Float64, "2 3"]


def paste(
    frames: Sequence[Frame],
    crops: Crops,
    restored: Restored,
    *,
    strength: float,
    fidelity: float,
    scale: int,
    is_enlarged: bool = False,
) -> list[Frame]:
    """Paste the restored faces into the frames, enlarged `scale` times.

    `is_enlarged`: the frames are so large already, and the crops are of those before that.

    `strength` is the share of the restorer's change that is pasted. `fidelity` is the share of what
    the source shows at its own resolution that stays the source's, artefacts included: at 1 only
    finer detail is added.

    Frames without a face are, at scale 1, the very same objects.
    """
    changes: list[list[Change]] = [[] for _ in frames]
    for k in range(len(crops)):
        parse = None if restored.parse is None else restored.parse[k]
        share = strength if crops.weights is None else strength * float(crops.weights[k])
        share *= _handover(crops.to_frame[k], crops.alignment)
        if share == 0:
            continue
        crop = crops.pixels[k]
        source = crop if restored.smoothed_source is None else restored.smoothed_source[k]
        changes[crops.frame[k]].append(
            _change(crop, source, restored.pixels[k], parse, crops.to_frame[k], share, fidelity)
        )
    if scale == 1 or is_enlarged:
        return [_apply(frame, ours, scale) for frame, ours in zip(frames, changes, strict=True)]
    return [
        _apply(enlarge(frame, scale), ours, scale, in_place=True)
        for frame, ours in zip(frames, changes, strict=True)
    ]


def face_mask(parse: Float32 | None, side: int = CANVAS) -> Float32:
    """(side, side) in [0, 1]: where the restored face is pasted, from the parse (8, 32, 32).

    All but the background counts, so that hair and glasses are of one piece with the face. What the
    parse does not take for a part of a person (a hand, a microphone) stays the source's.
    """
    ramp = np.clip((np.arange(side) + 0.5) / (_FEATHER * side), 0, 1)
    ramp = np.minimum(ramp, ramp[::-1])
    ramp = ramp * ramp * (3 - 2 * ramp)
    window = np.outer(ramp, ramp).astype(np.float32)
    if parse is None:
        return window
    person = cv2.GaussianBlur(1 - parse[0], (0, 0), 1.0)
    person = cv2.resize(person, (side, side), interpolation=cv2.INTER_LINEAR)
    return np.asarray(window * np.clip(person * 1.25 - 0.125, 0, 1), np.float32)


def _handover(to_frame: NDArray[np.float64], alignment: Alignment) -> float:
    """The share of a face's change that stays where it grows to the size of its canvas."""
    if alignment.any_size:
        return 1.0
    size = frame_px_per_canvas_px(to_frame)
    return float(np.clip((_HANDOVER[1] - size) / (_HANDOVER[1] - _HANDOVER[0]), 0, 1))


def _change(
    crop: Float32,
    source: Float32,
    restored: Float32,
    parse: Float32 | None,
    to_frame: NDArray[np.float64],
    strength: float,
    fidelity: float,
) -> Change:
    alpha = face_mask(parse, len(crop))
    size = frame_px_per_canvas_px(to_frame)
    invented = restored - source
    known = cv2.GaussianBlur(invented, (0, 0), _SOURCE_SIGMA / size)
    invented = invented - np.float32(fidelity) * known
    difference = source - crop
    difference += invented
    difference -= _drift(invented, alpha)
    colourful = float(np.clip((_mean_chroma(crop) - _GREY[0]) / (_GREY[1] - _GREY[0]), 0, 1))
    if colourful < 1:
        # Grey and infrared footage stays grey: only its light changes.
        light = difference @ np.array([0.299, 0.587, 0.114], np.float32)
        difference = colourful * difference + (1 - colourful) * in_colours(light)
    alpha *= np.float32(strength)
    return Change(rgb=difference * in_colours(alpha), alpha=alpha, to_frame=to_frame)


def _mean_chroma(crop: Float32) -> float:
    """Mean over a canvas (S, S, 3) of the largest less the smallest of each pixel's colours."""
    red, green, blue = cv2.split(crop)
    largest, smallest = cv2.max(cv2.max(red, green), blue), cv2.min(cv2.min(red, green), blue)
    return cv2.mean(cv2.subtract(largest, smallest))[0]


def _drift(difference: Float32, alpha: Float32) -> Float32:
    """(S, S, 3): the low-pass of `difference` within `alpha`: the drift of colour and light."""
    small = _COLOUR_SIDE, _COLOUR_SIDE
    total, weight = (
        cv2.GaussianBlur(
            cv2.resize(part, small, interpolation=cv2.INTER_AREA), (0, 0), _COLOUR_SIGMA
        )
        for part in (difference * in_colours(alpha), alpha)
    )
    mean = total / np.maximum(weight, 1e-3)[..., None]
    return np.asarray(cv2.resize(mean, alpha.shape[::-1]), np.float32)


def _apply(frame: Frame, changes: list[Change], scale: int, *, in_place: bool = False) -> Frame:
    """The frame with the changes; `in_place` where its planes are ours to write to."""
    if not changes:
        return frame
    # The largest face first, as the nearest: where two meet, it covers the ones behind it.
    changes = sorted(changes, key=lambda c: -frame_px_per_canvas_px(c.to_frame))
    planes = list(frame.planes)
    copied = [in_place] * len(planes)
    placed: list[_Placed] = []
    for change in changes:
        place = _Placed.of(change, frame, scale)
        if place is None:
            continue
        rgb = change.rgb
        for nearer in placed:
            rgb = rgb * in_colours(1 - nearer.alpha_on(place))
        values = change_in_planes(rgb, frame.format, frame.colour)
        for number, value in enumerate(values):
            if not copied[number]:
                planes[number], copied[number] = planes[number].copy(), True
            _add(planes[number], value, place.to_out, _shifts(frame.format, number), frame.format)
        placed.append(place)
    return frame.with_planes(tuple(planes))


@dataclass(frozen=True, eq=False)
class _Placed:
    """A change and where it lies in the output frame."""

    change: Change
    to_out: NDArray[np.float64]
    bounds: tuple[int, int, int, int]

    @staticmethod
    def of(change: Change, frame: Frame, scale: int) -> _Placed | None:
        to_out = scaled(change.to_frame, scale)
        bounds = canvas_bounds(to_out, frame.width, frame.height, len(change.alpha))
        if bounds[0] >= bounds[2] or bounds[1] >= bounds[3]:
            return None
        return _Placed(change, to_out, bounds)

    def alpha_on(self, other: _Placed) -> Float32:
        """This face's alpha on the other face's canvas, 0 where they do not meet."""
        a, b = self.bounds, other.bounds
        shape = other.change.alpha.shape
        if a[0] >= b[2] or b[0] >= a[2] or a[1] >= b[3] or b[1] >= a[3]:
            return np.zeros(shape, np.float32)
        between = cv2.invertAffineTransform(other.to_out) @ np.vstack([self.to_out, [0, 0, 1]])
        alpha = cv2.warpAffine(self.change.alpha, between, shape[::-1])
        return np.asarray(alpha, np.float32)


def scaled(to_frame: NDArray[np.float64], scale: int) -> NDArray[np.float64]:
    """The same transform into a frame `scale` times as large; pixel centres are at integers."""
    out = to_frame * scale
    out[:, 2] += (scale - 1) / 2
    return out


def _shifts(pixel: PixelFormat, plane: int) -> tuple[int, int]:
    chroma = pixel.model == "yuv" and plane in (1, 2)
    return (pixel.shift_x, pixel.shift_y) if chroma else (0, 0)


def _to_plane(shifts: tuple[int, int]) -> NDArray[np.float64]:
    """(2, 3): from luma positions to positions in a subsampled plane, where MPEG puts its samples.

    Horizontally at every second luma sample, vertically halfway between two rows.
    """
    across, down = 1 << shifts[0], 1 << shifts[1]
    return np.array([[1 / across, 0, 0], [0, 1 / down, (1 - down) / (2 * down)]])


def _add(
    plane: Plane,
    value: Float32,
    to_out: NDArray[np.float64],
    shifts: tuple[int, int],
    pixel: PixelFormat,
) -> None:
    """Add `value` (S, S), in code values, to `plane` where the canvas lies in it."""
    to_plane = _to_plane(shifts) @ np.vstack([to_out, [0, 0, 1]])
    x0, y0, x1, y1 = canvas_bounds(to_plane, plane.shape[1], plane.shape[0], len(value))
    if x0 >= x1 or y0 >= y1:
        return
    spacing = np.sqrt(abs(np.linalg.det(to_plane[:, :2])))
    if spacing < 1:
        # Fewer pixels than the canvas has: what they cannot show must not alias into them.
        sigma = 0.5 * np.sqrt(1 / spacing**2 - 1) + 1e-3
        value = np.asarray(cv2.GaussianBlur(value, (0, 0), sigma), np.float32)
    to_box = to_plane - np.array([[0, 0, x0], [0, 0, y0]])
    box = cv2.warpAffine(
        value,
        to_box,
        (x1 - x0, y1 - y0),
        flags=cv2.INTER_CUBIC if spacing > 1 else cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
    )
    inside = plane[y0:y1, x0:x1]
    top = (1 << pixel.bits) - 1
    plane[y0:y1, x0:x1] = np.clip(np.rint(inside + box), 0, top).astype(plane.dtype)
