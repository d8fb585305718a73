"""Opening and describing: what FFmpeg says of a trouble comes whole."""

from __future__ import annotations

from fractions import Fraction

import av
import pytest
from av.codec import Codec

from facepipe.media.containers import describe


def test_ffmpegs_own_words_are_given_whole() -> None:
    context = Codec("mpeg2video", "w").create("video")
    context.width, context.height, context.pix_fmt = 96, 64, "yuv420p"
    context.time_base = Fraction(1, 12800)
    before = av.logging.get_level()
    av.logging.set_level(av.logging.ERROR)
    try:
        with av.logging.Capture(), pytest.raises(av.FFmpegError) as raised:
            context.open()
    finally:
        av.logging.set_level(before)
    assert describe(raised.value) == "MPEG-1/2 does not support 12800/1 fps"


def test_without_a_log_its_number_has_words() -> None:
    assert describe(av.FFmpegError(22, "Invalid argument")) == "Invalid argument"
    assert describe(ValueError("no such codec")) == "no such codec"
