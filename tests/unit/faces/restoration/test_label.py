"""The visible label: where it lies, in each pixel format, and what it leaves alone."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from facepipe.datatypes import Colour, Frame, PixelFormat, Track
from facepipe.faces.restoration.label import label, labelled
from facepipe.pipeline.label_times import label_times

FORMATS = [
    PixelFormat("yuv420p", "yuv", 8, 1, 1),
    PixelFormat("yuv422p10le", "yuv", 10, 1, 0),
    PixelFormat("yuva444p12le", "yuv", 12, alpha=True),
    PixelFormat("gbrp", "rgb", 8),
    PixelFormat("gray", "gray", 8),
    PixelFormat("ya8", "gray", 8, alpha=True),
]


def frame(pixel: PixelFormat, size: tuple[int, int] = (321, 241), pts: int = 0) -> Frame:
    """A grey frame of a width and height."""
    count = {"gray": 1}.get(pixel.model, 3) + pixel.alpha
    planes = []
    for number in range(count):
        chroma = pixel.model == "yuv" and number in (1, 2)
        x, y = (pixel.shift_x, pixel.shift_y) if chroma else (0, 0)
        shape = (-(-size[1] >> y), -(-size[0] >> x))
        kind = np.uint8 if pixel.bits == 8 else np.uint16
        planes.append(np.full(shape, 1 << (pixel.bits - 1), kind))
    return Frame(pts=pts, format=pixel, colour=Colour(), planes=tuple(planes))


def changed(before: Frame, after: Frame) -> tuple[int, int, int, int]:
    """The box x0, y0, x1, y1 of what differs in the first plane."""
    rows, columns = np.nonzero(before.planes[0] != after.planes[0])
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


@pytest.mark.parametrize("pixel", FORMATS, ids=lambda pixel: pixel.name)
def test_in_the_lower_right_corner_of_each_format(pixel: PixelFormat) -> None:
    before = frame(pixel)
    after = label(before)
    x0, y0, x1, y1 = changed(before, after)
    assert 321 * 0.6 < x0 < x1 <= 321
    assert 241 * 0.8 < y0 < y1 <= 241
    inside = after.planes[0][y0:y1, x0:x1].astype(float) / (1 << pixel.bits)
    assert inside.min() < 0.35
    assert inside.max() > (0.5 if pixel.bits > 8 else 0.75)
    for one, other in zip(before.planes, after.planes, strict=True):
        assert one.shape == other.shape
        assert one.dtype == other.dtype
    if pixel.alpha:
        assert after.planes[-1][y0:y1, x0:x1].min() > before.planes[-1].min()


@pytest.mark.parametrize("rotation", [0, 90, 180, 270, -90])
def test_in_the_corner_of_the_picture_as_shown(rotation: int) -> None:
    before = frame(FORMATS[0])
    after = label(before, rotation=rotation)
    turns = rotation // 90 % 4
    shown = np.rot90(before.planes[0] != after.planes[0], turns)
    rows, columns = np.nonzero(shown)
    assert columns.min() > shown.shape[1] * 0.5
    assert rows.min() > shown.shape[0] * 0.8
    assert np.ptp(columns) > 3 * np.ptp(rows)


def test_pixels_that_are_wide_make_a_narrow_label() -> None:
    before = frame(FORMATS[0], (720, 576))
    square = changed(before, label(before))
    wide = changed(before, label(before, aspect=Fraction(64, 45)))
    assert (wide[2] - wide[0]) / (square[2] - square[0]) == pytest.approx(45 / 64, abs=0.04)


def test_tiny_frames_and_other_times_are_left_alone() -> None:
    tiny = frame(FORMATS[0], (4, 2))
    assert label(tiny) is tiny
    frames = [frame(FORMATS[0], pts=pts) for pts in range(6)]
    out = list(labelled(iter(frames), ((1, 2), (5, 9))))
    assert [a is b for a, b in zip(frames, out, strict=True)] == [
        True, False, False, True, True, False
    ]  # fmt: skip
    assert not np.shares_memory(frames[1].planes[0], out[1].planes[0])


def track(first: int, last: int, *, enhance: bool = True) -> Track:
    return Track(
        number=1,
        pts=np.array([first, last], np.int64),
        boxes=np.zeros((2, 4), np.float32),
        landmarks=np.zeros((2, 5, 2), np.float32),
        scores=np.ones(2, np.float32),
        enhance=enhance,
        reason=None if enhance else "refused",
    )


def test_it_stays_over_short_pauses() -> None:
    tracks = (track(60, 90), track(0, 40), track(10, 30), track(200, 210),
              track(100, 190, enhance=False))  # fmt: skip
    assert label_times(tracks, Fraction(1, 25)) == ((0, 90), (200, 210))
    assert label_times((), Fraction(1, 25)) == ()
