"""Blocks of Matroska and WebM lie by rising times, also beside sound with an encoder delay."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from conformance.clips import Sound, assemble
from facepipe.video import EncodeSettings
from media import synthetic
from media.matroska import blocks_going_back
from media.video_checks import Render, packets

VP9 = EncodeSettings("libvpx-vp9", (("deadline", "realtime"), ("cpu-used", "8")))
FAST = {"cpu-used": "8", "deadline": "realtime", "crf": "20", "b": "0", "g": "10"}


def heard(path: Path, codec: str, seconds: float = 1.0) -> Path:
    def video(made: Path) -> Path:
        pts = [1001 * n for n in range(30)]
        base = Fraction(1, 30000)
        return synthetic.video(made, pts=pts, time_base=base, codec="libvpx-vp9", options=FAST)

    return assemble(path, video, Sound(codec, rate=48000, layout="stereo", seconds=seconds))


@pytest.mark.parametrize("suffix", [".webm", ".mkv"])
def test_no_block_goes_back(suffix: str, tmp_path: Path, render: Render) -> None:
    source, target = heard(tmp_path / f"a{suffix}", "libopus"), tmp_path / f"b{suffix}"
    render(source, target, VP9)
    assert blocks_going_back(target) == 0
    assert packets(target, "audio") == packets(source, "audio")


def test_sound_without_a_delay_is_sorted_as_ever(tmp_path: Path, render: Render) -> None:
    source, target = heard(tmp_path / "a.mkv", "flac"), tmp_path / "b.mkv"
    render(source, target, VP9)
    assert blocks_going_back(target) == 0
    assert packets(target, "audio") == packets(source, "audio")
