"""An encoder that makes its process real-time is held to what it was before."""

from __future__ import annotations

import os
import sys
from fractions import Fraction
from pathlib import Path

import av
import pytest

from facepipe.video import EncodeSettings, decode, encode, probe
from facepipe.video.pyav.scheduling import kept_scheduling
from media import synthetic
from media.video_checks import whole

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="this machine is not Linux")


def policies() -> set[int]:
    tasks = Path("/proc/self/task").iterdir()
    return {os.sched_getscheduler(int(task.name)) for task in tasks}


def opened() -> av.VideoCodecContext:
    """SVT-AV1, ready to encode."""
    context = av.codec.Codec("libsvtav1", "w").create("video")
    context.width, context.height, context.pix_fmt = 96, 64, "yuv420p"
    context.time_base = Fraction(1, 25)
    context.options = {"preset": "12", "svtav1-params": "lp=1"}
    context.open()
    return context


@pytest.mark.skipif(
    sys.platform == "linux" and os.geteuid() != 0, reason="this machine runs tests without root"
)
def test_the_encoder_takes_the_machine_where_nobody_holds_it() -> None:
    with kept_scheduling():
        context = opened()
        assert os.SCHED_FIFO in policies(), "SVT-AV1 no longer does that: kept_scheduling can go"
        del context


def test_no_thread_is_real_time_while_the_encoder_is_open() -> None:
    before = policies()
    with kept_scheduling():
        context = opened()
    assert policies() == before
    del context


def test_a_video_is_encoded_without_it(tmp_path: Path) -> None:
    before = policies()
    info = probe(synthetic.plain(tmp_path / "in.mp4", frames=4))
    settings = EncodeSettings("libsvtav1", (("preset", "12"),), threads=1)
    frames = decode(info, whole(info))
    encode(frames, tmp_path / "out.mkv", info=info, span=whole(info), settings=settings)
    assert policies() == before
