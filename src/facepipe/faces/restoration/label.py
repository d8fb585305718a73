"""The visible label: "AI-enhanced", small, in the lower right corner of the picture as shown."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np

from facepipe.datatypes import Float32, Frame, Plane

TEXT = "AI-enhanced"
#: Height of the label as a share of the shorter side, in px at least, and its largest width as a
#: share of the picture's.
_HEIGHT, _LEAST, _WIDEST = 0.045, 14, 0.5
#: How opaque the dark plate and the light text are.
_PLATE, _INK = 0.45, 0.9
#: White of the text as a share of the range: in more than 8 bits, as HDR's white is.
_WHITE, _WHITE_DEEP = 0.9, 0.58
_STEP = 4  # px to which the label is aligned, for subsampled chroma
_DRAWN = 160  # px of height in which the text is drawn, before it is made smaller
_FONT, _THICKNESS = cv2.FONT_HERSHEY_SIMPLEX, 9


class _Stamp(NamedTuple):
    """The label on the coded frame: its place, and how a pixel p becomes p * keep + light * 1."""

    x: int
    y: int
    keep: Float32  # (H, W), the share of the frame's own pixel
    light: Float32  # (H, W), what is added, as a share of white


def labelled(
    frames: Iterator[Frame],
    times: tuple[tuple[int, int], ...],
    *,
    rotation: int = 0,
    aspect: Fraction = Fraction(1),
) -> Iterator[Frame]:
    """Label the frames whose pts lies in one of `times`, first and last; others as they are.

    `rotation` degrees counter-clockwise and pixels of the shape `aspect` make the picture as shown.
    """
    for frame in frames:
        shown = any(first <= frame.pts <= last for first, last in times)
        yield label(frame, rotation=rotation, aspect=aspect) if shown else frame


def label(frame: Frame, *, rotation: int = 0, aspect: Fraction = Fraction(1)) -> Frame:
    """Burn the label into a frame; see `labelled`. A frame too small for it stays as it is."""
    stamp = _stamp(frame.width, frame.height, rotation // 90 % 4, aspect)
    if stamp is None:
        return frame
    bits, yuv = frame.format.bits, frame.format.model == "yuv"
    top = (1 << bits) - 1
    deep = bits > 8 and frame.format.model != "rgb"
    white = _WHITE_DEEP if deep else _WHITE
    limited = frame.format.model != "rgb" and not frame.colour.full_range
    black, span = (16 << (bits - 8), 219 << (bits - 8)) if limited else (0, top)
    planes = list(frame.planes)
    for number, plane in enumerate(planes):
        is_alpha = frame.format.alpha and number == len(planes) - 1
        shifts = (0, 0)
        if is_alpha:
            added: Float32 = (1 - stamp.keep) * np.float32(top)
        elif yuv and number in (1, 2):
            shifts = frame.format.shift_x, frame.format.shift_y
            added = (1 - stamp.keep) * np.float32(1 << (bits - 1))
        else:
            added = (1 - stamp.keep) * np.float32(black) + stamp.light * np.float32(white * span)
        planes[number] = _changed(plane, stamp, added, shifts, top)
    return frame.with_planes(tuple(planes))


def _changed(
    plane: Plane, stamp: _Stamp, added: Float32, shifts: tuple[int, int], top: int
) -> Plane:
    """A copy of the plane with the label in it."""
    keep = _smaller(stamp.keep, shifts)
    more = _smaller(added, shifts)
    made = plane.copy()
    x, y = stamp.x >> shifts[0], stamp.y >> shifts[1]
    inside = made[y : y + keep.shape[0], x : x + keep.shape[1]]
    inside[...] = np.clip(np.rint(inside * keep + more), 0, top).astype(plane.dtype)
    made.setflags(write=False)
    return made


def _smaller(values: Float32, shifts: tuple[int, int]) -> Float32:
    height, width = values.shape
    size = (width >> shifts[0], height >> shifts[1])
    return np.asarray(cv2.resize(values, size, interpolation=cv2.INTER_AREA), np.float32)


@lru_cache(maxsize=4)
def _stamp(width: int, height: int, turns: int, aspect: Fraction) -> _Stamp | None:
    """The label on frames of that size, which are turned so many quarters to be shown."""
    shown_width, shown_height = width * float(aspect), float(height)
    if turns % 2:
        shown_width, shown_height = shown_height, shown_width
    text, plate = _drawn()
    ratio = text.shape[1] / text.shape[0]
    tall = max(min(shown_width, shown_height) * _HEIGHT, _LEAST)
    tall = min(tall, shown_width * _WIDEST / ratio)
    wide = tall * ratio
    if turns % 2:
        wide, tall = tall, wide
    size = _aligned(wide / float(aspect)), _aligned(tall)
    if size[0] > width or size[1] > height or min(size) < _STEP:
        return None
    # Shown are frames turned counter-clockwise: the label is turned the other way.
    ink, dark = (
        cv2.resize(np.ascontiguousarray(np.rot90(one, -turns)), size, interpolation=cv2.INTER_AREA)
        for one in (text, plate)
    )
    margin = _STEP if min(width, height) < 200 else 2 * _STEP
    spare = width - size[0] - margin, height - size[1] - margin
    far = tuple(max(room // _STEP * _STEP, 0) for room in spare)
    near = tuple(min(margin, limit) for limit in far)
    x, y = ((far[0], far[1]), (near[0], far[1]), (near[0], near[1]), (far[0], near[1]))[turns]
    keep = (1 - _PLATE * dark) * (1 - _INK * ink)
    return _Stamp(x, y, np.asarray(keep, np.float32), np.asarray(_INK * ink, np.float32))


def _aligned(length: float) -> int:
    return max(round(length / _STEP), 1) * _STEP


@lru_cache(maxsize=1)
def _drawn() -> tuple[Float32, Float32]:
    """The text and the plate behind it, each (H, W) from 0 to 1, drawn large."""
    scale = cv2.getFontScaleFromHeight(_FONT, round(_DRAWN * 0.5), _THICKNESS)
    (wide, tall), _ = cv2.getTextSize(TEXT, _FONT, scale, _THICKNESS)
    text = np.zeros((_DRAWN, wide + round(_DRAWN * 0.5)), np.uint8)
    at = (round(_DRAWN * 0.25), (_DRAWN + tall) // 2)
    cv2.putText(text, TEXT, at, _FONT, scale, 255, _THICKNESS, cv2.LINE_AA)
    ink = np.asarray(text, np.float32) / np.float32(255)
    return ink, np.ones(ink.shape, np.float32)
