"""Corrupt analysis.json: parsing, and the render pass of one that is accepted."""

from __future__ import annotations

import contextlib
import json
import random
import tempfile
from dataclasses import replace
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from facepipe.configs.settings import ChooseSettings, LimitSettings
from facepipe.datatypes import Analysis, Colour, Frame, PixelFormat, Span, Track, VideoInfo
from facepipe.errors import FacepipeError
from facepipe.faces.restoration.crop import crop
from facepipe.faces.tracking.fade import faded
from facepipe.pipeline.advice import scale_advice
from facepipe.pipeline.analysis_file import read_analysis, write_analysis
from facepipe.pipeline.limits import check_crowd
from facepipe.pipeline.selection import choose
from facepipe.pipeline.sidecar import changed_box
from facepipe.pipeline.tasks import tracks_within

PTS = tuple(range(0, 40 * 512, 512))
VIDEO = VideoInfo(
    path="video.mp4",
    container="mp4",
    stream_index=0,
    codec="h264",
    width=96,
    height=64,
    pix_fmt="gray",
    time_base=Fraction(1, 12800),
    pts=PTS,
    keyframe_pts=PTS[::10],
    rotation=0,
    sample_aspect_ratio=None,
    others=(),
)
LIMITS = LimitSettings(faces=20, tracks=50, analysis_megabytes=1)
_PLANE = np.tile(np.arange(96, dtype=np.uint8), (64, 1))


def track(number: int, knots: int = 3) -> Track:
    """A track of a face that moves a little."""
    rng = np.random.default_rng(number)
    corner = rng.uniform(0, 30, (knots, 2)).astype(np.float32)
    shape = np.array([[8, 10], [22, 10], [15, 17], [10, 24], [20, 24]], np.float32)
    return Track(
        number=number,
        pts=np.arange(knots, dtype=np.int64) * 512 * number,
        boxes=np.hstack([corner, corner + 30]),
        landmarks=corner[:, None] + shape,
        scores=np.full(knots, 0.9, np.float32),
    )


def analysis(*tracks: Track) -> Analysis:
    """An analysis of VIDEO."""
    return Analysis("a" * 64, VIDEO.time_base, 40, 96, 64, tracks, (512, 2048), ("a warning",))


def written(made: Analysis) -> bytes:
    """The analysis as the bytes of its file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "analysis.json"
        write_analysis(made, path)
        return path.read_bytes()


@cache
def seeds() -> dict[str, bytes]:
    """Analyses as the analysis pass writes them."""
    refused = replace(track(2), enhance=False, reason="too short")
    return {
        "empty": written(analysis()),
        "one": written(analysis(track(1, knots=1))),
        "two": written(analysis(track(1), refused)),
        "many": written(analysis(*(track(number) for number in range(1, 9)))),
    }


def read(data: bytes) -> Analysis:
    """Parse the bytes of a file. Raises FacepipeError only."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "analysis.json"
        path.write_bytes(data)
        return read_analysis(path, LIMITS)


def nodes(tree: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all values in a JSON tree."""
    found = [place]
    inner = tree.items() if isinstance(tree, dict) else ()
    for key, value in enumerate(tree) if isinstance(tree, list) else inner:
        found += nodes(value, (*place, key))
    return found


def put(tree: Any, place: tuple[Any, ...], value: object) -> Any:
    """The tree with another value at that path."""
    if not place:
        return value
    inner = tree
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    return tree


def mutate(data: bytes, max_size: int, seed: int) -> bytes:
    """Mutate one value of the JSON: random bytes seldom leave valid JSON."""
    rng = random.Random(seed)
    try:
        tree = json.loads(data)
        place = rng.choice(nodes(tree))
        value = rng.choice((0, 1, -1, 2**62, 10**9, 1e6, -1e6, 1e-9, 0.5, "", "1/7", [], {}, None))
        if rng.random() < 0.5:
            value = rng.uniform(-100, 200)
        elif rng.random() < 0.5:
            other = rng.choice(nodes(tree))
            value = tree
            for key in other:
                value = value[key]
            value = json.loads(json.dumps(value))
        return json.dumps(put(tree, place, value)).encode()[:max_size]
    except (ValueError, RecursionError):
        return rng.choice(list(seeds().values()))[:max_size]


def fuzz_one(data: bytes) -> None:
    """Parse it, and run the steps of the render pass that come before the network."""
    with contextlib.suppress(FacepipeError):
        use(read(data))


def use(found: Analysis) -> None:
    """Run the steps of a render. Raises FacepipeError only."""
    tracks = choose(found.tracks, ChooseSettings(largest=10), VIDEO)
    check_crowd(tracks, LIMITS)
    tracks = faded(tracks, found.cuts, VIDEO, PTS[0], PTS[-1] + 1)
    scale_advice(replace(found, tracks=tracks), 1)
    for one in tracks:
        for knot in range(min(len(one.pts), 3)):
            changed_box(one, knot, scale=1, width=found.width, height=found.height)
    for span in (Span(0, PTS[0], PTS[20]), Span(1, PTS[20], PTS[-1] + 1)):
        inside = tracks_within(tracks, span, VIDEO)
        frames = [
            Frame(
                pts=pts,
                format=PixelFormat("gray", "gray", 8),
                colour=Colour(full_range=True),
                planes=(_PLANE,),
            )
            for pts in PTS[:3]
        ]
        crops = crop(frames, inside)
        assert np.isfinite(crops.pixels).all()
        assert np.isfinite(crops.to_frame).all()
