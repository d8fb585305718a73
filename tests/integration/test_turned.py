"""Faces that are not upright: found where nothing else is, and never invented upon."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facepipe import Settings, analyze, enhance
from facepipe.configs.settings import load_settings
from facepipe.pipeline.turning import TURNS
from facepipe.video import probe
from facepipe.workers.local import LocalExecutor
from media import portraits

ASSIGNED = ["output.preset=ultrafast", "workers=1"]


def settings(*more: str, profile: str = "balanced") -> Settings:
    return load_settings(profile=profile, assignments=[*ASSIGNED, *more])


@pytest.fixture(scope="module")
def upside_down(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("videos") / "upside-down.mp4"
    return portraits.turned_video(path, turns=2, frames=20)


def test_an_upside_down_video_is_enhanced_and_told(upside_down: Path, tmp_path: Path) -> None:
    done = enhance(upside_down, tmp_path / "out.mp4", settings(), executor=LocalExecutor(1))
    assert done.tracks == 2
    assert done.faces == 2 * len(probe(upside_down).pts)
    (told,) = [one for one in done.warnings if "no upright face" in one]
    assert "180 degrees" in told
    # Asked for, it is the same and needs no word.
    asked = enhance(upside_down, tmp_path / "asked.mp4", settings("detect.turned=180"))
    assert (asked.faces, asked.warnings) == (done.faces, ())


@pytest.mark.parametrize("profile", ["balanced", "recall"])
def test_nothing_is_invented_the_wrong_way_up(
    profile: str, upside_down: Path, tmp_path: Path
) -> None:
    """The detector takes a chin for a forehead; such an alignment restores no face."""
    wanted = settings("detect.turned=0", profile=profile)
    found = analyze(upside_down, tmp_path / "found.json", wanted)
    assert [track.number for track in found.tracks if track.enhance] == []


def test_an_upright_video_is_searched_once(tmp_path: Path) -> None:
    source = portraits.video(tmp_path / "in.mp4", frames=12)
    done = enhance(source, tmp_path / "out.mp4", settings())
    assert done.tracks == 2
    assert not [one for one in done.warnings if "upright" in one]


@pytest.mark.parametrize("turn", TURNS)
def test_a_photograph_without_a_tag(turn: int, tmp_path: Path) -> None:
    source, target = tmp_path / "in.png", tmp_path / "out.png"
    scene = portraits.scene(0)
    # Turned clockwise, so that counter-clockwise it is upright again.
    Image.fromarray(np.ascontiguousarray(np.rot90(scene, -(turn // 90)))).save(source)
    done = enhance(source, target)
    assert done.faces == 2
    assert any(f"by {turn} degrees" in one for one in done.warnings)
    upright = tmp_path / "upright.png"
    Image.fromarray(scene).save(upright)
    assert enhance(upright, tmp_path / "out2.png").warnings == ()
    one, other = Image.open(target), Image.open(tmp_path / "out2.png")
    turned_back = np.rot90(np.asarray(one), turn // 90).astype(np.int64)
    assert np.abs(turned_back - np.asarray(other)).mean() < 0.5
