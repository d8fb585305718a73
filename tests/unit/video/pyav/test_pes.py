"""How sound is packed into a transport stream."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from facepipe.video.pyav.pes import packing_options
from media import synthetic
from media.transport import deliveries
from media.video_checks import Render

LASTING = {257: Fraction(1024, 48000)}


def packed(path: Path, size: int) -> Path:
    options = {"mpegts_copyts": "1", "max_delay": "700000", "pes_payload_size": str(size)}
    return synthetic.video(path, audio=1, audio_rate=48000, container_options=options)


@pytest.mark.parametrize("size", [0, 1200, 2930])
def test_the_same_option_packs_alike(size: int, tmp_path: Path) -> None:
    one = packed(tmp_path / "one.ts", size)
    told = packing_options(one, LASTING)
    other = packed(tmp_path / "other.ts", int(told["pes_payload_size"]))
    before, after = deliveries(one), deliveries(other)
    assert before[257].is_sound
    assert after[257].packing == before[257].packing


def test_a_target_packs_as_its_source(tmp_path: Path, render: Render) -> None:
    for size in (0, 2930):
        source = packed(tmp_path / f"{size}.ts", size)
        render(source, tmp_path / "b.ts")
        assert deliveries(tmp_path / "b.ts")[257].packing == deliveries(source)[257].packing


def test_what_is_not_known_gives_no_option(tmp_path: Path) -> None:
    assert packing_options(synthetic.plain(tmp_path / "a.mp4", frames=3), LASTING) == {}
    assert packing_options(packed(tmp_path / "b.ts", 0), {300: Fraction(1, 50)}) == {}
