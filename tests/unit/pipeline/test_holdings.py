"""What only decoding finds is reported before the render, and refused where it would be lost."""

from __future__ import annotations

from pathlib import Path

import av
import pytest

from facepipe import enhance
from facepipe.configs.settings import Settings, load_settings
from facepipe.errors import MediaError
from facepipe.pipeline.analysis_file import read_analysis
from facepipe.pipeline.api import analyze, render
from facepipe.video import probe
from facepipe.video.holdings import FIELD_ORDERS, INTERLACING
from media.sections import Section, progressive_up_to, sectioned

LATE = Section(
    frames=30, interlaced=True, filters=("setfield=tff",), options={"g": "250"},
    data=progressive_up_to(12),
)  # fmt: skip


def settings(*more: str) -> Settings:
    return load_settings(assignments=["workers=1", "output.copy_unchanged=false", *more])


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sectioned(tmp_path_factory.mktemp("late") / "a.mp4", LATE)


def flags(path: Path) -> list[bool]:
    with av.open(str(path)) as container:
        return [frame.interlaced_frame for frame in container.decode(container.streams.video[0])]


def test_no_header_says_it(video: Path) -> None:
    info = probe(video)
    assert (info.fields, info.places) == ((), ())
    assert flags(video) == [False] * 12 + [True] * 18


def test_what_would_be_lost_is_refused_before_the_render(video: Path, tmp_path: Path) -> None:
    events: list[str] = []
    wanted = settings("output.codec=libx265", "output.preset=ultrafast")
    target = tmp_path / "out.mp4"
    with pytest.raises(MediaError, match="mp4 cannot hold the interlacing flags of its frames"):
        enhance(video, target, wanted, on_event=lambda event: events.append(event.stage))
    assert set(events) == {"analyze"}
    assert not target.exists()
    allowed = settings("output.codec=libx265", "output.preset=ultrafast", "output.allow_loss=true")
    summary = enhance(video, target, allowed)
    assert [w for w in summary.warnings if w.startswith("lost: the interlacing flags")]


def test_an_analysis_says_it_and_render_goes_by_it(video: Path, tmp_path: Path) -> None:
    found, target = tmp_path / "analysis.json", tmp_path / "out.mp4"
    analyze(video, found, settings())
    pts = probe(video).pts[12]
    assert dict(read_analysis(found).holdings) == {INTERLACING: pts, FIELD_ORDERS["top"]: pts}
    render(video, found, target, settings("output.preset=ultrafast"))
    assert flags(target) == flags(video)
