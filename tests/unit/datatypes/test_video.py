"""A frame has planes, and a video a rate."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from facepipe.datatypes import Colour, Frame, PixelFormat, VideoInfo

GRAY = PixelFormat("gray", "gray", 8)


def test_planes_are_of_two_axes() -> None:
    with pytest.raises(ValueError, match="2-D arrays"):
        Frame(pts=0, format=GRAY, colour=Colour(), planes=(np.zeros((2, 2, 3), np.uint8),))


def test_a_frame_shows_its_size_and_no_values() -> None:
    frame = Frame(pts=9, format=GRAY, colour=Colour(), planes=(np.zeros((4, 6), np.uint8),))
    assert repr(frame) == "Frame(pts=9, gray, 6x4)"


def test_a_video_of_one_frame_has_a_rate() -> None:
    info = VideoInfo(
        "a", "mp4", 0, "h264", 2, 2, "gray", Fraction(1, 25), (5,), (5,), 0, None, ()
    )  # fmt: skip
    assert (info.seconds, info.frames_per_second) == (0, 25)
