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

#: Canvas px over which a paste fades in from the canvas's border.
_FEATHER = 14
#: Blur, in px of the frame, that separates what the source itself shows from finer detail.
_SOURCE_SIGMA = 0.35
#: Canvas px of the blur below which colour and light are the source's, not the restorer's.
_COLOUR_SIGMA = 30.0
#: Frame px per canvas px between which the change of a growing face fades out.
_HANDOVER = (0.85, 1.0)
#: Mean chroma of the crop, as a share of white, between which footage counts as grey or coloured.
_GREY = (0.012, 0.03)


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Change(ArrayRecord):
    """The change of one face, on its canvas: `rgb`, which is faded by `alpha` already."""

    rgb: Annotated[Float32, "128 128 3"]
    alpha: Annotated[Float32, "128 128"]
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


def face_mask(parse: Float32 | None) -> Float32:
    """(128, 128) in [0, 1]: where the restored face is pasted, from the parse (8, 32, 32).

    All but the background counts, so that hair and glasses are of one piece with the face. What the
    parse does not take for a part of a person (a hand, a microphone) stays the source's.
    """
    ramp = np.clip((np.arange(CANVAS) + 0.5) / _FEATHER, 0, 1)
    ramp = np.minimum(ramp, ramp[::-1])
    ramp = ramp * ramp * (3 - 2 * ramp)
    window = np.outer(ramp, ramp).astype(np.float32)
    if parse is None:
        return window
    person = cv2.GaussianBlur(1 - parse[0], (0, 0), 1.0)
    person = cv2.resize(person, (CANVAS, CANVAS), interpolation=cv2.INTER_LINEAR)
    return np.asarray(window * np.clip(person * 1.25 - 0.125, 0, 1), np.float32)


def _change(
    crop: Float32,
    source: Float32,
    restored: Float32,
    parse: Float32 | None,
    to_frame: NDArray[np.float64],
    strength: float,
    fidelity: float,
) -> Change:
    alpha = face_mask(parse)
    size = frame_px_per_canvas_px(to_frame)
    fade = np.clip((_HANDOVER[1] - size) / (_HANDOVER[1] - _HANDOVER[0]), 0, 1)
    invented = restored - source
    known = cv2.GaussianBlur(invented, (0, 0), _SOURCE_SIGMA / size)
    invented = invented - np.float32(fidelity) * known
    difference = source - crop + invented - _drift(invented, alpha)
    chroma = float((crop.max(2) - crop.min(2)).mean())
    colourful = float(np.clip((chroma - _GREY[0]) / (_GREY[1] - _GREY[0]), 0, 1))
    if colourful < 1:
        # Grey and infrared footage stays grey: only its light changes.
        light = difference @ np.array([0.299, 0.587, 0.114], np.float32)
        difference = colourful * difference + (1 - colourful) * light[..., None]
    amount = np.float32(strength * fade)
    rgb = difference * (amount * alpha)[..., None]
    return Change(rgb=rgb, alpha=amount * alpha, to_frame=to_frame)


def _drift(difference: Float32, alpha: Float32) -> Float32:
    """(128, 128, 3): the low-pass of `difference` within `alpha`: the drift of colour and light.

    Blurred at a quarter of the size, which so wide a blur does not show.
    """
    stacked = np.dstack([difference * alpha[..., None], alpha])
    small = cv2.resize(stacked, (CANVAS // 4, CANVAS // 4), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), _COLOUR_SIGMA / 4)
    mean = small[..., :3] / np.maximum(small[..., 3:], 1e-3)
    return np.asarray(cv2.resize(mean, (CANVAS, CANVAS)), np.float32)


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
            rgb = rgb * (1 - nearer.alpha_on(place))[..., None]
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
        bounds = canvas_bounds(to_out, frame.width, frame.height)
        if bounds[0] >= bounds[2] or bounds[1] >= bounds[3]:
            return None
        return _Placed(change, to_out, bounds)

    def alpha_on(self, other: _Placed) -> Float32:
        """This face's alpha on the other face's canvas, 0 where they do not meet."""
        a, b = self.bounds, other.bounds
        if a[0] >= b[2] or b[0] >= a[2] or a[1] >= b[3] or b[1] >= a[3]:
            return np.zeros((CANVAS, CANVAS), np.float32)
        between = cv2.invertAffineTransform(other.to_out) @ np.vstack([self.to_out, [0, 0, 1]])
        alpha = cv2.warpAffine(self.change.alpha, between, (CANVAS, CANVAS))
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
    """Add `value` (128, 128), in code values, to `plane` where the canvas lies in it."""
    to_plane = _to_plane(shifts) @ np.vstack([to_out, [0, 0, 1]])
    x0, y0, x1, y1 = canvas_bounds(to_plane, plane.shape[1], plane.shape[0])
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
