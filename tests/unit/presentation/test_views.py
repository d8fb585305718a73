"""Frames around a moment, and the output's frame of the same time."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from facepipe.datatypes import Colour, Frame, PixelFormat, VideoInfo
from facepipe.faces.restore import NEIGHBOUR_FRAMES
from facepipe.presentation.views import _windows, output_pts

INFO = VideoInfo(
    path="in.mp4", container="mp4", stream_index=0, codec="h264", width=64, height=48,
    pix_fmt="yuv420p", time_base=Fraction(1, 25), pts=tuple(range(100)), keyframe_pts=(0,),
    rotation=0, sample_aspect_ratio=None, others=(),
)  # fmt: skip


def frames(*pts: int) -> list[Frame]:
    gray = PixelFormat("gray", "gray", 8)
    plane = np.zeros((2, 2), np.uint8)
    return [Frame(pts=one, format=gray, colour=Colour(), planes=(plane,)) for one in pts]


def test_a_moment_comes_with_its_neighbours() -> None:
    found = dict(_windows(frames(*range(40)), [0, 20, 22, 39]))
    assert [f.pts for f in found[20]] == list(range(20 - NEIGHBOUR_FRAMES, 21 + NEIGHBOUR_FRAMES))
    assert [f.pts for f in found[22]] == list(range(22 - NEIGHBOUR_FRAMES, 23 + NEIGHBOUR_FRAMES))
    assert [f.pts for f in found[0]] == list(range(NEIGHBOUR_FRAMES + 1))
    assert [f.pts for f in found[39]] == list(range(39 - NEIGHBOUR_FRAMES, 40))


def test_a_moment_whose_frame_does_not_decode_is_left_out() -> None:
    found = dict(_windows(frames(*range(10), *range(11, 30)), [10, 12]))
    assert list(found) == [12]


@pytest.mark.parametrize(
    ("earlier", "time_base", "pts", "expected"),
    [
        (Fraction(0), Fraction(1, 25), 7, 7),
        (Fraction(2), Fraction(1, 25), 60, 10),
        (Fraction(0), Fraction(1, 12800), 7, 7 * 512),
        (Fraction(2), Fraction(1, 25), 7, None),  # before the output begins
    ],
)
def test_the_output_shows_a_frame_at_its_own_time(
    earlier: Fraction, time_base: Fraction, pts: int, expected: int | None
) -> None:
    step = int(Fraction(1, 25) / time_base)
    output = replace(INFO, time_base=time_base, pts=tuple(range(0, 100 * step, step)))
    assert output_pts(pts, INFO, output, earlier) == expected
