"""Opening, reading and describing: what FFmpeg says of a trouble comes whole."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.codec import Codec

from facepipe.video import probe
from facepipe.video.muxing.concat import last_duration
from facepipe.video.sources import demuxed, describe, open_source


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


def _transport_stream(path: Path, first: int, frames: int, *, sound: bool) -> bytes:
    noise = np.random.default_rng(0)
    options = {"qmin": "1", "qmax": "1", "g": "1"}  # FFmpeg learns the streams from 5 MB
    with av.open(str(path), "w", format="mpegts") as out:
        video = out.add_stream("mpeg2video", rate=25, options=options)
        video.width, video.height, video.pix_fmt = 480, 360, "yuv420p"
        video.bit_rate = 200_000_000
        audio = out.add_stream("mp2", rate=48000) if sound else None
        for number in range(first, first + frames):
            picture = noise.integers(0, 256, (360, 480, 3)).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, "rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            out.mux(video.encode(frame))
        out.mux(video.encode())
        if audio:
            for number in range(20):
                quiet = av.AudioFrame.from_ndarray(np.zeros((1, 2304), np.int16), "s16", "stereo")
                quiet.sample_rate, quiet.pts = 48000, number * 1152
                out.mux(audio.encode(quiet))
            out.mux(audio.encode())
    return path.read_bytes()


def test_a_stream_that_begins_midway_hides_no_other(tmp_path: Path) -> None:
    path = tmp_path / "video.ts"
    path.write_bytes(
        _transport_stream(path, 0, 25, sound=False)
        + _transport_stream(path, 25, 3, sound=True)
        + _transport_stream(path, 28, 40, sound=False)
    )
    with open_source(path) as opened:
        assert len(opened.streams) == 1
        packets = [packet.size for packet in demuxed(opened)]
    assert len(packets) == 69
    assert packets.index(0) == 68
    with open_source(path) as opened:
        video = opened.streams.video[0]
        assert sum(bool(packet.size) for packet in demuxed(opened, video)) == 68
    info = probe(path)
    assert len(info.pts) == 68
    assert last_duration(info, info.pts[-1]) == 3600
