"""Constant rates: times that a source rounds are worked out, and no others."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import pytest

from conformance.clips import Sound, assemble
from facepipe.video import probe
from facepipe.video.containers import MATROSKA, MOV, MP4, MPEGTS, Container
from facepipe.video.muxing.pace import FramePace, SoundPace, frame_pace, sound_base
from media import synthetic
from media.video_checks import Render, packets

NTSC = Fraction(1, 30000)


def rounded(path: Path, pts: list[int], time_base: Fraction = NTSC) -> Path:
    """A video whose container counts in milliseconds."""
    return synthetic.video(path, pts=pts, time_base=time_base, options={"bf": "2"})


def pace_of(source: Path, container: Container) -> FramePace:
    return frame_pace(probe(source), container)


@pytest.mark.parametrize(
    ("rate", "base"), [((30000, 1001), 30000), ((24000, 1001), 24000), ((30, 1), 30000)]
)
def test_a_constant_rate_is_held(rate: tuple[int, int], base: int, tmp_path: Path) -> None:
    step, ticks = rate[1], Fraction(1, rate[0])
    numbers = [n for n in range(40) if n not in (7, 8, 21)]  # some frames are missing
    source = rounded(tmp_path / "a.mkv", [step * n for n in numbers], ticks)
    pace, info = pace_of(source, MP4), probe(source)
    assert pace.time_base == Fraction(1, base)
    placed = [pace.at(pts) for pts in info.pts]
    assert [two - one for one, two in pairwise(placed)] == [
        pace.step * (b - a) for a, b in pairwise(numbers)
    ]
    for pts, tick in zip(info.pts, placed, strict=True):
        assert abs(pts * info.time_base - tick * pace.time_base) <= info.time_base / 2
    assert pace.lasting(info.pts[-1], 33) == pace.step


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_other_times_stay(suffix: str, tmp_path: Path) -> None:
    uneven = [0, 700, 2002, 2500, 4004, 6006, 6500, 8008]
    for pts in (uneven, [40 * n * 30 for n in range(9)], [0]):
        source = rounded(tmp_path / f"a{suffix}", pts)
        info = probe(source)
        assert pace_of(source, MP4) == FramePace(info.time_base)
        assert [pace_of(source, MP4).at(time) for time in info.pts] == list(info.pts)


def test_ticks_that_are_as_coarse_stay(tmp_path: Path) -> None:
    source = rounded(tmp_path / "a.mkv", [1001 * n for n in range(9)])
    assert pace_of(source, MATROSKA) == FramePace(Fraction(1, 1000))
    assert pace_of(source, MPEGTS).time_base == NTSC


def test_sound_is_counted_in_samples(tmp_path: Path, render: Render) -> None:
    sound = Sound(rate=44100, seconds=2.0)
    source = assemble(tmp_path / "a.mkv", synthetic.plain, sound)
    render(source, tmp_path / "b.mp4")
    steps = [d for _, d, _ in packets(tmp_path / "b.mp4")[1]]
    assert set(steps[:-1]) == {1024}
    before = [(pts or 0) / 1000 for pts, *_ in packets(source)[1]]
    after = [(pts or 0) / 44100 for pts, *_ in packets(tmp_path / "b.mp4")[1]]
    assert after == pytest.approx(before, abs=0.001)


def test_sound_after_a_gap_is_where_the_source_has_it(tmp_path: Path) -> None:
    source = assemble(tmp_path / "a.mkv", synthetic.plain, Sound(rate=44100))
    with av.open(str(source)) as opened:
        stream = opened.streams.audio[0]
        base = sound_base(stream, MOV)
        assert base == Fraction(1, 44100)
        pace, placed = SoundPace(stream, base), []
        for number, packet in enumerate(opened.demux(stream)):
            if packet.size and packet.pts is not None:
                packet.pts += 300 * (number > 9)
                given = packet.pts
                pace.place(packet)
                placed.append((given, packet.pts))
    steps = [two - one for (_, one), (_, two) in pairwise(placed)]
    assert [n for n, step in enumerate(steps) if step != 1024] == [9]
    assert all(abs(pts / 44100 - given / 1000) <= 0.001 for given, pts in placed)


def test_sound_whose_ticks_are_exact_keeps_them(tmp_path: Path) -> None:
    source = synthetic.video(tmp_path / "a.mp4", audio=1, frames=4)
    with av.open(str(source)) as opened:
        assert sound_base(opened.streams[1], MP4) is None
        assert sound_base(opened.streams[0], MP4) is None
        assert sound_base(opened.streams[1], MATROSKA) is None
