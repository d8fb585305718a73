"""Which video stream is enhanced: the largest, or the one that was asked for."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from conformance.clips import Cover, Second, Sound, assemble
from facepipe.errors import UsageError
from facepipe.video import probe
from facepipe.video.probe import glance
from media import synthetic

SMALL = partial(synthetic.video, frames=5, size=(48, 32))
VIDEO = partial(synthetic.video, frames=5)


def previewed(path: Path) -> Path:
    return assemble(path, VIDEO, Sound(seconds=0.2), before=(Second(SMALL), Cover()))


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_the_largest_is_taken_and_the_choice_reported(suffix: str, tmp_path: Path) -> None:
    if suffix == ".mp4":
        path = previewed(tmp_path / "a.mp4")
    else:
        path = assemble(tmp_path / f"a{suffix}", VIDEO, before=(Second(SMALL),))
    info = probe(path)
    assert (info.width, info.height) == (96, 64)
    assert next(s.index for s in info.others if s.kind == "video") == 0
    (warning,) = info.warnings
    assert warning.startswith(f"the video is stream {info.stream_index} (h264, 96x64); stream 0 ")
    assert warning.endswith("--stream 0 takes that")
    assert (glance(path).width, glance(path, 0).width) == (96, 48)


def test_the_first_of_equals_is_taken(tmp_path: Path) -> None:
    path = assemble(tmp_path / "a.mkv", VIDEO, Second(VIDEO))
    assert probe(path).stream_index == 0


def test_a_stream_is_taken_by_its_number(tmp_path: Path) -> None:
    path = previewed(tmp_path / "a.mp4")
    info = probe(path, stream=0)
    assert (info.stream_index, info.width) == (0, 48)
    assert "--stream 1 takes that" in info.warnings[0]
    with pytest.raises(UsageError, match=r"--stream 3: no video stream of .* \(h264, 48x32\)"):
        probe(path, stream=3)
    with pytest.raises(UsageError, match="--stream 3: no video stream"):
        probe(path, stream=next(s.index for s in info.others if s.codec == "mjpeg"))


def test_one_video_needs_no_words(tmp_path: Path) -> None:
    assert probe(VIDEO(tmp_path / "a.mp4")).warnings == ()


def test_a_single_large_picture_is_no_video(tmp_path: Path) -> None:
    large = partial(synthetic.video, frames=1, size=(192, 128))
    path = assemble(tmp_path / "a.mp4", VIDEO, before=(Second(large),))
    assert (probe(path).stream_index, probe(path).width) == (1, 96)
    assert probe(path, stream=0).width == 192
