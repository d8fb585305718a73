"""Frames of two faces, what the command makes of them, and an enhancer of frames; made once."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import pytest

import facepipe
from facepipe import Analysis, FaceEnhancer, load_settings
from media import portraits
from media.pictures import Pictures, images, rgb

COUNT = 16


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two faces for 16 frames at 25 a second, lossless RGB, each frame a keyframe."""
    path = tmp_path_factory.mktemp("frames") / "source.avi"
    return portraits.video(
        path, codec="ffv1", pix_fmt="bgr0", frames=COUNT, audio=0, time_base=Fraction(1, 25),
        pts=range(COUNT), options={},
    )  # fmt: skip


@pytest.fixture(scope="session")
def frames(source: Path) -> Pictures:
    return [rgb(image) for image in images(source)]


@pytest.fixture(scope="session")
def expected(source: Path) -> Pictures:
    """The frames that the command gives, as RGB."""
    target = source.with_name("target.mkv")
    facepipe.enhance(
        source, target, load_settings(overrides={"output.codec": "ffv1", "workers": 1})
    )
    made = [rgb(image) for image in images(target)]
    changed = [bool((a != rgb(b)).any()) for a, b in zip(made, images(source), strict=True)]
    assert changed == [True] * COUNT
    return made


@pytest.fixture(scope="session")
def enhancer() -> Iterator[FaceEnhancer]:
    with FaceEnhancer() as made:
        yield made


@pytest.fixture(scope="session")
def analysis(enhancer: FaceEnhancer, frames: Pictures) -> Analysis:
    return enhancer.analyze(frames)
