"""Corrupt videos: probe gives consistent results, and decode ends."""

from __future__ import annotations

import contextlib
import tempfile
from functools import cache
from pathlib import Path

import av

from facepipe.configs.settings import LimitSettings
from facepipe.datatypes import Span
from facepipe.errors import FacepipeError
from facepipe.pipeline.spans import plan_spans
from facepipe.video import decode, probe

LIMITS = LimitSettings(frame_megapixels=4, frames=2000)


@cache
def seeds() -> dict[str, bytes]:
    """Small videos in several containers."""
    from media import synthetic

    av.logging.set_level(None)
    with tempfile.TemporaryDirectory() as folder:
        there = Path(folder)
        made = {
            "mp4": synthetic.video(there / "a.mp4", frames=4, size=(32, 32), audio=1),
            "mkv": synthetic.video(there / "a.mkv", frames=4, size=(32, 32)),
            "nut": synthetic.video(there / "a.nut", codec="ffv1", frames=2, size=(16, 16)),
            "avi": synthetic.video(
                there / "a.avi", codec="mpeg4", pts=range(4), time_base=synthetic.Fraction(1, 25)
            ),
            "ts": synthetic.video(
                there / "a.ts",
                codec="mpeg2video",
                pts=range(4),
                time_base=synthetic.Fraction(1, 25),
            ),
        }
        return {name: path.read_bytes() for name, path in made.items()}


def frames_of(data: bytes) -> int:
    """Number of frames that decode."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "video"
        path.write_bytes(data)
        info = probe(path, LIMITS)
        return sum(1 for _ in decode(info, Span(0, info.pts[0], info.pts[-1] + 1)))


def fuzz_one(data: bytes) -> None:
    """Probe, plan and decode; only FacepipeError may be raised."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "video"
        path.write_bytes(data)
        with contextlib.suppress(FacepipeError):
            info = probe(path, LIMITS)
            assert info.width > 0
            assert info.height > 0
            assert list(info.pts) == sorted(info.pts)
            assert set(info.keyframe_pts) <= set(info.pts)
            spans = plan_spans(info, span_seconds=1.0)
            covered = sum(span.start <= pts < span.stop for pts in info.pts for span in spans)
            assert covered == len(info.pts)
            last = None
            for frame in decode(info, Span(0, info.pts[0], info.pts[-1] + 1)):
                assert last is None or frame.pts >= last
                assert (frame.width, frame.height) == (info.width, info.height)
                last = frame.pts
