from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from facepipe._system.files import sha256_of
from facepipe.datatypes import Analysis, Track
from facepipe.faces.canvas import TEMPLATE
from facepipe.pipeline.analysis_file import write_analysis
from facepipe.ui.library import analysis_path
from facepipe.video import probe


@pytest.fixture
def video(portrait_video: Path, tmp_path: Path) -> Path:
    """The portraits in a folder of their own."""
    return Path(shutil.copy(portrait_video, tmp_path / "v.mp4"))


@pytest.fixture
def searched(video: Path) -> Path:
    """The portraits with an analysis beside them: a face to enhance, and a refused one."""
    info = probe(video)
    analysis = Analysis(
        source_sha256=sha256_of(video),
        time_base=info.time_base,
        frames=len(info.pts),
        width=info.width,
        height=info.height,
        tracks=(
            face(1, info.pts, (46, 42, 70, 66), None),
            face(2, info.pts[:10], (166, 54, 186, 74), "score 0.649 below 0.7"),
        ),
        source_name=video.name,
    )
    write_analysis(analysis, analysis_path(video))
    return video


def face(number: int, pts: tuple[int, ...], box: tuple[float, ...], reason: str | None) -> Track:
    """A face that follows the portraits' drift from about `box` (xyxy)."""
    drift = np.arange(len(pts), dtype=np.float32)[:, None] * np.float32([-0.6, 0, -0.6, 0])
    boxes = np.float32(box) + drift
    size = boxes[:, 2] - boxes[:, 0]
    return Track(
        number=number,
        pts=np.array(pts),
        boxes=boxes,
        landmarks=(TEMPLATE[None] / 128 * size[:, None, None] + boxes[:, None, :2]).astype("f4"),
        scores=np.full(len(pts), 0.8, np.float32),
        enhance=reason is None,
        reason=reason,
    )
