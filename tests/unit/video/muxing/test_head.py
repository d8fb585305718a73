"""The trial reads a few packets of each stream, and one of each that begins late."""

from __future__ import annotations

from collections import Counter
from functools import partial
from pathlib import Path

import pytest

from conformance import clips
from facepipe.video import EncodeSettings, check_target, probe
from facepipe.video.muxing.head import head_packets
from facepipe.video.sources import open_source
from media import synthetic

SETTINGS = EncodeSettings("libx264", (("preset", "ultrafast"),))


def late_sound(path: Path) -> Path:
    """A video of twelve minutes whose sound begins after eleven, beside many captions."""
    video = partial(synthetic.video, pts=[12800 * 5 * n for n in range(144)])
    often = [(100 * n, 50, b"word") for n in range(5000)]
    return clips.assemble(
        path,
        video,
        clips.Captions(shown=often),
        clips.Sound(start=660, seconds=1),
        clips.Captions(shown=[(700_000, 300, b"late"), (701_000, 300, b"later")]),
    )


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return late_sound(tmp_path_factory.mktemp("late") / "a.mkv")


def test_few_of_each_and_one_of_late_ones(source: Path) -> None:
    info = probe(source)
    with open_source(source) as opened:
        wanted = [stream for stream in opened.streams if stream.index != info.stream_index]
        found = Counter(p.stream.index for p in head_packets(opened, wanted, info, 8))
    assert found == {1: 8, 2: 1, 3: 1}


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".ts"])
def test_a_stream_that_begins_late_is_not_refused(source: Path, suffix: str) -> None:
    target = source.with_name(f"b{suffix}")
    found = check_target(source, probe(source), target, settings=SETTINGS, allow_loss=True)
    assert 2 not in found.leave_out
