"""What a span costs, before it is rendered."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np

from facepipe.configs.settings import RestoreSettings
from facepipe.datatypes import Span, Track, VideoInfo
from facepipe.pipeline.tasks import FACE_WORK, RenderTask, rendering_work
from facepipe.video import EncodeSettings

VIDEO = VideoInfo(
    path="video.mp4", container="mp4", stream_index=0, codec="h264", width=64, height=64,
    pix_fmt="yuv420p", time_base=Fraction(1, 25), pts=tuple(range(0, 200, 2)), keyframe_pts=(0,),
    rotation=0, sample_aspect_ratio=None, others=(),
)  # fmt: skip


def track(first: int, last: int) -> Track:
    return Track(
        number=1,
        pts=np.array([first, last]),
        boxes=np.zeros((2, 4), np.float32),
        landmarks=np.zeros((2, 5, 2), np.float32),
        scores=np.ones(2, np.float32),
    )


def task(start: int, stop: int, *tracks: Track) -> RenderTask:
    settings = EncodeSettings("libx264", (), "yuv420p")
    return RenderTask(
        VIDEO, Span(0, start, stop), tracks, RestoreSettings(), settings, Path("part.nut")
    )


def test_a_faceless_span_costs_its_frames() -> None:
    assert rendering_work(task(10, 60)) == 25


def test_faces_cost_where_the_span_shows_them() -> None:
    inside, over_the_edge = track(20, 28), track(50, 150)
    assert rendering_work(task(10, 60, inside, over_the_edge)) == 25 + FACE_WORK * (5 + 5)
