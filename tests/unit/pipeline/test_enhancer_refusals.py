"""Frames and calls that make no sense are refused in one clear line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import facepipe
from facepipe import Analysis, FaceEnhancer, InputError, Settings, UsageError, load_settings
from facepipe.pipeline.live import least_latency
from media.pictures import Pictures


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        (lambda f: [], InputError, "not one frame"),
        (lambda f: f[0], UsageError, "enhance_image"),
        (lambda f: 7, UsageError, "of type int"),
        (lambda f: [f[0].tolist()], InputError, "of type list; facepipe takes"),
        (lambda f: [f[0].astype(np.float32)], InputError, "136 x 240 x 3 of float32"),
        (lambda f: [f[0][..., :2]], InputError, "136 x 240 x 2 of uint8"),
        (lambda f: [torch.zeros(3, 8, 8)], InputError, "a tensor of 3 x 8 x 8 of float32"),
        (lambda f: [torch.zeros(5, 8, 8, dtype=torch.uint8)], InputError, "tensor of 5 x 8"),
        (lambda f: [torch.zeros(8, 9, 4, dtype=torch.uint8)], InputError, "tensor of 8 x 9 x 4"),
        (lambda f: [torch.zeros(8, 9, dtype=torch.uint8)], InputError, "a tensor of 8 x 9 of"),
        (lambda f: [f[0], f[1][:100]], InputError, "frame 1 is an array of 100 x 240 x 3"),
        (lambda f: [f[0], torch.from_numpy(f[1])], InputError, "frame 1 is .*Tensor"),
        (lambda f: [torch.from_numpy(f[1]), f[0]], InputError, "frame 1 is a ndarray of 136"),
        (lambda f: [image(f[0], 5), image(f[1], 5)], InputError, "pts 5, which does not lie"),
        (lambda f: [image(f[0], 5), image(f[1], None)], InputError, "all need times, or none"),
        (lambda f: [image(f[0], 5), f[1]], InputError, "frame 1 is a ndarray"),
        (lambda f: [image(f[0], 1), image(f[0][:90], 2)], InputError, "frame 1 has 240x90 px"),
        (lambda f: [av.VideoFrame(8, 8, "pal8")], InputError, "pixel format pal8"),
        (lambda f: once_shorter(f), InputError, "from number 3 on"),
        (lambda f: once_longer(f), InputError, "from number 3 on"),
    ],
)  # fmt: skip
def test_frames_that_cannot_be_taken_are_named(
    given: Callable[[Pictures], Any],
    error: type[Exception],
    words: str,
    enhancer: FaceEnhancer,
    frames: Pictures,
) -> None:
    with pytest.raises(error, match=words):
        list(enhancer.enhance(given(frames)))


def image(pixels: NDArray[np.uint8], pts: int | None) -> av.VideoFrame:
    made = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
    made.pts, made.time_base = pts, Fraction(1, 25)
    return made


def once_shorter(frames: Pictures) -> Callable[[], Iterator[NDArray[np.uint8]]]:
    counts = iter([4, 3])
    return lambda: iter(frames[: next(counts)])


def once_longer(frames: Pictures) -> Callable[[], Iterator[NDArray[np.uint8]]]:
    counts = iter([3, 4])
    return lambda: iter(frames[: next(counts)])


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"settings": {"detect": 1}}, "load_settings"),
        ({"channels": "yuv"}, "'rgb' and 'bgr'"),
        ({"rate": 0}, "rate is 0"),
        ({"rate": "25"}, "rate is '25'"),
        ({"threads": 0}, "threads is 0"),
    ],
)  # fmt: skip
def test_arguments_that_make_no_sense_are_named(how: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        FaceEnhancer(**how)


def test_calls_that_make_no_sense_are_named(
    enhancer: FaceEnhancer, frames: Pictures, analysis: Analysis, source: Path
) -> None:
    least = least_latency(Settings())
    tracks = FaceEnhancer(load_settings(overrides={"choose.tracks": "1"}))
    part = FaceEnhancer(load_settings(overrides={"output.end": 1.0}))
    later = replace(analysis, time_base=Fraction(1, 50))
    for error, words, call in (
        (UsageError, f"at least {least}", lambda: enhancer.live(frames, latency=least - 1)),
        (UsageError, "choose.tracks", lambda: tracks.live(frames)),
        (UsageError, "path of a video", lambda: enhancer.live(str(source))),
        (UsageError, "output.start", lambda: part.enhance(frames)),
        (UsageError, "analysis is of type dict", lambda: enhancer.render(frames, {})),  # type: ignore[call-overload]
        (UsageError, "enhance takes many", lambda: enhancer.enhance_image(frames)),
        (InputError, "does not exist", lambda: enhancer.enhance("nothing.mp4")),
        (InputError, "time base 1/50", lambda: enhancer.render(frames, later)),
        (InputError, "of 240x136 px", lambda: enhancer.render([f[:90] for f in frames], analysis)),
    ):
        with pytest.raises(error, match=words):
            list(call())  # type: ignore[call-overload]


def test_frames_that_come_once_take_no_more_disk_than_they_may(
    frames: Pictures, tmp_path: Path
) -> None:
    megabytes = 5 * frames[0].nbytes / 1e6
    with FaceEnhancer(spool=tmp_path, spool_gigabytes=megabytes / 1000) as own:
        with pytest.raises(UsageError, match="spool_gigabytes"):
            list(own.enhance(iter(frames)))
        assert len(list(own.enhance(iter(frames[:5])))) == 5
        begun = own.enhance(iter(frames[:5]))
        next(begun)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(UsageError, match="was closed"):
        own.analyze(frames)
    with pytest.raises(facepipe.OutputError, match="name another folder with spool="):
        FaceEnhancer(spool=tmp_path / "nothing").analyze(iter(frames))


def test_what_the_caller_raises_passes(enhancer: FaceEnhancer) -> None:
    def broken() -> Iterator[NDArray[np.uint8]]:
        yield np.zeros((64, 64, 3), np.uint8)
        raise ConnectionError("the camera is gone")

    for call in (enhancer.enhance, enhancer.live):
        with pytest.raises(ConnectionError, match="the camera is gone"):
            list(call(broken()))
